"""Credential stuffing: lists of names and passwords are tried from one device, address or network. Pure.

It is odd that a customer fails to log in who did not fail there before: whoever forgot a password fails again and again as the
same customer, a list never does; and whoever was let in here mistypes now and then. Likewise a customer who is let in says something
once: a thief who logs in to an account of their own between any two tries hides nothing.
"""

from typing import Final
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.risk.warning.oddity import KEY_LOG_BOUND, Suspicion, Usual, likelihood
from tillkeeper.risk.warning.recent import Keyed, Window
from tillkeeper.risk.warning.types import AboutKind, Finding, SeenLogin, Subject

KIND: Final = "credential_stuffing"
SPAN_US: Final = 30 * 60 * 1_000_000
_HELD: Final = 500
_LEAST_CUSTOMERS: Final = 5
_LEAST_ADDRESSES: Final = {"ip": 1, "device": 2, "network": 3}
"""One address, found by itself, needs no second signal for its network or the devices behind it."""
_FAILS: Final = 0.9
_PPM: Final = 800_000


class _Place:
    __slots__ = ("failed", "opened", "suspicion", "window")

    def __init__(self) -> None:
        self.window: Window[SeenLogin] = Window(SPAN_US, _HELD)
        self.suspicion = Suspicion()
        self.failed: dict[UUID, int] = {}
        self.opened: dict[UUID, int] = {}

    def again(self, each: SeenLogin) -> bool:
        """Whether it says nothing new: the same came of the same customer here of late, or who fails was let in here before."""
        since, customer = each.at_us - SPAN_US, each.customer
        known = (self.opened,) if each.succeeded else (self.opened, self.failed)
        again = any(of_late.get(customer, since) > since for of_late in known)
        of_late = known[-1]
        of_late[customer] = each.at_us
        if len(of_late) > _HELD:
            of_late.pop(next(iter(of_late)))
        return again


class Stuffing:
    """Follows devices, addresses and networks."""

    def __init__(self) -> None:
        self._places: Keyed[tuple[AboutKind, str], _Place] = Keyed(_Place)
        self._failing = Usual(0.05, 0.03)

    def seen(self, each: SeenLogin) -> list[Finding]:
        """One try to log in; what it shows."""
        keys: list[tuple[AboutKind, str | None]] = [
            ("device", each.device), ("ip", each.ip), ("network", each.network)
        ]  # fmt: skip
        found = [self._at(kind, about, each) for kind, about in keys if about]
        self._failing.learn(odd=not each.succeeded)
        return [finding for finding in found if finding is not None]

    def _at(self, about_kind: AboutKind, about: str, each: SeenLogin) -> Finding | None:
        place = self._places.use((about_kind, about))
        place.window.add(each.at_us, each)
        if place.again(each):
            return None
        likely = likelihood(odd=not each.succeeded, attack=_FAILS, edge=self._failing.edge)
        found = place.suspicion.step(likely, each.at_us)
        if not found:
            return None
        tried = [seen for at, seen in place.window if at >= place.suspicion.begun_us]
        failed = {seen.customer for seen in tried if not seen.succeeded}
        addresses = len({seen.ip for seen in tried})
        if len(failed) < _LEAST_CUSTOMERS or addresses < _LEAST_ADDRESSES[about_kind]:
            return None
        return _finding(about_kind, about, place.suspicion, tried, failed, each.at_us)


def _finding(
    about_kind: AboutKind,
    about: str,
    suspicion: Suspicion,
    tried: list[SeenLogin],
    failed: set[UUID],
    at_us: int,
) -> Finding:
    # Of a whole network the honest log in too: there, only those that were let in at a key of an attack are alerted about.
    opened = {seen.customer for seen in tried if seen.succeeded} if about_kind != "network" else set()
    return Finding(
        kind=KIND,
        about_kind=about_kind,
        about=about,
        severity="page",
        begun_us=min(seen.at_us for seen in tried),
        at_us=at_us,
        value=float(len(failed)),
        usual=None,
        events=len(tried),
        money=0,
        evidence={
            "customers": len({seen.customer for seen in tried}),
            "failed": len(failed),
            "opened": len(opened),
            "logins": [str(seen.id) for seen in tried[-limits.SIGNAL_EVIDENCE :]],
        },
        log_e=suspicion.log,
        log_bound=KEY_LOG_BOUND,
        subjects=tuple(
            Subject("customer", customer, limits.ACCOUNT_STAKE, _PPM)
            for customer in sorted(opened)[: limits.SIGNAL_ALERTS]
        ),
    )
