"""The detectors find the attacks they are for, and leave people in peace who only look like it."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillkeeper.base import limits
from tillkeeper.base.clock import from_us, to_us
from tillkeeper.base.ids import new_id
from tillkeeper.risk import load_rules, read_rules, with_rule
from tillkeeper.risk.warning import remedies
from tillkeeper.risk.warning.bust_out import BustOut
from tillkeeper.risk.warning.card_testing import CardTesting
from tillkeeper.risk.warning.forest import HUB, Forest
from tillkeeper.risk.warning.lookout import Lookout
from tillkeeper.risk.warning.mules import Mules
from tillkeeper.risk.warning.stakes import Budget, Precision, expected_loss, probability, wanted
from tillkeeper.risk.warning.stuffing import Stuffing
from tillkeeper.risk.warning.types import Finding, Seen, SeenLabel, SeenLogin, Signal

SECOND = 1_000_000
HOUR = 3600 * SECOND
BEGIN = 1_775_000_000 * SECOND


class Town:
    """Honest people who pay their shops on their own phones, from a few shared addresses."""

    def __init__(self, seed: int, people: int = 200, shops: int = 10) -> None:
        self.rng = random.Random(seed)
        self.people = [new_id() for _ in range(people)]
        self.shops = [new_id() for _ in range(shops)]
        self.now = BEGIN

    def day(self, payments: int, step: int = 20 * SECOND) -> Iterator[Seen]:
        for _ in range(payments):
            self.now += self.rng.randrange(2 * step)
            n = self.rng.randrange(len(self.people))
            new = self.rng.random() < 0.01
            yield seen(
                self.now,
                self.people[n],
                self.rng.choice(self.shops),
                device=f"new-{self.now}" if new else f"phone-{n}",
                ip=f"10.0.0.{n % 7}",
                amount=int(3000 * self.rng.lognormvariate(0, 0.6)),
                new_device=new,
            )


def seen(
    at_us: int, customer: UUID, payee: UUID, *, device: str | None = None, ip: str | None = None, amount: int = 1000,
    kind: str = "payment", outcome: str = "allow", reasons: tuple[str, ...] = (), new_device: bool | None = None,
    score: float | None = None, payee_new: bool | None = None, count_30d: int | None = None,
    payee_count_30d: int | None = None, device_age_s: int | None = None,
) -> Seen:  # fmt: skip
    return Seen(
        new_id(), at_us, kind, customer, payee, amount, device, ip, outcome, reasons, 1, score, new_device, payee_new,
        count_30d, payee_count_30d, device_age_s,
    )  # fmt: skip


def keys(found: Iterable[Finding]) -> set[tuple[str, str, str]]:
    return {each.key for each in found}


def test_one_device_with_many_wallets_is_card_testing_and_a_familys_tablet_is_not(seed: int) -> None:
    town, detector = Town(seed), CardTesting()
    assert [each for one in town.day(2000) for each in detector.seen(one)] == []
    family = town.people[:3]
    shared = [
        seen(town.now + n * 30 * SECOND, family[n % 3], town.shops[0], device="tablet") for n in range(60)
    ]
    assert [each for one in shared for each in detector.seen(one)] == []
    begin = shared[-1].at_us + HOUR
    attack = [
        seen(begin + n * SECOND, town.people[n], town.shops[1], device="x", amount=300) for n in range(9)
    ]
    found = [each for one in attack for each in detector.seen(one)]
    assert keys(found) == {("card_testing", "device", "x")}
    assert found[0].at_us <= begin + 5 * SECOND
    assert found[-1].begun_us <= begin + SECOND
    assert {each.id for each in found[-1].subjects} == set(town.people[:9])


def test_a_botnet_at_one_merchant_is_found_without_any_device_in_common(seed: int) -> None:
    town, detector = Town(seed), CardTesting()
    assert [each for one in town.day(3000) for each in detector.seen(one)] == []
    attack = [
        seen(town.now + n * SECOND, new_id(), town.shops[3], device=f"bot-{n}", ip=f"45.0.0.{n}", amount=200, new_device=True)
        for n in range(20)
    ]  # fmt: skip
    found = [each for one in attack for each in detector.seen(one)]
    assert keys(found) == {("card_testing", "merchant", str(town.shops[3]))}


def login(at_us: int, customer: UUID, ip: str, *, succeeded: bool, device: str | None = None) -> SeenLogin:
    return SeenLogin(new_id(), at_us, customer, succeeded, "allow", 0.1, (), ip, "4134", device)


def test_a_list_of_passwords_is_stuffing_and_a_forgotten_one_is_not(seed: int) -> None:
    rng, people, detector = random.Random(seed), [new_id() for _ in range(300)], Stuffing()
    at, found = BEGIN, []
    for _ in range(3000):
        at += rng.randrange(20 * SECOND)
        person = rng.randrange(300)
        found += detector.seen(
            login(at, people[person], f"39.0.0.{person % 9}", succeeded=rng.random() > 0.05)
        )
    for n in range(40):
        found += detector.seen(login(at + n * SECOND, people[0], "39.0.0.1", succeeded=False))
    assert found == []
    at += HOUR
    victims = people[100:130]
    for n, victim in enumerate(victims):
        found += detector.seen(
            login(at + n * SECOND, victim, "185.1.1.1", succeeded=n % 15 == 14, device="bot")
        )
    assert keys(found) == {("credential_stuffing", "ip", "185.1.1.1")}
    last = [each for each in found if each.about_kind == "ip"][-1]
    assert {each.id for each in last.subjects} == {victims[14], victims[29]}
    assert found[0].at_us - at < 12 * SECOND


def test_a_login_of_ones_own_between_the_tries_does_not_hide_a_list() -> None:
    detector, own, found = Stuffing(), new_id(), []
    for n in range(60):
        found += detector.seen(login(BEGIN + 2 * n * SECOND, new_id(), "45.0.0.9", succeeded=False))
        found += detector.seen(login(BEGIN + (2 * n + 1) * SECOND, own, "45.0.0.9", succeeded=True))
    assert ("credential_stuffing", "ip", "45.0.0.9") in keys(found)


def test_people_who_come_all_day_and_mistype_now_and_then_are_no_list() -> None:
    """Each is let in again and again, which says something once; so does mistyping, or the mistypes would pile up."""
    detector, people = Stuffing(), [new_id() for _ in range(40)]
    for n in range(4000):
        at, person = BEGIN + n * SECOND, people[n % 40]
        tries = (False, True) if n % 20 == (n // 40) % 20 else (True,)
        for succeeded in tries:
            assert not detector.seen(login(at, person, f"39.0.0.{n % 7}", succeeded=succeeded))


def test_a_payment_of_ones_own_between_the_tries_does_not_hide_them(seed: int) -> None:
    town, detector, own, found = Town(seed), CardTesting(), new_id(), []
    assert [each for one in town.day(1000) for each in detector.seen(one)] == []
    for n in range(60):
        at, shop, ip = town.now + n * SECOND, town.shops[2], "45.0.0.9"
        found += detector.seen(
            seen(at, new_id(), shop, device=f"bot-{n}", ip=ip, amount=200, new_device=True)
        )
        for _ in range(4):
            found += detector.seen(seen(at, own, shop, device="mine", ip=ip, amount=1, new_device=False))
    assert keys(found) == {
        ("card_testing", "ip", "45.0.0.9"),
        ("card_testing", "merchant", str(town.shops[2])),
    }


def test_of_one_batch_everybody_concerned_is_alerted_about() -> None:
    """Not only those whom the last finding names."""
    lookout, people = Lookout(), [new_id() for _ in range(340)]
    begun = [BEGIN + n * SECOND + 3 * HOUR * (n >= 300) for n in range(340)]
    opened = set(people[129:300:30])
    batch = [
        login(at, one, f"45.0.0.{n % 20}", succeeded=one in opened, device="bot")
        for n, (at, one) in enumerate(zip(begun, people, strict=True))
    ]
    found, _ = lookout.logged_in(batch, begun[-1])
    (at_device,) = [each for each in found if each.about_kind == "device"]
    assert {each.id for each in at_device.subjects} == opened


def test_a_list_tried_from_many_addresses_of_a_network_is_found_at_the_network() -> None:
    detector = Stuffing()
    tries = [login(BEGIN + n * SECOND, new_id(), f"185.1.{n}.1", succeeded=False) for n in range(30)]
    assert keys(each for one in tries for each in detector.seen(one)) == {
        ("credential_stuffing", "network", "4134")
    }


@pytest.mark.parametrize("about", sorted(remedies.AGAINST))
def test_every_proposed_rule_can_join_the_packages_rules(about: tuple[str, str]) -> None:
    found = {"largest": 900, "customers": 12, "devices": 3, "failed": 20}
    moment = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
    signal = Signal(
        new_id(), about[0], cast("Any", about[1]), "x", "page", "up", moment, moment, moment, None, 1.0, None, 20.0, 16.0, 12, 900,
        "CNY", found,
    )  # fmt: skip
    made = remedies.drafts(signal)
    name = remedies.rule_name(signal)
    text = remedies.as_text(name, made, moment + timedelta(hours=24))
    rules = read_rules(with_rule(load_rules(None).source, text), "test").rules[-len(made) :]
    assert [(each.name, each.until_us) for each in rules] == [
        (name + each.also, to_us(moment + timedelta(hours=24))) for each in made
    ]
    assert made[0].also == ""


def test_a_chain_of_mules_is_a_network_and_friends_are_not(seed: int) -> None:
    town, detector = Town(seed), Mules()
    found: list[Finding] = []
    for one in town.day(2000):
        found += detector.seen(one)
        if town.rng.random() < 0.1:
            a, b = town.rng.sample(town.people, 2)
            found += detector.seen(seen(one.at_us, a, b, kind="send", amount=20_000, device=f"phone-{a}"))
    assert found == []
    victim, first, second, third = town.people[0], new_id(), new_id(), new_id()
    at = town.now + HOUR
    chain = (
        (victim, first, 400_000),
        (first, second, 380_000),
        (second, third, 200_000),
        (second, third, 150_000),
    )
    for n, (payer, payee, amount) in enumerate(chain):
        found += detector.seen(seen(at + n * 60 * SECOND, payer, payee, kind="send", amount=amount, device=None if payer == victim else "office"))  # fmt: skip
    assert keys(found) == {("mule_network", "customer", str(first))}
    assert {each.id for each in found[-1].subjects} == {first, second, third}
    assert victim not in {each.id for each in found[-1].subjects}


def test_accounts_that_empty_themselves_into_one_bank_account_are_a_network() -> None:
    detector, bank, found = Mules(), new_id(), []
    mules = [new_id() for _ in range(3)]
    for n, mule in enumerate(mules):
        at = BEGIN + n * 600 * SECOND
        found += detector.seen(seen(at, new_id(), mule, kind="send", amount=300_000))
        found += detector.seen(seen(at + 60 * SECOND, mule, bank, kind="withdrawal", amount=290_000))
    assert keys(found) == {("mule_network", "customer", str(mules[0]))}
    assert {each.id for each in found[-1].subjects} == set(mules)
    assert found[-1].money == 3 * 290_000


def sent(
    minute: float, payer: UUID, payee: UUID, yuan: int, *, kind: str = "send", device: str | None = None, age: int = 0,
    payments: int = 1, outcome: str = "allow",
) -> Seen:  # fmt: skip
    """Between people who never paid each other before."""
    return seen(
        BEGIN + int(minute * 60) * SECOND, payer, payee, kind=kind, amount=yuan * 100, device=device, outcome=outcome,
        payee_new=True, count_30d=payments, payee_count_30d=1, device_age_s=age if device else None,
    )  # fmt: skip


def test_a_chain_that_is_held_at_its_first_step_is_a_network_as_soon_as_its_phone_shows() -> None:
    detector, victim, first, second = Mules(), new_id(), new_id(), new_id()
    assert not detector.seen(sent(0, victim, first, 4000, device="own", age=10**6, payments=20))
    assert not detector.seen(sent(0.05, first, second, 3800, device="office", outcome="hold"))
    (found,) = detector.logged_in(
        login(BEGIN + 5 * SECOND, second, "1.1.1.1", succeeded=True, device="office")
    )
    assert {each.id: each.stake for each in found.subjects} == {first: 400_000, second: 0}
    assert (found.money, found.evidence["inside"]) == (0, 400_000)


def test_the_money_is_followed_to_where_it_is() -> None:
    """Through two accounts, and out of the third: what is in them still can be held, what was withdrawn is gone."""
    detector, victim, (first, second, third) = Mules(), new_id(), [new_id() for _ in range(3)]
    steps = [
        sent(0, victim, first, 4000, device="own", age=10**6, payments=20),
        sent(1, first, second, 3800, device="office"),
        sent(2, second, third, 3700, device="office"),
        sent(3, third, new_id(), 3000, kind="withdrawal", device="office"),
    ]
    found = [finding for step in steps for finding in detector.seen(step)]
    assert keys(found) == {("mule_network", "customer", str(first))}
    assert found[0].at_us == steps[2].at_us
    assert [each.evidence["inside"] for each in (found[0], found[-1])] == [400_000, 100_000]
    assert set(found[-1].evidence["accounts"]) == {str(first), str(second), str(third)}
    assert found[-1].log_e > found[-1].log_bound


def test_a_herd_of_mules_that_feeds_one_account_stays_one_network() -> None:
    """More of them than may share a phone: nobody is paid by a crowd of relays by accident."""
    detector, collector, found = Mules(), new_id(), []
    mules = [new_id() for _ in range(20)]
    for n, mule in enumerate(mules):
        found += detector.seen(sent(n, new_id(), mule, 3000, payments=20))
        found += detector.seen(sent(n + 0.4, mule, collector, 2900, device=f"phone-{n}"))
        detector.sweep(BEGIN + n * 60 * SECOND)
    assert keys(found) == {("mule_network", "customer", str(mules[0]))}
    assert found[-1].value == 21
    assert found[-1].evidence["inside"] == 20 * 10_000 + 20 * 290_000


def test_a_network_keeps_its_name_when_its_beginning_is_forgotten() -> None:
    """Another name would be another signal, and tell people again: after a week, after many payments, after a restart."""
    detector, again = Mules(), Lookout()
    first, second, third = ring = [new_id() for _ in range(3)]

    def round_of(ring: list[UUID], minute: float) -> list[Seen]:
        return [
            sent(minute + n, payer, ring[(n + 1) % len(ring)], 3000, device="office", payments=20)
            for n, payer in enumerate(ring)
        ]

    days = [(ring if day < 5 else [second, third], day) for day in range(15)]
    start = detector.seen(sent(-1, new_id(), first, 3000, payments=20))
    found = start + [
        one for members, day in days for each in round_of(members, day * 1440) for one in detector.seen(each)
    ]
    assert keys(found) == {("mule_network", "customer", str(first))}
    assert str(first) not in found[-1].evidence["accounts"]
    moment = from_us(found[-1].at_us)
    lasts = Signal(
        new_id(), "mule_network", "customer", str(first), "page", "up", moment, moment, moment, None, 3.0, None, 20.0, 9.2, 9, 9,
        "CNY", found[-1].evidence,
    )  # fmt: skip
    again.remember([lasts])
    later = [each for minute in (15 * 1440, 15 * 1440 + 3) for each in round_of([third, second], minute)]
    signals, _ = again.decided(later, later[-1].at_us)
    assert keys(each for each in signals if each.kind == "mule_network") == keys(found)


def test_people_who_pass_money_on_are_no_network() -> None:
    """Strangers to each other, quick, and everything goes on; but each lives with a phone of their own."""
    for minutes in (1, 20):
        detector, people = Mules(), [new_id() for _ in range(8)]
        phones = [{"device": f"phone-{n}", "age": 86_400} for n in range(8)]
        employer, worker, mother = people[:3]
        story = [
            sent(0, employer, worker, 5000, payments=30, **phones[0]),  # type: ignore[arg-type]
            sent(minutes, worker, mother, 4500, payments=6, **phones[1]),  # type: ignore[arg-type]
            sent(2 * minutes, mother, new_id(), 4400, kind="withdrawal", payments=4, **phones[2]),  # type: ignore[arg-type]
        ]
        organiser, guide = people[3:5]
        story += [sent(3 * minutes, friend, organiser, 500, payments=30) for friend in people[5:]]
        story += [
            sent(4 * minutes, organiser, guide, 1500, payments=25, **phones[3]),  # type: ignore[arg-type]
            sent(5 * minutes, guide, new_id(), 1500, kind="withdrawal", payments=3, **phones[4]),  # type: ignore[arg-type]
        ]
        assert [finding for one in story for finding in detector.seen(one)] == []


def test_a_shop_that_suddenly_sells_much_on_few_phones_busts_out_and_a_busy_one_does_not(seed: int) -> None:
    town, detector = Town(seed), BustOut()
    assert [each for one in town.day(2000) for each in detector.seen(one)] == []
    # Lunch: ten times as many, everybody with their own phone.
    assert [each for one in town.day(300, 2 * SECOND) for each in detector.seen(one)] == []
    begin, shop = town.now + HOUR, town.shops[5]
    sales = [
        seen(begin + n * SECOND, town.people[n], shop, device=f"till-{n % 2}", amount=9000) for n in range(10)
    ]
    found = [each for one in sales for each in detector.seen(one)]
    assert keys(found) == {("merchant_bust_out", "merchant", str(shop))}
    assert found[-1].money == 10 * 9000
    assert found[-1].subjects[0].kind == "merchant"


def test_the_order_of_what_happens_at_one_moment_changes_no_verdict(seed: int) -> None:
    rng = random.Random(seed)
    shop, people = new_id(), [new_id() for _ in range(12)]
    attack = [seen(BEGIN, person, shop, device="x", amount=300) for person in people]
    for _ in range(5):
        rng.shuffle(attack)
        detector = CardTesting()
        found = [each for one in attack for each in detector.seen(one)]
        assert keys(found) == {("card_testing", "device", "x")}
        assert found[-1].events == 12


def test_a_clock_that_is_a_day_ahead_opens_no_window_for_a_day() -> None:
    lookout, day = Lookout(), 24 * HOUR
    found, _ = lookout.decided([seen(BEGIN + day, new_id(), new_id(), device="x") for _ in range(2)], BEGIN)
    for hour in range(1, 12):
        found += lookout.decided(
            [seen(BEGIN + hour * HOUR, new_id(), new_id(), device="x")], BEGIN + hour * HOUR
        )[0]
    assert found == []


def test_without_device_address_or_past_nothing_is_known_and_nothing_fails() -> None:
    lookout = Lookout()
    bare = [seen(BEGIN - n * HOUR, new_id(), new_id(), amount=10**12) for n in range(50)]
    found, worthy = lookout.decided(bare, BEGIN)
    assert (found, worthy) == ([], [])


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30), st.integers(0, 40)), max_size=120))
def test_components_are_those_of_the_ties_that_remain(ties: list[tuple[int, int, int]]) -> None:
    """Against a graph made anew from scratch: hubs tie nobody, and what is older than the span is forgotten."""
    span = 24
    forest: Forest[int, int] = Forest(span, 1000)
    sharing: dict[int, set[int]] = {}
    last: dict[int, int] = {}
    for at, (thing, account, gap) in zip(count(), ties, strict=False):
        now = at * 6 + gap // 20
        now = max([now, *last.values()])
        forest.tie(thing, account, now)
        sharing.setdefault(thing, set()).add(account)
        last[thing] = now
        forest.sweep(now + 1)
        horizon = now + 1 - span
        for old in [each for each, when in last.items() if when < horizon and len(sharing[each]) <= HUB]:
            del sharing[old], last[old]
        alive = [accounts for accounts in sharing.values() if len(accounts) <= HUB]
        assert forest.component(account) == component(account, alive)


def component(account: int, groups: list[set[int]]) -> set[int]:
    found = {account}
    while True:
        more = found.union(*(group for group in groups if group & found))
        if more == found:
            return found
        found = more


def test_of_a_steady_stream_the_budget_lets_its_capacity_through(seed: int) -> None:
    rng, budget, day = random.Random(seed), Budget(20), 24 * HOUR
    queued = []
    for n in range(1500):
        at = BEGIN + n * day // 300
        loss = int(1000 * rng.lognormvariate(0, 2))
        queued.append((at, loss, budget.admit(new_id(), loss, at)))
    after = [each for each in queued if each[0] > BEGIN + day]
    assert 0.7 * 20 < sum(each[2] for each in after) / 4 < 1.3 * 20
    assert min(each[1] for each in after if each[2]) > sorted(each[1] for each in after)[len(after) // 2]
    assert budget.below == sum(not each[2] for each in queued)


def test_a_subject_that_is_looked_into_costs_nothing_more() -> None:
    budget, known = Budget(1), new_id()
    assert budget.admit(known, 500, BEGIN)
    assert not budget.admit(new_id(), 400, BEGIN + 1)
    assert budget.admit(known, 1, BEGIN + 2)
    assert budget.admit(new_id(), 900, BEGIN + 3)
    assert budget.admit(new_id(), 1, BEGIN + 25 * HOUR)


def test_what_somebody_should_hear_of() -> None:
    precision = Precision({"good": (96, 96), "bad": (0, 96)})
    one = seen(BEGIN, new_id(), new_id(), outcome="challenge", reasons=("good",))
    assert wanted(one, probability(one, precision))
    one = seen(BEGIN, new_id(), new_id(), outcome="challenge", reasons=("bad",))
    assert not wanted(one, probability(one, precision))
    one = seen(BEGIN, new_id(), new_id(), outcome="hold", reasons=("bad",))
    assert wanted(one, probability(one, precision))
    one = seen(BEGIN, new_id(), new_id(), score=limits.ALERT_SCORE)
    assert wanted(one, probability(one, precision))
    # Two rules that agree weigh more than one; labels change what a rule weighs.
    both = seen(BEGIN, new_id(), new_id(), outcome="challenge", reasons=("a", "b"))
    assert 0.5 < probability(both, precision) < 0.52
    for _ in range(20):
        precision.learn(SeenLabel(new_id(), BEGIN, fraud=False, worth=1, reasons=("a", "b")))
    assert probability(both, precision) < 0.15
    assert expected_loss(10**12, 999_999) == 999_999_000_000
