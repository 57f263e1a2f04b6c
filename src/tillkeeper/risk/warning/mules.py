"""Mule networks: money is followed from account to account. Pure.

A relay is an account that sends on nearly all of what just came in, to a person or a bank. People do that too: who collects for a
group, rents a flat out, helps a parent. So each relay is weighed by what it shows (signs.py): was it quick, is everybody a
stranger to everybody, does the account live otherwise, did the money come through another relay, is its phone or the payee another
account's as well. Accounts that relay to each other or share a phone belong together (connected components, kept as payments
come), and what speaks against them adds up until it is a network.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.risk.warning.forest import Forest
from tillkeeper.risk.warning.recent import Keyed, Window
from tillkeeper.risk.warning.signs import LOG_BOUND, RELAYS, Sign
from tillkeeper.risk.warning.types import Finding, Seen, SeenLogin, Subject

KIND: Final = "mule_network"
SECOND_US: Final = 1_000_000
HELD_US: Final = 86_400 * SECOND_US
"""Money that came in so long ago is the account's own."""
SPAN_US: Final = 7 * HELD_US
QUICK_US: Final = 600 * SECOND_US
AT_ONCE_US: Final = 60 * SECOND_US
_HELD: Final = 64
_PART: Final = 0.8
"""Of what came in, that a relay sends on; and of what it sends, that just came in."""
_LEAST: Final = 50_000
"""Minor units of the reference: less is passed on between friends every day."""
_TIES: Final = 3.0
"""Evidence of a relay from which on it ties its account to whom it sends to."""
_COUNTS: Final = 5.0
"""Evidence from which on it speaks against a network, what is shared included: else many who help each other would be one."""
_CROWD: Final = 40
"""A component of more accounts is a town, not a network."""
_QUIET: Final = 8
"""Payments of 30 days: who makes no more lives elsewhere."""
_SELDOM: Final = 5
"""Payments that an account received in 30 days, this one among them: who was paid no oftener is nobody's landlord."""
_PPM: Final = 800_000

_Thing = tuple[str, object]


class _Lot:
    """Money that came in: how much of it is there still, and was sent on to people or a bank. `hops`: relays it came through."""

    __slots__ = ("amount", "at_us", "hops", "left", "passed", "stranger")

    def __init__(self, at_us: int, amount: int, hops: int, *, stranger: bool | None) -> None:
        self.at_us, self.amount, self.hops, self.stranger = at_us, amount, hops, stranger
        self.left, self.passed = amount, 0


class _Relay(NamedTuple):
    """A payment by which an account sent on what had come in, and what speaks against it but for what is shared."""

    seen: Seen
    log: float


class _Account:
    """What came in within a day, and what was sent on of late. `network`: the name of the one it was last seen in, and when."""

    __slots__ = ("lots", "network", "relays")

    def __init__(self) -> None:
        self.lots: Window[_Lot] = Window(HELD_US, _HELD)
        self.relays: deque[_Relay] = deque(maxlen=_HELD)
        self.network: tuple[str, int] | None = None

    def trace(self, amount: int, since_us: int) -> list[tuple[_Lot, int]]:
        """Where an amount comes from: what came in last goes out first."""
        found = []
        for _, lot in reversed(self.lots):
            if lot.at_us <= since_us or amount <= 0:
                break
            part = min(lot.left, amount)
            if part:
                found.append((lot, part))
                amount -= part
        return found

    def inside(self, since_us: int, least_hops: int = 0) -> int:
        """What came in and is there still."""
        return sum(lot.left for _, lot in self.lots if lot.at_us > since_us and lot.hops >= least_hops)


