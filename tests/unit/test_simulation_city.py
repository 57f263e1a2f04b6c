"""The city: the same seed gives the same city and the same life, and both look like a city."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import islice, takewhile
from pathlib import Path
from statistics import median

import msgspec
import pytest

from tillkeeper.base.personal import id_number, phone_number
from tillkeeper.simulation import City, build_city, city_life
from tillkeeper.simulation.acts import HONEST, Intent, Pay, Send, Spoil
from tillkeeper.simulation.faults import FAULTS
from tillkeeper.simulation.habits import HonestLife
from tillkeeper.simulation.latencies import Latencies
from tillkeeper.simulation.places import FAR_PLACES, TOWNS, distance_km
from tillkeeper.simulation.rhythm import city_hour, shop_weights
from tillkeeper.simulation.shops import CATEGORIES


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(7)


@pytest.fixture(scope="module")
def month(city: City) -> list[Intent]:
    return list(islice(HonestLife(city, 100.0).intents(), 20_000))


def fingerprint(seed: int) -> str:
    small = build_city(seed, customers=300, merchants=80, mules=20)
    life = list(islice(city_life(small, 100.0), 2000))
    return hashlib.sha256(msgspec.json.encode((small, [repr(intent) for intent in life]))).hexdigest()


def test_same_seed_same_city_in_another_process() -> None:
    program = "from tests.unit.test_simulation_city import fingerprint; print(fingerprint(11))"
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.strip() == fingerprint(11)


def test_another_seed_is_another_city() -> None:
    assert fingerprint(11) != fingerprint(12)


def test_peoples_numbers_are_right_in_form_and_their_own(city: City) -> None:
    people = city.everybody()
    for person in people:
        assert phone_number(person.phone).endswith(person.phone.removeprefix("+"))
        if person.id_number is not None:
            assert id_number(person.id_number) == person.id_number
    residents = [person for person in people if not person.name.isascii()]
    assert len({person.phone for person in residents}) == len(residents) > 1500
    with_id = [person.id_number for person in people if person.id_number]
    assert 0.85 < len(with_id) / len(people) < 0.95
    assert all(each[2:6] == "0199" or each.startswith("UTO") for each in with_id)


def test_another_chapter_is_another_life_of_the_same_city(city: City) -> None:
    first = list(islice(city_life(city, 100.0, ""), 100))
    assert first == list(islice(city_life(city, 100.0, ""), 100))
    assert first != list(islice(city_life(city, 100.0, "pay_1"), 100))


def test_everybody_can_be_told_apart(city: City) -> None:
    everybody = city.everybody()
    assert len({person.reference for person in everybody}) == len(everybody)
    assert len({device for person in everybody for device in person.devices}) == sum(
        len(person.devices) for person in everybody
    )
    assert [person.index for person in everybody] == list(range(len(everybody)))
    assert [city.customer(index) for index in range(len(everybody))] == list(everybody)
    assert len({shop.reference for shop in city.shops}) == len(city.shops) == 300


def test_people_live_work_and_shop_in_their_own_town(city: City) -> None:
    for person in city.people:
        assert distance_km(person.home, person.work) < 60
        assert person.index not in person.friends
        assert len(person.favourites) == len(CATEGORIES)
        for favourites in person.favourites:
            assert {city.shops[index].town for index in favourites} <= {None, person.town}
    assert len({person.town for person in city.people}) == len(TOWNS)


def test_homes_and_workplaces_are_shared(city: City) -> None:
    """Several customers behind one address are ordinary: a rule that calls that fraud would be wrong here too."""
    homes = Counter(person.ips[0] for person in city.people)
    works = Counter(person.ips[1] for person in city.people)
    assert max(homes.values()) >= 2
    assert max(works.values()) >= 10


def test_far_places_are_far() -> None:
    for town in TOWNS:
        for _, centre in town.districts:
            assert min(distance_km(centre, far) for far in FAR_PLACES) > 500


def test_wallets_in_other_currencies(city: City) -> None:
    second = Counter(person.currencies[1] for person in city.people if len(person.currencies) > 1)
    assert set(second) == {"USD", "EUR", "JPY"}
    assert 0.04 < second.total() / len(city.people) < 0.13


def test_payments_come_at_the_rate_asked_for_and_nobody_pays_in_a_frenzy(month: list[Intent]) -> None:
    payments = [intent for intent in month if isinstance(intent.act, Pay | Send)]
    assert 95 < len(payments) / payments[-1].at < 105
    assert [intent.at for intent in month] == sorted(intent.at for intent in month)
    minute = Counter(
        intent.act.payer for intent in month if isinstance(intent.act, Pay | Send) and intent.at < 60
    )
    assert max(minute.values()) <= 8


def test_honest_amounts_are_positive_and_many_are_small(month: list[Intent]) -> None:
    """Tiny amounts are ordinary, so that an amount alone does not give card testing away."""
    amounts = [intent.act.amount for intent in month if isinstance(intent.act, Pay | Send)]
    assert min(amounts) >= 50
    assert sum(amount <= 900 for amount in amounts) / len(amounts) > 0.1
    assert 1500 < median(amounts) < 5000


def test_honest_life_has_every_way_to_pay(month: list[Intent]) -> None:
    shopping = [intent.act for intent in month if isinstance(intent.act, Pay)]
    assert {act.qr for act in shopping} == {"", "open", "fixed"}
    assert {step.deed for act in shopping for step in act.after} == {"capture", "void", "refund"}
    assert {act.currency for act in shopping} == {"CNY", "USD", "EUR", "JPY"}
    assert any(act.repeat for act in shopping)
    assert all(bool(act.manual) == (bool(act.after) and act.after[0].deed != "refund") for act in shopping)
    assert all(intent.truth == HONEST for intent in month)
    assert {intent.act.fault for intent in month if isinstance(intent.act, Spoil)} <= set(FAULTS)


def test_the_hour_changes_where_people_go() -> None:
    names = [category.name for category in CATEGORIES]
    morning, evening = shop_weights(1, 8), shop_weights(1, 19)
    assert morning[names.index("breakfast")] > 5 * evening[names.index("breakfast")]
    assert shop_weights(5, 19)[names.index("cinema")] > 1.5 * evening[names.index("cinema")]


def test_a_city_day_passes_in_four_thousand_payments() -> None:
    assert city_hour(0) == (0, 7)
    assert city_hour(4000) == (1, 7)
    assert city_hour(4000 * 7) == (0, 7)


def test_in_half_a_minute_every_kind_of_attack_happens_and_one_to_three_percent_are_fraud(seed: int) -> None:
    for number in range(seed, seed + 5):
        life = takewhile(lambda intent: intent.at < 30, city_life(build_city(number % 10_000), 100.0))
        payments = [intent for intent in life if isinstance(intent.act, Pay | Send)]
        kinds = Counter(intent.truth for intent in payments)
        assert len(kinds) == 7
        assert 0.008 < 1 - kinds[HONEST] / len(payments) < 0.03  # 0.0134, give or take 0.0008


def test_percentiles_are_exact_to_two_percent() -> None:
    latencies = Latencies()
    for millisecond in range(1, 1001):
        latencies.add(millisecond / 1000)
    assert latencies.percentile(50) == pytest.approx(0.5, rel=0.025)
    assert latencies.percentile(99) == pytest.approx(0.99, rel=0.025)
    assert Latencies().percentile(99) == 0.0
