"""The simulated city's payments, withdrawals and logins, decided in their order by the rules that come with the package.

No HTTP, no database, no model of payments. First the city lives without thieves, so that people are known, as they are on a platform
that was not opened today. Logins are compared with their customer's past as on the platform. Money moves only where it may: a
challenge stops a thief, not the owner of an account; what is held stays with the payer.
"""

from collections import defaultdict
from collections.abc import Iterator
from heapq import merge
from itertools import chain, takewhile
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from bench.watch_neighbours import FIRST, Neighbours
from tillkeeper.base.ids import new_id
from tillkeeper.risk import FEATURES, Attempt, Event, load_rules
from tillkeeper.risk.logins import Login, Thresholds
from tillkeeper.risk.logins.agents import agent_of
from tillkeeper.risk.logins.habits import Comparison, Population, Trace, compare, trace_of
from tillkeeper.risk.logins.networks import network_of
from tillkeeper.risk.profiles import Profiles
from tillkeeper.risk.warning import Seen, SeenLogin
from tillkeeper.simulation.acts import Change, Intent, LogIn, Pay, Send, Withdraw
from tillkeeper.simulation.city import City, build_city
from tillkeeper.simulation.habits import HonestLife
from tillkeeper.simulation.plan import city_life
from tillkeeper.simulation.visits import visits

BEGIN_US: Final = 1_775_000_000_000_000
SHOPS: Final = 10**6  # shops are numbered from here, people from 1
BEFORE: Final = 1000.0
"""Seconds without thieves, unless somebody asks for others."""
_EAST_US: Final = 8 * 3600 * 1_000_000
_READ: Final = (
    "device_age_s",
    "customer_devices_30d",
    "amount",
    "payee_new",
    "customer_count_30d",
    "payee_count_30d",
)
_COLUMNS: Final = [FEATURES[name].index for name in _READ]


class Told(msgspec.Struct, frozen=True):
    """A decision or a login, and the attack that it belongs to ("" and 0 if honest). `story`: of honest money that moves like
    that of mules. `went`: money went, the account opened.

    `taken`: minor units that a victim was to lose by it; `gone`: that left the platform, or became goods, with it.
    """

    seen: Seen | SeenLogin
    attack: tuple[str, int]
    went: bool
    taken: int = 0
    gone: int = 0
    story: str = ""

    @property
    def honest(self) -> bool:
        """Whether it belongs to no attack."""
        return not self.attack[1]


