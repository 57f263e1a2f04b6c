"""Webhook endpoints and their messages."""

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody

from tillkeeper.base import limits
from tillkeeper.base.ids import to_typeid
from tillkeeper.faces.api import bodies, views
from tillkeeper.faces.api.documents import responses
from tillkeeper.faces.api.door import TheCounter, Web, by, id_in
from tillkeeper.faces.api.paging import Cursor, Limit, id_cursor, moment_in
from tillkeeper.faces.api.problems import answer
from tillkeeper.payments import webhooks
from tillkeeper.store import Answer

_encode = msgspec.json.Encoder().encode


@post("/v1/webhook-endpoints", responses=responses(201, views.EndpointView), action="webhook.manage")
async def new_endpoint(
    request: Web, counter: TheCounter, data: JSONBody[bodies.NewEndpoint]
) -> Response[bytes]:
    """Register an address; its signing secret is shown this once."""
    async with counter.store.tx("new webhook endpoint") as tx:
        endpoint, secret = await webhooks.create_endpoint(
            tx,
            counter.vault,
            data.url,
            data.topics,
            counter.clock,
            private_targets=counter.settings.allow_private_webhooks,
            **by(request),
        )
    return answer(Answer(201, _encode(views.endpoint_view(endpoint, secret))))


@get("/v1/webhook-endpoints", responses=responses(200, views.Endpoints), action="webhook.view")
async def endpoints(counter: TheCounter) -> Response[bytes]:
    """All endpoints."""
    async with counter.store.tx("webhook endpoints") as tx:
        found = await webhooks.list_endpoints(tx)
    return answer(Answer(200, _encode(views.Endpoints([views.endpoint_view(each) for each in found]))))


@delete("/v1/webhook-endpoints/{endpoint_id:str}", responses=responses(204, None), action="webhook.manage")
async def delete_endpoint(request: Web, counter: TheCounter, endpoint_id: FromPath[str]) -> None:
    """Remove an endpoint with its messages."""
    async with counter.store.tx("delete webhook endpoint") as tx:
        await webhooks.delete_endpoint(tx, id_in("whe", endpoint_id, "endpoint"), **by(request))


@post(
    "/v1/webhook-endpoints/{endpoint_id:str}/enable",
    status_code=200,
    responses=responses(200, views.EndpointView),
    action="webhook.manage",
)
async def enable(request: Web, counter: TheCounter, endpoint_id: FromPath[str]) -> Response[bytes]:
    """Send to a disabled endpoint again."""
    async with counter.store.tx("enable webhook endpoint") as tx:
        found = await webhooks.enable_endpoint(tx, id_in("whe", endpoint_id, "endpoint"), **by(request))
    return answer(Answer(200, _encode(views.endpoint_view(found))))


@get(
    "/v1/webhook-endpoints/{endpoint_id:str}/deliveries",
    responses=responses(200, views.Deliveries),
    action="webhook.view",
)
async def deliveries(
    counter: TheCounter,
    endpoint_id: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = limits.PAGE_DEFAULT,
) -> Response[bytes]:
    """An endpoint's messages, newest first."""
    endpoint = id_in("whe", endpoint_id, "endpoint")
    async with counter.store.tx("webhook deliveries") as tx:
        await webhooks.find_endpoint(tx, endpoint)
        found = await webhooks.deliveries_of(tx, endpoint, id_cursor(cursor), limit)
    following = to_typeid("cur", found[-1].id) if len(found) == limit else None
    return answer(
        Answer(200, _encode(views.Deliveries([views.delivery_view(each) for each in found], following)))
    )


@post(
    "/v1/webhook-endpoints/{endpoint_id:str}/replay",
    status_code=200,
    responses=responses(200, views.ReplayView),
    action="webhook.manage",
)
async def replay_since(
    request: Web, counter: TheCounter, endpoint_id: FromPath[str], data: JSONBody[bodies.NewReplay]
) -> Response[bytes]:
    """Send again everything since a time, whether it arrived or not."""
    endpoint = id_in("whe", endpoint_id, "endpoint")
    since = moment_in(data.since, "since")
    async with counter.store.tx("replay webhooks") as tx:
        await webhooks.find_endpoint(tx, endpoint)
        count = await webhooks.replay_since(tx, endpoint, since, counter.clock, **by(request))
    return answer(Answer(200, _encode(views.ReplayView(count))))


@post(
    "/v1/webhook-deliveries/{delivery_id:str}/replay",
    status_code=200,
    responses=responses(200, views.ReplayView),
    action="webhook.manage",
)
async def replay(request: Web, counter: TheCounter, delivery_id: FromPath[str]) -> Response[bytes]:
    """Send one message again, with the same webhook-id."""
    async with counter.store.tx("replay webhook") as tx:
        await webhooks.replay(tx, id_in("whd", delivery_id, "delivery"), counter.clock, **by(request))
    return answer(Answer(200, _encode(views.ReplayView(1))))


HANDLERS = [new_endpoint, endpoints, delete_endpoint, enable, deliveries, replay_since, replay]
