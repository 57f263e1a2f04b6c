"""What the OpenAPI document says of answers: the views, and problem details for everything refused."""

from collections.abc import Sequence
from typing import Any

from litestar.openapi.datastructures import ResponseSpec

from tillkeeper.payments import PaymentView, ProblemView

REFUSALS = (400, 401, 403, 404, 405, 409, 413, 422, 503)


def responses(
    status: int, view: Any, refusals: Sequence[int] = REFUSALS, media_type: str = "application/json"
) -> dict[int, ResponseSpec]:
    """The answer of an endpoint, and the problems it may give."""
    found = {
        refusal: ResponseSpec(ProblemView, generate_examples=False, media_type="application/problem+json")
        for refusal in refusals
    }
    done = ResponseSpec(view, generate_examples=False, description="Done.", media_type=media_type)
    return found | {status: done}


def order_responses(status: int) -> dict[int, ResponseSpec]:
    """The answers of an endpoint that gives a payment."""
    return responses(status, PaymentView)
