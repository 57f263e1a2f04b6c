"""What the platform acknowledged, kept on our side, so that afterwards nothing can be missing unnoticed."""

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import msgspec

from tillkeeper.simulation.client import Api

PAGE: Final = 100
# So many acknowledged payments are kept (some 60 MB); beyond, all are looked for and all but the newest let go,
# which may still be captured or refunded.
MOST_KEPT: Final = 200_000
NEWEST_KEPT: Final = 10_000

# The states in which a payment may be found that was acknowledged in another: by the API's documentation.
_PAID: Final = frozenset({"succeeded", "partially_refunded", "refunded"})
_HELD: Final = _PAID | {"authorized", "voided", "expired"}
LATER: Final[dict[str, frozenset[str]]] = {
    "pending": _PAID | {"pending", "failed"},
    "challenged": _HELD | {"challenged", "declined"},
    "in_review": _HELD | {"in_review", "declined"},
    "authorized": _HELD,
    "succeeded": _PAID,
    "partially_refunded": frozenset({"partially_refunded", "refunded"}),
}


class Kept(msgspec.Struct, frozen=True, gc=False):
    """The last thing the platform said about a payment."""

    amount: int
    currency: str
    state: str


class Missing(msgspec.Struct, frozen=True):
    """An acknowledged payment that the platform no longer has as it said. `found` is None where it has none."""

    payment: str
    said: Kept
    found: Kept | None


class Journal:
    """Acknowledged payments of every kind. `outcomes` counts states of payments to shops and people."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.outcomes: Counter[str] = Counter()
        self.acknowledged = 0
        self.missing: dict[str, Missing] = {}

    def write(self, payment: Mapping[str, Any]) -> None:
        """The platform acknowledged this payment, or a change of it."""
        before = self.kept.get(payment["id"])
        now = Kept(payment["amount"], payment["currency"], payment["state"])
        self.acknowledged += before is None
        self.kept[payment["id"]] = now
        if payment["kind"] in {"payment", "send"}:
            self.outcomes[now.state] += 1
            if before is not None:
                self.outcomes[before.state] -= 1

    async def settle(self, api: Api) -> None:
        """Look for every kept payment through the API and note those that are missing. Raises Unanswered."""
        wanted = self.kept
        self.kept = dict(islice(wanted.items(), max(len(wanted) - NEWEST_KEPT, 0), None))
        found = await _read_down_to(api, min(wanted)) if wanted else {}
        for payment, said in wanted.items():
            now = found.get(payment)
            if now is None or not agrees(said, now):
                self.missing[payment] = Missing(payment, said, now)


def agrees(said: Kept, now: Kept) -> bool:
    """Whether a payment acknowledged as `said` may by now be `now`."""
    same_money = (said.amount, said.currency) == (now.amount, now.currency)
    return same_money and now.state in LATER.get(said.state, frozenset({said.state}))


async def _read_down_to(api: Api, oldest: str) -> dict[str, Kept]:
    """All payments of the platform, newest first, down to one id: ids are sorted by time."""
    found: dict[str, Kept] = {}
    path = f"/v1/payments?limit={PAGE}"
    cursor = ""
    while True:
        reply = await api.get(path + cursor)
        if not reply.done:
            raise LookupError(f"the list of payments cannot be read: {reply.status} {reply.raw[:200]!r}")
        for payment in reply.body["data"]:
            found[payment["id"]] = Kept(payment["amount"], payment["currency"], payment["state"])
        following = reply.body["next_cursor"]
        if following is None or reply.body["data"][-1]["id"] <= oldest:
            return found
        cursor = f"&cursor={following}"
