"""Card testing: stolen wallets are tried out from one device, one address, or at one merchant. Pure.

At a device it is odd that another customer pays within minutes of the last; at an address and at a merchant, that a customer
pays with a device never used before. Hubs (a shop's tablet, a carrier's shared address) have their share of it and no more.
"""

from typing import Final
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.risk.warning.oddity import KEY_LOG_BOUND, Suspicion, Usual, likelihood
from tillkeeper.risk.warning.recent import Keyed, Window
from tillkeeper.risk.warning.types import AboutKind, Finding, Seen, Subject

KIND: Final = "card_testing"
SPAN_US: Final = 10 * 60 * 1_000_000
_HELD: Final = 200
_LEAST_CUSTOMERS: Final = 4
"""A family shares a tablet."""
_LEAST_DEVICES: Final = 3
_PPM: Final = 900_000
_STRANGERS: Final = 0.9
"""Share of odd payments in an attack from one device."""
_NEW_DEVICES: Final = 0.7
"""The same at one address or merchant, where others pay too."""


class _Place:
    """What happened at one key of late."""

    __slots__ = ("suspicion", "window")

    def __init__(self) -> None:
        self.window: Window[Seen] = Window(SPAN_US, _HELD)
        self.suspicion = Suspicion()

    def knows(self, each: Seen) -> bool:
        """Whether the customer paid here within the window."""
        since = each.at_us - SPAN_US
        return any(seen.customer == each.customer and at > since for at, seen in self.window)


class CardTesting:
    """Follows devices, addresses and merchants."""

    def __init__(self) -> None:
        self._places: Keyed[tuple[AboutKind, str], _Place] = Keyed(_Place)
        self._strangers = Usual(0.005, 0.002)
        self._new_devices = Usual(0.02, 0.01)

    def seen(self, each: Seen) -> list[Finding]:
        """One decision; what it shows."""
        found = []
        if each.device is not None:
            found.append(self._at_device(each, each.device))
        if each.new_device is not None:
            self._new_devices.learn(odd=each.new_device)
            if each.ip is not None:
                found.append(self._where_devices_are_new("ip", each.ip, each))
            if each.is_sale:
                found.append(self._where_devices_are_new("merchant", str(each.payee), each))
        return [finding for finding in found if finding is not None]

    def _at_device(self, each: Seen, device: str) -> Finding | None:
        place = self._places.use(("device", device))
        others = {seen.customer for _, seen in place.window if seen.at_us > each.at_us - SPAN_US}
        # The same customer again says nothing of who else uses the device.
        odd = bool(others) and each.customer not in others
        likely = (
            likelihood(odd=odd, attack=_STRANGERS, edge=self._strangers.edge) if odd or not others else 1.0
        )
        self._strangers.learn(odd=odd)
        return self._take("device", device, place, each, likely)

    def _where_devices_are_new(self, about_kind: AboutKind, about: str, each: Seen) -> Finding | None:
        place = self._places.use((about_kind, about))
        # Whoever paid here says no more by paying again: nobody hides tries among payments of their own.
        if not each.new_device and place.knows(each):
            return None
        likely = likelihood(odd=bool(each.new_device), attack=_NEW_DEVICES, edge=self._new_devices.edge)
        return self._take(about_kind, about, place, each, likely)

    def _take(
        self, about_kind: AboutKind, about: str, place: _Place, each: Seen, likely: float
    ) -> Finding | None:
        place.window.add(each.at_us, each)
        if not place.suspicion.step(likely, each.at_us):
            return None
        # The first wallet at a device is not odd: nobody had paid there before.
        tried = [
            seen
            for at, seen in place.window
            if about_kind == "device" or (at >= place.suspicion.begun_us and seen.new_device)
        ]
        # One device, found by itself, needs no second signal for the address or the merchant it is at.
        alone = about_kind != "device" and len({seen.device for seen in tried}) < _LEAST_DEVICES
        if alone or len({seen.customer for seen in tried}) < _LEAST_CUSTOMERS:
            return None
        return _finding(about_kind, about, place.suspicion, tried, each.at_us)


def _finding(
    about_kind: AboutKind, about: str, suspicion: Suspicion, tried: list[Seen], at_us: int
) -> Finding:
    passed = [seen for seen in tried if not seen.stopped]
    amounts = sorted(seen.worth for seen in tried)
    customers = {seen.customer for seen in tried}
    named = limits.SIGNAL_EVIDENCE
    return Finding(
        kind=KIND,
        about_kind=about_kind,
        about=about,
        severity="page",
        begun_us=min(seen.at_us for seen in tried),
        at_us=at_us,
        value=float(len(customers)),
        usual=None,
        events=len(tried),
        money=sum(seen.worth for seen in passed),
        evidence={
            "customers": len(customers),
            "payments": [str(seen.id) for seen in tried[-named:]],
            "largest": amounts[-1],
            "median": amounts[len(amounts) // 2],
            "passed": len(passed),
        },
        log_e=suspicion.log,
        log_bound=KEY_LOG_BOUND,
        # Who paid there is in a thief's hands; those that were stopped have alerts of their own.
        subjects=tuple(
            Subject("customer", customer, max(stake, limits.ACCOUNT_STAKE), _PPM)
            for customer, stake in _stakes(passed)[: limits.SIGNAL_ALERTS]
        ),
    )


def _stakes(passed: list[Seen]) -> list[tuple[UUID, int]]:
    """What each customer paid there, the most first."""
    stakes: dict[UUID, int] = {}
    for seen in passed:
        stakes[seen.customer] = stakes.get(seen.customer, 0) + seen.worth
    return sorted(stakes.items(), key=lambda each: -each[1])
