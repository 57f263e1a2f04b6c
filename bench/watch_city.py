"""The simulated city's payments, withdrawals and logins, decided in their order by the rules that come with the package.

No HTTP, no database, no scores of logins: rules that ask for a risky login have less to go by than on the platform. Money moves
only where it may: a challenge stops a thief, not the owner of an account.
"""

from collections.abc import Iterator
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.base.ids import new_id
from tillkeeper.risk import FEATURES, Attempt, Event, load_rules
from tillkeeper.risk.logins.networks import network_of
from tillkeeper.risk.profiles import Profiles
from tillkeeper.risk.warning import Seen, SeenLogin
from tillkeeper.simulation.acts import Change, Intent, LogIn, Pay, Send, Withdraw
from tillkeeper.simulation.city import City, build_city
from tillkeeper.simulation.plan import city_life

BEGIN_US: Final = 1_775_000_000_000_000
SHOPS: Final = 10**6  # shops are numbered from here, people from 1
_AGE, _DEVICES, _AMOUNT = (
    FEATURES[name].index for name in ("device_age_s", "customer_devices_30d", "amount")
)


class Told(msgspec.Struct, frozen=True):
    """A decision or a login, and the attack that it belongs to ("" and 0 if honest). `went`: money went, the account opened."""

    seen: Seen | SeenLogin
    attack: tuple[str, int]
    went: bool

    @property
    def honest(self) -> bool:
        """Whether it belongs to no attack."""
        return not self.attack[1]


class Life:
    """The city and its purses."""

    def __init__(self, seed: int, rate: float) -> None:
        self.city: City = build_city(seed)
        self._rate = rate
        self._rules = load_rules(None)
        self._profiles = Profiles(self._rules, ZoneInfo("Asia/Shanghai"))
        self._columns = [FEATURES[name].index for name in self._rules.features]
        self._funds = {each.index: each.funds for each in self.city.everybody()}
        self._purses = self._funds | {each.index: 1000 for each in self.city.mules}

    def told(self, payments: int) -> Iterator[Told]:
        """What happens until so many payments were made."""
        for intent in city_life(self.city, self._rate):
            act, at_us = intent.act, BEGIN_US + int(intent.at * 1_000_000)
            if isinstance(act, LogIn):
                yield self._login(act, intent, at_us)
            elif isinstance(act, Change):
                event = Event(
                    new_id(),
                    "setting",
                    at_us,
                    _person(act.customer),
                    act.scene.device,
                    act.scene.ip,
                    kind=act.kind,
                )
                self._profiles.observe_events([event])
            elif isinstance(act, Pay | Send) or (isinstance(act, Withdraw) and act.kind == "customer"):
                yield self._decide(act, intent, at_us)
                payments -= 1
            if not payments:
                return

    def _login(self, act: LogIn, intent: Intent, at_us: int) -> Told:
        who, scene, network = _person(act.customer), act.scene, network_of(act.scene.ip)
        event = Event(
            new_id(), "login", at_us, who, scene.device, scene.ip, network.name, network.country, act.succeeded
        )  # fmt: skip
        self._profiles.observe_events([event])
        seen = SeenLogin(
            event.id, at_us, who, act.succeeded, "allow", 0.0, (), scene.ip, network.name or None, scene.device
        )  # fmt: skip
        return Told(seen, (intent.truth, intent.attack), act.succeeded)

    def _decide(self, act: Pay | Send | Withdraw, intent: Intent, at_us: int) -> Told:
        attempt = self._attempt(act, at_us)
        values = self._profiles.observe([attempt])
        ((outcome, reasons),) = self._rules.decide(values[:, self._columns], [attempt.kind])
        went = outcome == "allow" or (outcome == "challenge" and intent.answers)
        if went:
            self._move(act, attempt.amount)
        return Told(_seen(attempt, values[0], outcome, reasons), (intent.truth, intent.attack), went)

    def _attempt(self, act: Pay | Send | Withdraw, at_us: int) -> Attempt:
        if isinstance(act, Withdraw):
            amount = max(1, self._purses[act.owner] * act.share_bp // 10_000)
            who = _person(act.owner)
            return Attempt(
                new_id(), "withdrawal", at_us, who, uuid5(NAMESPACE_OID, str(who)), amount, act.currency
            )
        amount, scene = act.amount, act.scene
        if isinstance(act, Send):
            amount = amount or max(1, self._purses[act.payer] * act.share_bp // 10_000)
        return Attempt(
            id=new_id(),
            kind="send" if isinstance(act, Send) else "payment",
            at_us=at_us,
            customer=_person(act.payer),
            payee=_person(act.payee) if isinstance(act, Send) else UUID(int=SHOPS + act.merchant),
            amount=amount,
            currency=act.currency,
            device=scene.device,
            ip=scene.ip,
            latitude=scene.place.latitude if scene.place else None,
            longitude=scene.place.longitude if scene.place else None,
        )

    def _move(self, act: Pay | Send | Withdraw, amount: int) -> None:
        payer = act.owner if isinstance(act, Withdraw) else act.payer
        self._purses[payer] -= amount
        if self._purses[payer] < 0:
            self._purses[payer] = self._funds[payer]
        if isinstance(act, Send):
            self._purses[act.payee] += amount


def _person(index: int) -> UUID:
    return UUID(int=index + 1)


def _seen(attempt: Attempt, row: Any, outcome: str, reasons: tuple[str, ...]) -> Seen:
    age, devices = float(row[_AGE]), float(row[_DEVICES])
    new_device = None if age != age else age == 0 and devices >= 2  # noqa: PLR0124 - NaN is what differs from itself
    return Seen(
        attempt.id, attempt.at_us, attempt.kind, attempt.customer, attempt.payee, int(row[_AMOUNT]), attempt.device,
        attempt.ip, outcome, reasons, 1, None, new_device,
    )  # fmt: skip