class Life:
    """The city and its purses. `before`: seconds that it lives without thieves."""

    def __init__(self, seed: int, rate: float, before: float = BEFORE) -> None:
        self._before = before
        self.city: City = build_city(seed)
        self._rate = rate
        self._rules = load_rules(None)
        self._profiles = Profiles(self._rules, ZoneInfo("Asia/Shanghai"))
        self._columns = [FEATURES[name].index for name in self._rules.features]
        self._funds = {each.index: each.funds for each in self.city.people}
        self._purses: dict[int, int] = defaultdict(lambda: 1000, self._funds)
        self._tills: dict[int, int] = defaultdict(int)
        self._population = Population(100_000)
        self._past: dict[int, list[Trace]] = defaultdict(list)

    def told(self, payments: int) -> Iterator[Told]:
        """What happens until so many payments were made, not counting those from before there were thieves."""
        for story, intent in self._stream():
            act, at_us = intent.act, BEGIN_US + int(intent.at * 1_000_000)
            if isinstance(act, LogIn):
                yield self._login(act, intent, at_us)
            elif isinstance(act, Change):
                scene = act.scene
                event = Event(
                    new_id(), "setting", at_us, _person(act.customer), scene.device, scene.ip, kind=act.kind
                )
                self._profiles.observe_events([event])
            elif isinstance(act, Pay | Send | Withdraw):
                yield self._decide(act, intent, at_us, story)
                payments -= intent.at >= self._before
            if not payments:
                return

    def _stream(self) -> Iterator[tuple[str, Intent]]:
        rate, city = self._rate, self.city
        before = merge(
            HonestLife(city, rate, "before").intents(), visits(city, rate, "before"), key=lambda each: each.at
        )
        after = (msgspec.structs.replace(each, at=each.at + self._before) for each in city_life(city, rate))
        lived = chain(takewhile(lambda each: each.at < self._before, before), after)
        return merge((("", each) for each in lived), Neighbours(city).stories(), key=lambda each: each[1].at)

    def _login(self, act: LogIn, intent: Intent, at_us: int) -> Told:
        who, scene, network = _person(act.customer), act.scene, network_of(act.scene.ip)
        found = self._compare(act, at_us)
        event = Event(
            new_id(), "login", at_us, who, scene.device, scene.ip, network.name, network.country, act.succeeded,
            found.score,
        )  # fmt: skip
        self._profiles.observe_events([event])
        outcome = Thresholds().outcome(found.score)
        opened = act.succeeded and (outcome == "allow" or (outcome == "ask_again" and intent.answers))
        seen = SeenLogin(
            event.id, at_us, who, act.succeeded, outcome, found.score, found.reasons, scene.ip, network.name or None,
            scene.device,
        )  # fmt: skip
        return Told(seen, (intent.truth, intent.attack), opened)

    def _compare(self, act: LogIn, at_us: int) -> Comparison:
        scene, who = act.scene, _person(act.customer)
        place = (scene.place.latitude, scene.place.longitude) if scene.place else (None, None)
        login = Login(
            new_id(), at_us, who, act.succeeded, scene.ip, network_of(scene.ip), agent_of(act.agent), scene.device,
            *place,
        )  # fmt: skip
        trace, past = trace_of(login, _EAST_US), self._past[act.customer]
        found = compare(trace, past, self._population)
        if act.succeeded and Thresholds().outcome(found.score) == "allow":
            past.insert(0, trace)
            del past[50:]
            self._population.add(who.bytes, trace)
        return found

    def _decide(self, act: Pay | Send | Withdraw, intent: Intent, at_us: int, story: str) -> Told:
        attempt = self._attempt(act, at_us)
        values = self._profiles.observe([attempt])
        ((outcome, reasons),) = self._rules.decide(values[:, self._columns], [attempt.kind])
        # Whoever asks for a code at a withdrawal is a person who looks: nobody talks their way past one.
        asked = outcome == "challenge" and not isinstance(act, Withdraw)
        went = outcome == "allow" or (asked and intent.answers)
        if went:
            self._move(act, attempt.amount)
        thieves = bool(intent.attack)
        taken = (
            attempt.amount if thieves and not isinstance(act, Withdraw) and act.payer in self._funds else 0
        )
        goods = isinstance(act, Pay) and intent.truth != "bust_out"
        gone = attempt.amount if thieves and went and (goods or isinstance(act, Withdraw)) else 0
        return Told(
            _seen(attempt, values[0, _COLUMNS].tolist(), outcome, reasons),
            (intent.truth, intent.attack), went, taken, gone, story,
        )  # fmt: skip

    def _attempt(self, act: Pay | Send | Withdraw, at_us: int) -> Attempt:
        if isinstance(act, Withdraw):
            shop = act.kind == "merchant"
            purse = self._tills[act.owner] if shop else self._purses[act.owner]
            amount = max(1, purse * act.share_bp // 10_000)
            who = UUID(int=SHOPS + act.owner) if shop else _person(act.owner)
            bank = uuid5(NAMESPACE_OID, str(who))
            return Attempt(
                new_id(), "payout" if shop else "withdrawal", at_us, who, bank, amount, act.currency
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
        if isinstance(act, Withdraw) and act.kind == "merchant":
            self._tills[act.owner] -= amount
            return
        payer = act.owner if isinstance(act, Withdraw) else act.payer
        self._purses[payer] -= amount
        if self._purses[payer] < 0:
            self._purses[payer] = self._funds.get(payer, 1000)
        if isinstance(act, Send):
            self._purses[act.payee] += amount
        elif isinstance(act, Pay):
            self._tills[act.merchant] += amount


def _person(index: int) -> UUID:
    return UUID(int=index + 1 if index < FIRST else (1 << 64) + index)


def _seen(attempt: Attempt, cells: list[Any], outcome: str, reasons: tuple[str, ...]) -> Seen:
    age, devices, amount, payee_new, count, received = cells
    new_device = None if age != age else age == 0 and devices >= 2  # noqa: PLR0124 - NaN is what differs from itself
    return Seen(
        attempt.id, attempt.at_us, attempt.kind, attempt.customer, attempt.payee, int(amount), attempt.device, attempt.ip,
        outcome, reasons, 1, None, new_device, payee_new > 0, int(count), int(received),
        None if age != age else int(age),  # noqa: PLR0124
    )  # fmt: skip
