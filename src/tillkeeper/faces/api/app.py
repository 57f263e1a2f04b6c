"""The API as an application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.di import Provide
from litestar.exceptions import InternalServerException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

from tillkeeper.base import limits
from tillkeeper.base.results import Refused, refuse
from tillkeeper.faces.api import orders, parties, problems, reads, webhooks
from tillkeeper.faces.api.door import Counter, Door, storable
from tillkeeper.faces.api.lane import Lane


def create_api(counter: Counter) -> ASGIApp:
    """The API behind its door."""

    @asynccontextmanager
    async def living(_: Litestar) -> AsyncIterator[None]:
        gauge = asyncio.create_task(counter.till.gauge.keep_writing())
        try:
            yield
        finally:
            await counter.till.close()
            gauge.cancel()
            with suppress(asyncio.CancelledError):
                await gauge

    app = Litestar(
        [*orders.HANDLERS, *parties.HANDLERS, *reads.HANDLERS, *webhooks.HANDLERS],
        dependencies={"counter": Provide(lambda: counter, sync_to_thread=False)},
        before_request=_strictly,
        exception_handlers={Exception: problems.handle},
        lifespan=[living],
        request_max_body_size=limits.MAX_BODY_BYTES,
        openapi_config=_openapi(),
        logging_config=None,
    )
    return Door(Lane(app, counter), counter.keys)


async def _strictly(request: Request[Any, Any, Any]) -> None:
    """Refuse a body that only fits with good will: the framework would read the text "12.00" as the integer 12."""
    field = request.route_handler.parsed_data_field
    if field is None:
        return
    try:
        body = msgspec.json.decode(await request.body(), type=field.annotation, strict=True)
    except (
        InternalServerException
    ) as error:  # the framework's word for a caller who left in the midst of the body
        raise refuse("not_json", "the body broke off") from error
    except msgspec.ValidationError as error:
        raise Refused(problems.of_decoding(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refuse("not_json", "the body does not parse as JSON") from error
    storable(body)


def _openapi() -> OpenAPIConfig:
    key = SecurityScheme(type="http", scheme="bearer", description="An API key: till keys create")
    return OpenAPIConfig(
        title="Tillkeeper",
        version=version("tillkeeper"),
        description="Amounts are integers of minor units. A declined payment is a result, not an error.",
        path="/openapi.json",
        render_plugins=[JsonRenderPlugin(path="/")],
        components=Components(security_schemes={"key": key}),
        security=[{"key": []}],
        use_handler_docstrings=True,
    )
