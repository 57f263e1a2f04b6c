"""What a decision costs: the API's own check on the way of every payment, and Cedar where a person clicks."""

import ipaddress
import time
from collections.abc import Callable
from typing import Final

import msgspec

from bench import figures
from tillkeeper import access
from tillkeeper.access import HOUSE, SCOPES, Thing, Who
from tillkeeper.access.policy import person_fact
from tillkeeper.base.ids import new_id

ROUNDS: Final = 5_000
BATCH: Final = 100  # of the cheap ones a single decision is shorter than a look at the clock


class Cost(msgspec.Struct, frozen=True):
    """Microseconds a decision."""

    name: str
    p50: float
    p99: float


def main() -> None:
    """Measure each kind of decision."""
    policies = access.policies()
    shop = access.service(new_id(), new_id(), "shop", SCOPES)
    anna = Who("Person", "anna", frozenset({"operator", "risk_analyst", "support"}))
    question = Thing("Approval", "1", {"deed": "payment.release", "asked_by": person_fact("ben")})
    network, here = ipaddress.ip_network("10.1.0.0/16"), "10.1.7.9"
    costs = [
        measured("API: may a key do it", lambda: shop.may("payment.pay"), BATCH),
        measured("API: and is it from its network", lambda: ipaddress.ip_address(here) in network, BATCH),
        measured(
            "console: may a person do it",
            lambda: "payment.view" in policies.permitted("Person", anna.groups),
            BATCH,
        ),
        measured("Cedar, nobody's own thing", lambda: policies.judge(anna, "payment.review", HOUSE)),
        measured("Cedar, somebody's own thing", lambda: policies.judge(anna, "approval.decide", question)),
        measured("Cedar, denied", lambda: policies.judge(anna, "people.invite", HOUSE)),
    ]
    rows = [
        {"decision": each.name, "p50 us": f"{each.p50:.2f}", "p99 us": f"{each.p99:.2f}"} for each in costs
    ]
    figures.show(f"a decision, {len(policies.names)} policies", rows)
    figures.keep("access", {"policies": len(policies.names), "costs": costs})


def measured(name: str, decide: Callable[[], object], batch: int = 1) -> Cost:
    """The cost of a decision; in batches, the mean of each batch."""
    took = []
    for _ in range(ROUNDS // batch):
        began = time.perf_counter()
        for _ in range(batch):
            decide()
        took.append((time.perf_counter() - began) / batch * 1e6)
    took.sort()
    return Cost(name, figures.percentile(took, 0.5), figures.percentile(took, 0.99))