class Mules:
    """Follows money, and the phones that accounts share."""

    def __init__(self) -> None:
        self._accounts: Keyed[UUID, _Account] = Keyed(_Account)
        self._forest: Forest[UUID, _Thing] = Forest(SPAN_US, limits.WATCH_KEYS)
        self._on_device: Keyed[str, dict[UUID, int]] = Keyed(dict)
        self._into: Keyed[UUID, dict[UUID, int]] = Keyed(dict)
        self._signs = {name: Sign(*each) for name, each in RELAYS.items()}

    def seen(self, each: Seen) -> list[Finding]:
        """One decision; what it shows."""
        tied = self._use(each.device, each.customer, each.at_us)
        account = self._accounts.known(each.customer)  # none: nothing ever came in
        traced = account.trace(each.worth, each.at_us - HELD_US) if account is not None else []
        if each.leaves:
            self._weigh(each, traced)
            tied = True
        if each.outcome in ("allow", "challenge"):
            self._move(each, traced)
        return self._network(each.customer, each.at_us) if tied else []

    def logged_in(self, each: SeenLogin) -> list[Finding]:
        """One try to log in: whoever has the password operates the account from there, or tries to."""
        if not each.succeeded or not self._use(each.device, each.customer, each.at_us):
            return []
        return self._network(each.customer, each.at_us)

    def remember(self, name: str, accounts: Iterable[UUID], at_us: int) -> None:
        """A network that was found before a restart: whatever of it is seen again is the same."""
        for each in accounts:
            self._accounts.use(each).network = (name, at_us)

    def sweep(self, at_us: int) -> None:
        """Forget what is old. To be called now and then."""
        self._forest.sweep(at_us)

    def _use(self, device: str | None, customer: UUID, at_us: int) -> bool:
        """An account is operated from a device; whether that is new."""
        if device is None:
            return False
        self._forest.tie(("device", device), customer, at_us)
        return _note(self._on_device.use(device), customer, at_us)

    def _move(self, each: Seen, traced: list[tuple[_Lot, int]]) -> None:
        for lot, part in traced:
            lot.left -= part
            lot.passed += part if each.leaves else 0
        if each.kind == "send":
            through = sum(part for _, part in traced) >= _PART * each.worth
            hops = 1 + max(lot.hops for lot, _ in traced) if through and traced else 0
            lot = _Lot(each.at_us, each.worth, hops, stranger=each.payee_new)
            self._accounts.use(each.payee).lots.add(each.at_us, lot)

    def _weigh(self, each: Seen, traced: list[tuple[_Lot, int]]) -> None:
        """Is it a relay, and what does it show?"""
        relay = _is_relay(each, traced)
        log = self._signs["relay"].weigh(relay)
        if not relay:
            return
        money = sum(part for _, part in traced)
        dwelt = sum((each.at_us - lot.at_us) * part for lot, part in traced) / money
        shown = {
            "at_once": dwelt < AT_ONCE_US,
            "quick": dwelt < QUICK_US,
            "from_stranger": _any_known(lot.stranger for lot, _ in traced),
            "to_stranger": each.payee_new,
            "quiet": None if each.count_30d is None else each.count_30d <= _QUIET,
            "to_quiet": None
            if each.kind != "send" or each.payee_count_30d is None
            else each.payee_count_30d <= _SELDOM,
            "on_fresh_device": None
            if each.device_age_s is None
            else each.device_age_s < QUICK_US // SECOND_US,
            "further": any(lot.hops for lot, _ in traced),
        }
        log += sum(self._signs[name].weigh(value) for name, value in shown.items())
        self._signs["shared"].learn(self._is_shared(each, each.at_us))
        self._accounts.use(each.customer).relays.append(_Relay(each, log))
        if log < _TIES:
            return
        self._forest.tie(("payee", each.payee), each.customer, each.at_us, _CROWD)
        _note(self._into.use(each.payee), each.customer, each.at_us)
        if each.kind == "send":
            self._forest.tie(("payee", each.payee), each.payee, each.at_us, _CROWD)

    def _is_shared(self, each: Seen, at_us: int) -> bool:
        """Whether another account is operated from the same device, or relays to the same payee, of late."""
        since = at_us - SPAN_US
        near = (self._on_device.get(each.device, {}) if each.device else {}, self._into.get(each.payee, {}))
        return any(at > since and one != each.customer for some in near for one, at in some.items())

    def _network(self, customer: UUID, at_us: int) -> list[Finding]:
        members = self._forest.component(customer)
        if len(members) > _CROWD:
            return []
        relays = {
            member: some
            for member in members
            if (account := self._accounts.get(member)) is not None
            and (some := [each for each in account.relays if each.seen.at_us > at_us - SPAN_US])
        }
        evidence, mules = 0.0, set[UUID]()
        for some in relays.values():
            shared = self._signs["shared"]
            best = max(each.log + shared.says(self._is_shared(each.seen, at_us)) for each in _strongest(some))
            if best >= _COUNTS:
                evidence += best
                mules |= {
                    one for each in some for one in (each.seen.customer, each.seen.payee) if one in members
                }
        if evidence < LOG_BOUND or len(mules) < 2:
            return []
        return [self._finding(members, mules, relays, evidence, at_us)]

    def _finding(
        self, members: set[UUID], mules: set[UUID], relays: dict[UUID, list[_Relay]], evidence: float, at_us: int
    ) -> Finding:  # fmt: skip
        passed = sorted((each.seen for some in relays.values() for each in some), key=lambda seen: seen.at_us)
        name = self._name(passed, at_us)
        since = at_us - HELD_US
        inside = {
            one: account.inside(since, int(one not in relays))
            for one in mules
            if (account := self._accounts.get(one)) is not None
        }
        stakes = {
            one: max(inside.get(one, 0), *(each.seen.worth for each in relays.get(one, ())), 0)
            for one in mules
        }
        ranked = sorted(stakes.items(), key=lambda each: (-each[1], each[0]))
        return Finding(
            kind=KIND,
            about_kind="customer",
            about=name,
            severity="page",
            begun_us=passed[0].at_us,
            at_us=at_us,
            value=float(len(mules)),
            usual=None,
            events=len(passed),
            money=sum(seen.worth for seen in passed if not seen.stopped),
            evidence={
                "accounts": [str(one) for one, _ in ranked[: limits.SIGNAL_EVIDENCE]],
                "passers": len(relays),
                "near": len(members),
                "inside": sum(inside.values()),
                "smallest": min(seen.worth for seen in passed),
                "payments": [str(seen.id) for seen in passed[-limits.SIGNAL_EVIDENCE :]],
            },
            log_e=evidence,
            log_bound=LOG_BOUND,
            subjects=tuple(
                Subject("customer", one, stake, _PPM) for one, stake in ranked[: limits.SIGNAL_ALERTS]
            ),
        )

    def _name(self, passed: list[Seen], at_us: int) -> str:
        """Of the account that first passed money on in it. A network keeps its name as it grows, and when that is forgotten: another
        name would be another signal, and people would be told again.
        """
        accounts = [self._accounts.use(one) for one in dict.fromkeys(seen.customer for seen in passed)]
        known = (each.network[0] for each in accounts if each.network and each.network[1] > at_us - SPAN_US)
        name = next(known, str(passed[0].customer))
        for each in accounts:
            each.network = (name, at_us)
        return name


def _strongest(relays: Iterable[_Relay]) -> Iterable[_Relay]:
    """Of those on the same device to the same payee, the one that shows most."""
    found: dict[tuple[str | None, UUID], _Relay] = {}
    for each in relays:
        way = each.seen.device, each.seen.payee
        if way not in found or found[way].log < each.log:
            found[way] = each
    return found.values()


def _is_relay(each: Seen, traced: list[tuple[_Lot, int]]) -> bool:
    """Whether a payment sends on what just came in, and with those before it nearly all of that."""
    came = sum(lot.amount for lot, _ in traced)
    passed = sum(lot.passed + part for lot, part in traced)
    return came >= _LEAST and passed >= _PART * came and sum(part for _, part in traced) >= _PART * each.worth


def _any_known(values: Iterable[bool | None]) -> bool | None:
    known = [each for each in values if each is not None]
    return any(known) if known else None


def _note(at: dict[UUID, int], account: UUID, at_us: int) -> bool:
    """An account was here; whether that is new. Of many only the last are remembered."""
    new = account not in at
    at[account] = max(at_us, at.pop(account, at_us))
    if len(at) > _HELD:
        at.pop(next(iter(at)))
    return new
