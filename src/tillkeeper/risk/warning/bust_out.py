"""Merchant bust-out: a shop that lived quietly suddenly books large sales, on few phones, and takes the money. Pure.

Each sale is weighed by three things against the merchant's own past: how soon it follows the last, how large it is, and
whether its device has just paid here for somebody else.
"""

import math
from typing import Final
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.risk.warning.oddity import KEY_LOG_BOUND, Suspicion, Usual, likelihood
from tillkeeper.risk.warning.recent import Keyed, Window
from tillkeeper.risk.warning.types import Finding, Seen, Subject

KIND: Final = "merchant_bust_out"
SPAN_US: Final = 3600 * 1_000_000
_HELD: Final = 300
_LEAST_SALES: Final = 5
_RUSH: Final = 4.0
"""Times the usual rate that lunch or a sale may bring: below that, speed says nothing."""
_SURGE: Final = 3.0
"""Times that again, in a bust-out."""
_LARGE: Final = 2.0
"""Times its mean, from which on a sale is large."""
_GROWN: Final = 1.2
"""Times its mean, that the sales of a bust-out have on average: it is after the money, a card tester is not."""
_FADES: Final = 500.0
"""Sales that a merchant's past looks back on."""
_PPM: Final = 700_000


class _Last:
    """Who used a device last, and when."""

    __slots__ = ("at_us", "customer")

    def __init__(self) -> None:
        self.customer: UUID | None = None
        self.at_us = 0


class _Shop:
    """A merchant's past: sales, seconds, money, large sales; and what came of late."""

    __slots__ = ("devices", "large", "last_us", "money", "sales", "seconds", "suspicion", "window")

    def __init__(self) -> None:
        self.window: Window[Seen] = Window(SPAN_US, _HELD)
        self.suspicion = Suspicion()
        self.sales, self.seconds, self.money, self.large = 0.0, 0.0, 0.0, 0.0
        self.last_us = 0
        self.devices: Keyed[str, _Last] = Keyed(_Last, _HELD)

    def shares(self, device: str, customer: UUID, at_us: int) -> bool:
        """Whether a device has just paid here for another customer. It is this one's from now on."""
        last = self.devices.use(device)
        shared = last.customer not in (None, customer) and at_us - last.at_us < SPAN_US
        last.customer, last.at_us = customer, at_us
        return shared


class BustOut:
    """Follows merchants."""

    def __init__(self) -> None:
        self._shops: Keyed[UUID, _Shop] = Keyed(_Shop)
        self._shared = Usual(0.005, 0.002)
        self._pace = 0.0
        """Seconds between two sales of a merchant, everywhere."""

    def seen(self, each: Seen) -> list[Finding]:
        """One sale; what it shows."""
        if not each.is_sale:
            return []
        shop = self._shops.use(each.payee)
        shared = each.device is not None and shop.shares(each.device, each.customer, each.at_us)
        large = shop.sales >= 1 and each.worth >= _LARGE * shop.money / shop.sales
        likely = self._weigh(shop, each.at_us, shared=shared, large=large)
        self._learn(shop, each, shared=shared, large=large)
        shop.window.add(each.at_us, each)
        if not shop.suspicion.step(likely, each.at_us):
            return []
        run = _run(shop)
        if len(run) < _LEAST_SALES or not _has_grown(shop, run):
            return []
        return [_finding(shop, each, run)]

    def _weigh(self, shop: _Shop, at_us: int, *, shared: bool, large: bool) -> float:
        often = (shop.large + 1.0) / (shop.sales + 10.0)
        weighed = likelihood(odd=shared, attack=0.6, edge=self._shared.edge)
        weighed *= likelihood(odd=large, attack=0.5, edge=min(2 * often, 0.45))
        if shop.last_us and self._pace:
            # As if ten sales at everybody's pace had been seen before the first.
            rate = (shop.sales + 10.0) / (shop.seconds + 10.0 * self._pace)
            gap = max(at_us - shop.last_us, 0) / 1e6
            weighed *= _SURGE * math.exp(-(_SURGE - 1.0) * _RUSH * rate * gap)
        return weighed

    def _learn(self, shop: _Shop, each: Seen, *, shared: bool, large: bool) -> None:
        self._shared.learn(odd=shared)
        if shop.last_us:
            gap = max(each.at_us - shop.last_us, 0) / 1e6
            shop.seconds += gap
            self._pace += (gap - self._pace) * (0.001 if self._pace else 1.0)
        shop.last_us = max(each.at_us, shop.last_us)
        shop.sales += 1.0
        shop.money += each.worth
        shop.large += large
        if shop.sales > _FADES:
            shop.sales, shop.seconds = shop.sales / 2, shop.seconds / 2
            shop.money, shop.large = shop.money / 2, shop.large / 2


def _run(shop: _Shop) -> list[Seen]:
    """The sales since it began, and those before on the same devices: the first sale on a phone is not odd."""
    begun = shop.suspicion.begun_us
    devices = {seen.device for at, seen in shop.window if at >= begun and seen.device is not None}
    return [seen for at, seen in shop.window if at >= begun or seen.device in devices]


def _has_grown(shop: _Shop, run: list[Seen]) -> bool:
    """Whether the sales of a run are larger than those before it. A shop without a past has nothing to go by."""
    money = sum(seen.worth for seen in run)
    sales, before = shop.sales - len(run), shop.money - money
    return sales < 1 or money / len(run) >= _GROWN * before / sales


def _finding(shop: _Shop, each: Seen, run: list[Seen]) -> Finding:
    passed = sum(seen.worth for seen in run if not seen.stopped)
    return Finding(
        kind=KIND,
        about_kind="merchant",
        about=str(each.payee),
        severity="page",
        begun_us=run[0].at_us,
        at_us=each.at_us,
        value=sum(seen.worth for seen in run) / len(run),
        usual=shop.money / shop.sales,
        events=len(run),
        money=passed,
        evidence={
            "sales": len(run),
            "customers": len({seen.customer for seen in run}),
            "devices": len({seen.device for seen in run}),
            "payments": [str(seen.id) for seen in run[-limits.SIGNAL_EVIDENCE :]],
        },
        log_e=shop.suspicion.log,
        log_bound=KEY_LOG_BOUND,
        subjects=(Subject("merchant", each.payee, sum(seen.worth for seen in run), _PPM),),
    )
