"""The latest samples of all processes, for Prometheus to scrape."""

from typing import Final

from litestar import Response, get

from tillkeeper import monitoring
from tillkeeper.faces.api.documents import responses
from tillkeeper.faces.api.door import TheCounter


@get("/metrics", responses=responses(200, str, media_type="text/plain"), action="metrics.view")
async def metrics(counter: TheCounter) -> Response[bytes]:
    """What every process measured last, in Prometheus' text format; what is stale is left out."""
    async with counter.store.tx("metrics") as tx:
        found = await monitoring.exposition(tx, counter.clock)
    return Response(found, media_type=monitoring.CONTENT_TYPE)


HANDLERS: Final = [metrics]
