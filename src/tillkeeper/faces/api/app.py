"""The API as an application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

from tillkeeper.base import limits
from tillkeeper.faces.api import orders, parties, problems, reads, webhooks
from tillkeeper.faces.api.door import Counter, Door
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
        exception_handlers={Exception: problems.handle},
        lifespan=[living],
        request_max_body_size=limits.MAX_BODY_BYTES,
        openapi_config=_openapi(),
        logging_config=None,
    )
    return Door(Lane(app, counter), counter.keys)


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
