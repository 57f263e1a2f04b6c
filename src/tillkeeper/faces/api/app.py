"""The API as an application."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Litestar, Request, Router
from litestar.di import Provide
from litestar.enums import HttpMethod
from litestar.exceptions import InternalServerException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp

from tillkeeper import access, audit, monitoring
from tillkeeper.base import limits
from tillkeeper.base.results import Refused, refuse
from tillkeeper.faces.api import logins, metrics, orders, parties, problems, reads, webhooks
from tillkeeper.faces.api.crier import Crier
from tillkeeper.faces.api.door import Counter, Door, Permits, storable
from tillkeeper.faces.api.lane import Lane
from tillkeeper.faces.api.meter import Meter
from tillkeeper.faces.api.turnstile import Turnstile
from tillkeeper.store.processes import Presence


def create_api(counter: Counter) -> ASGIApp:
    """The API behind its door. Raises PolicyError for a route that declares no action, or one that no policy knows."""
    permits = Permits(counter.store, counter.clock)

    async def enter(request: Request[Any, Any, Any]) -> None:
        await permits.judge(request)
        await _strictly(request)

    desk = logins.desk_of(counter)
    tally = audit.Tally(counter.store)
    presence = Presence(counter.store, "api")
    oneself = monitoring.Oneself("api", counter.store)
    payments = monitoring.Payments(counter.till.gauge)
    sampler = monitoring.Sampler(counter.store, [*oneself.sources(), payments.source()], counter.clock)

    @asynccontextmanager
    async def living(_: Litestar) -> AsyncIterator[None]:
        await desk.open()
        beside = (
            counter.till.gauge.keep_writing(),
            tally.keep_writing(),
            presence.keep(),
            crier.keep_reading(),
            oneself.watch_loop(),
            sampler.run(),
            counter.engine.follow(),
        )
        working = [asyncio.create_task(each) for each in beside]
        try:
            yield
        finally:
            await counter.till.close()
            await desk.close()
            for each in working:
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each

    app = Litestar(
        [
            *orders.HANDLERS,
            *parties.HANDLERS,
            *reads.HANDLERS,
            *logins.HANDLERS,
            *webhooks.HANDLERS,
            *metrics.HANDLERS,
        ],
        dependencies={
            "counter": Provide(lambda: counter, sync_to_thread=False),
            "desk": Provide(lambda: desk, sync_to_thread=False),
        },
        before_request=enter,
        exception_handlers={Exception: problems.handle},
        lifespan=[living],
        request_max_body_size=limits.MAX_BODY_BYTES,
        openapi_config=_openapi(),
        logging_config=None,
    )
    access.policies().check_routes("Service", _routes(app))
    door = Door(Lane(app, counter), counter.keys, tally)
    gauge = counter.till.gauge
    crier = Crier(Turnstile(Meter(door, gauge), presence, gauge), counter.store, counter.clock)
    return crier


def _routes(app: Litestar) -> dict[str, Mapping[str, Any]]:
    """The options of every way in, by method and path; OPTIONS only says which methods there are."""
    return {
        f"{method} {route.path}": handler.opt
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if method != HttpMethod.OPTIONS
    }


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
        render_plugins=[JsonRenderPlugin(path="/")],
        components=Components(security_schemes={"key": key}),
        security=[{"key": []}],
        openapi_router=Router(
            "/openapi.json", route_handlers=[], include_in_schema=False, opt={"public": True}
        ),
        use_handler_docstrings=True,
    )
