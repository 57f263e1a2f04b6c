"""Mule networks: accounts that pass money on, tied together by the phones that operate them. Pure.

An account passes money on when most of what it received goes out again soon, to a person or a bank, and it does little else. One alone
may be a favour between friends; two in one component, or one on a phone that operates several accounts, are a network.
"""

from typing import Final
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.risk.warning.forest import Forest
from tillkeeper.risk.warning.recent import Keyed, Window
from tillkeeper.risk.warning.types import Finding, Seen, Subject

KIND: Final = "mule_network"
SOON_US: Final = 3600 * 1_000_000
SPAN_US: Final = 7 * 86_400 * 1_000_000
_HELD: Final = 64
_PART: Final = 0.8
_LEAST: Final = 50_000
"""Minor units of the reference: less is passed on between friends every day."""
_CROWD: Final = 40
"""A component of more accounts is a town, not a network."""
_ON_ONE_PHONE: Final = 3
_PPM: Final = 800_000

_Thing = tuple[str, object]


class _Account:
    """What an account received and spent of late: (amount); sends stand in `sent`, all else in `spent`."""

    __slots__ = ("passed", "received", "sent", "spent")

    def __init__(self) -> None:
        self.received: Window[int] = Window(SOON_US, _HELD)
        self.sent: Window[int] = Window(SOON_US, _HELD)
        self.spent: Window[int] = Window(SOON_US, _HELD)
        self.passed: list[Seen] = []


class Mules:
    """Follows accounts and the devices they share."""

    def __init__(self) -> None:
        self._accounts: Keyed[UUID, _Account] = Keyed(_Account)
        self._forest: Forest[UUID, _Thing] = Forest(SPAN_US, limits.WATCH_KEYS)
        self._on_device: Keyed[str, dict[UUID, int]] = Keyed(dict)

    def seen(self, each: Seen) -> list[Finding]:
        """One decision; what it shows."""
        if each.device is not None:
            self._forest.tie(("device", each.device), each.customer, each.at_us)
            used = self._on_device.use(each.device)
            used[each.customer] = each.at_us
            if len(used) > _HELD:
                used.pop(next(iter(used)))
        payer = self._accounts.use(each.customer)
        if not each.leaves:
            payer.spent.add(each.at_us, each.worth)
            return []
        payer.sent.add(each.at_us, each.worth)
        passes = self._passes_on(payer, each.at_us)
        if each.kind == "send" and each.outcome != "deny":
            self._accounts.use(each.payee).received.add(each.at_us, each.worth)
        if not passes:
            return []
        payer.passed = [*payer.passed[-_HELD:], each]
        self._forest.tie(("payee", each.payee), each.customer, each.at_us)
        if each.kind == "send":
            self._forest.tie(("payee", each.payee), each.payee, each.at_us)
        return self._network(each)

    def sweep(self, at_us: int) -> None:
        """Forget what is old. To be called now and then."""
        self._forest.sweep(at_us)

    def _passes_on(self, account: _Account, at_us: int) -> bool:
        received, sent, spent = (
            sum(amount for at, amount in window if at > at_us - SOON_US)
            for window in (account.received, account.sent, account.spent)
        )
        flows = received >= _LEAST and _PART * received <= sent <= received * 1.1
        return flows and spent <= (1 - _PART) * received

    def _network(self, each: Seen) -> list[Finding]:
        members = self._forest.component(each.customer)
        if len(members) > _CROWD:
            return []
        since = each.at_us - SPAN_US
        passers = {
            member: [seen for seen in account.passed if seen.at_us > since]
            for member in members
            if (account := self._accounts.get(member)) is not None and account.passed
        }
        passers = {member: seen for member, seen in passers.items() if seen}
        operated = self._on_device.get(each.device, {}) if each.device else {}
        if len(passers) < 2 and len(operated) < _ON_ONE_PHONE:
            return []
        return [_finding(each, members, passers, len(operated))]


def _finding(each: Seen, members: set[UUID], passers: dict[UUID, list[Seen]], operated: int) -> Finding:
    passed = sorted((seen for some in passers.values() for seen in some), key=lambda seen: seen.at_us)
    money = sum(seen.worth for seen in passed if not seen.stopped)
    last = passed[-1]
    mules = dict.fromkeys(passers, 0) | ({last.payee: 0} if last.kind == "send" else {})
    for seen in passed:
        mules[seen.customer] += seen.worth
        if seen.payee in mules:
            mules[seen.payee] = max(mules[seen.payee], seen.worth)
    return Finding(
        kind=KIND,
        about_kind="customer",
        # A network is named after the account that first passed money on in it: it stays the same as the network grows.
        about=str(passed[0].customer),
        severity="page",
        begun_us=passed[0].at_us,
        at_us=each.at_us,
        value=float(len(members)),
        usual=None,
        events=len(passed),
        money=money,
        evidence={
            "accounts": [str(one) for one in sorted(members)[: limits.SIGNAL_EVIDENCE]],
            "passers": len(passers),
            "on_one_device": operated,
            "payments": [str(seen.id) for seen in passed[-limits.SIGNAL_EVIDENCE :]],
        },
        subjects=tuple(
            Subject("customer", account, stake, _PPM)
            for account, stake in list(mules.items())[: limits.SIGNAL_ALERTS]
        ),
    )
