"""Webhooks by the Standard Webhooks specification: endpoints, fan-out of news into messages, delivery, replay."""

from tillkeeper.payments.webhooks.delivery import Deliverer
from tillkeeper.payments.webhooks.endpoints import (
    any_in_the_clear,
    create_endpoint,
    delete_endpoint,
    enable_endpoint,
    find_endpoint,
    list_endpoints,
    seal_in_the_clear,
)
from tillkeeper.payments.webhooks.fanout import READER, fan_out
from tillkeeper.payments.webhooks.messages import (
    deliveries_about,
    deliveries_of,
    forget_old,
    replay,
    replay_since,
)
from tillkeeper.payments.webhooks.sender import Sender
from tillkeeper.payments.webhooks.types import Delivery, Endpoint

__all__ = [
    "READER",
    "Deliverer",
    "Delivery",
    "Endpoint",
    "Sender",
    "any_in_the_clear",
    "create_endpoint",
    "delete_endpoint",
    "deliveries_about",
    "deliveries_of",
    "enable_endpoint",
    "fan_out",
    "find_endpoint",
    "forget_old",
    "list_endpoints",
    "replay",
    "replay_since",
    "seal_in_the_clear",
]
