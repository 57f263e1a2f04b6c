"""Whatever goes wrong, as problem details with a stable code."""

import logging
import re
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.types import Send
from msgspec.structs import replace

from tillkeeper.base.discretion import discreet
from tillkeeper.base.forbidden import forbidden, forbidden_name
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.payments import problem
from tillkeeper.store import Answer, StoreUnavailableError, is_transient, took_too_long

log = logging.getLogger(__name__)

PROBLEM_JSON: Final = "application/problem+json"
JSON: Final = "application/json"
_LATER: Final = (429, 503)
_MEDIA: Final = (PROBLEM_JSON.encode(), JSON.encode())  # by whether it went well

# msgspec says what is wrong in words; their beginnings are pinned by tests.
_RULES: Final = (
    (re.compile(r"Object missing required field `(\w+)`"), "missing_field"),
    (re.compile(r"Object contains unknown field `([^`]*)`"), "unknown_field"),
    (re.compile(r"Expected `int`, got `float`"), "amount_not_integer"),
    (re.compile(r"Expected `int` >= 1"), "amount_not_positive"),
    (re.compile(r"Expected `int` <= 1000000000000"), "amount_too_large"),
    (re.compile(r"Integer value out of range"), "amount_too_large"),
    (re.compile(r"Expected `str` of length <="), "text_too_long"),
    (re.compile(r"Expected `str` matching regex '\^\[A-Z\]"), "unknown_currency"),
    (re.compile(r"Expected `\w+( \| \w+)*`, got "), "wrong_type"),
)
_AMOUNT_CODES: Final = frozenset({"amount_not_integer", "amount_not_positive", "amount_too_large"})


def answer(found: Answer) -> Response[bytes]:
    """An answer of the turn as an HTTP response."""
    return Response(
        found.body,
        status_code=found.status,
        media_type=JSON if found.status < 400 else PROBLEM_JSON,
        headers={"Retry-After": "1"} if found.status in _LATER else None,
    )


async def tell(found: Answer, send: Send) -> None:
    """Send an answer past the framework."""
    headers = [(b"content-type", _MEDIA[found.status < 400]), (b"content-length", b"%d" % len(found.body))]
    if found.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if found.status in _LATER:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": found.status, "headers": headers})
    await send({"type": "http.response.body", "body": found.body, "more_body": False})


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The response to an exception."""
    return answer(of_error(error, f"{request.method} {request.url.path}"))


def of_error(error: Exception, what: str) -> Answer:
    """The answer to an exception that came of doing `what`. Only a fault of ours is logged with its traceback."""
    if isinstance(error, Refused):
        return problem(_discreet(error.refusal))
    if isinstance(error, ValidationException):
        return problem(_discreet(of_validation(error)))
    if isinstance(error, HTTPException) and (refusal := _of_http(error)):
        return problem(refusal)
    if is_transient(error) or isinstance(error, StoreUnavailableError):
        return problem(Refusal("unavailable", "try again in a few seconds"))
    if took_too_long(error):
        return problem(Refusal("unavailable", "the question took too long; ask for less"))
    log.error("%s failed", what, exc_info=error)
    return problem(Refusal("internal", "the fault is in the log"))


def _discreet(refusal: Refusal) -> Refusal:
    """A refusal may quote the input: what may never be stored is refused for that, and nobody's number is quoted."""
    found = forbidden(f"{refusal.field or ''} {refusal.detail}")
    if found is None:
        return replace(refusal, detail=discreet(refusal.detail))
    return Refusal(found.code, found.detail, None if forbidden(refusal.field or "") else refusal.field)


def of_validation(error: ValidationException) -> Refusal:
    """The refusal in what the decoder says of a body, query or path."""
    first: Any = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    cause = error.__cause__
    message = str(first.get("message", cause or error.detail))
    field = str(first.get("key", "")).removeprefix("data.")
    if isinstance(cause, KeyError):  # of the query: a body's fields are msgspec's to miss
        return Refusal("missing_field", f"the query lacks {cause.args[0]}", str(cause.args[0]))
    if isinstance(cause, msgspec.ValidationError) and "required field `data`" in str(cause):
        return Refusal("not_json", "send a JSON object")
    return of_message(message, None if field in ("", "data") else field)


def of_decoding(error: msgspec.ValidationError) -> Refusal:
    """The refusal in what msgspec says of a body: "Expected `int`, got `str` - at `$.amount`"."""
    message, _, place = str(error).partition(" - at `$.")
    return of_message(message, place.rstrip("`") or None)


def of_message(message: str, field: str | None) -> Refusal:
    """The refusal in a message of msgspec's. `field` is the place it names."""
    for pattern, code in _RULES:
        if found := pattern.match(message):
            name = found.group(1) if found.groups() and code in ("missing_field", "unknown_field") else None
            where = ".".join(filter(None, (field, name))) or None
            if name and (refusal := forbidden_name(name)):
                return Refusal(refusal.code, refusal.detail, where)
            return Refusal(_code_for(code, where or ""), message.replace("`", "'"), where)
    return Refusal("invalid_value", message.replace("`", "'"), field)


def _code_for(code: str, field: str) -> str:
    if code in _AMOUNT_CODES and not field.endswith("amount"):
        return "wrong_type" if code == "amount_not_integer" else "invalid_value"
    return code


def _of_http(error: HTTPException) -> Refusal | None:
    if isinstance(error, NotFoundException):
        return Refusal("not_found", "see /openapi.json for what is here")
    if isinstance(error, MethodNotAllowedException):
        return Refusal("method_not_allowed", "see /openapi.json for what is here")
    if error.status_code == 413:
        return Refusal("body_too_large", "a body has at most 16 KiB")
    if error.status_code == 400:
        return Refusal("not_json", "the body does not parse as JSON")
    return None
