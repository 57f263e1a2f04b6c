"""Each attack has the shape it is named for."""

from collections.abc import Callable
from random import Random

import pytest

from tillkeeper.simulation import City, build_city
from tillkeeper.simulation.acts import HONEST, Change, Intent, LogIn, Pay, Send, Withdraw
from tillkeeper.simulation.places import distance_km
from tillkeeper.simulation.thieves import KINDS, LOGIN_KINDS

Attack = Callable[[str], list[list[Intent]]]
START = 100.0
TIMES = 20


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(3)


@pytest.fixture
def attack(city: City, seed: int) -> Attack:
    """Several attacks of one kind, each with its intents in order of time."""

    def plan(kind: str) -> list[list[Intent]]:
        rng = Random(seed)
        return [sorted(KINDS[kind](rng, city, START, 1), key=lambda intent: intent.at) for _ in range(TIMES)]

    return plan


def stolen(intents: list[Intent]) -> list[Intent]:
    return [intent for intent in intents if intent.truth != HONEST]


def pays(intents: list[Intent]) -> list[Pay]:
    return [intent.act for intent in intents if isinstance(intent.act, Pay)]


def sends(intents: list[Intent]) -> list[Send]:
    return [intent.act for intent in intents if isinstance(intent.act, Send)]


def own_devices(city: City) -> set[str]:
    return {device for person in city.people for device in person.devices}


@pytest.mark.parametrize("kind", KINDS)
def test_every_attack_is_labelled_and_over_in_thirteen_seconds(attack: Attack, kind: str) -> None:
    for intents in attack(kind):
        assert {intent.truth for intent in intents} <= {HONEST, kind}
        assert stolen(intents)
        assert {intent.attack for intent in stolen(intents)} == {1}
        assert START <= intents[0].at <= intents[-1].at < START + 13


@pytest.mark.parametrize("kind", KINDS)
def test_a_thief_answers_challenges_only_from_accounts_that_are_theirs(attack: Attack, kind: str) -> None:
    for intents in attack(kind):
        answers = {
            intent.answers for intent in stolen(intents) if not isinstance(intent.act, Withdraw | LogIn)
        }
        assert answers == {kind == "mule_chain"}


def test_card_testing_is_many_wallets_and_tiny_amounts_from_one_device(attack: Attack, city: City) -> None:
    for intents in attack("card_testing"):
        acts = pays(intents)
        assert len(acts) == len({act.payer for act in acts}) == len(intents)
        assert 12 <= len(acts) <= 18
        assert len({act.scene for act in acts}) == len({act.merchant for act in acts}) == 1
        assert acts[0].scene.device not in own_devices(city)
        assert max(act.amount for act in acts) <= 900


def test_takeover_is_a_new_device_far_away_that_drains_to_a_mule(attack: Attack, city: City) -> None:
    for intents in attack("takeover"):
        (probe,), drains, withdrawal = pays(intents), sends(intents), intents[-1].act
        victim = city.customer(probe.payer)
        login, change = intents[0].act, intents[1].act
        assert isinstance(login, LogIn)
        assert isinstance(change, Change)
        assert (login.customer, change.customer, change.kind) == (victim.index, victim.index, "password")
        assert login.scene == change.scene == probe.scene
        assert {act.payer for act in drains} == {probe.payer}
        assert {act.scene for act in drains} == {probe.scene}
        assert probe.scene.device not in own_devices(city)
        assert probe.scene.place is not None
        assert distance_km(probe.scene.place, victim.home) > 500
        assert len({act.payee for act in drains}) == 1
        assert drains[0].payee not in victim.friends
        assert 3 <= len(drains) <= 5
        assert isinstance(withdrawal, Withdraw)
        assert withdrawal.owner == drains[0].payee


def test_stuffing_tries_many_accounts_from_one_address_and_few_passwords_are_right(
    city: City, seed: int
) -> None:
    rng = Random(seed)
    for _ in range(TIMES):
        acts = [intent.act for intent in LOGIN_KINDS["stuffing"](rng, city, START, 1)]
        logins = [act for act in acts if isinstance(act, LogIn)]
        assert 30 <= len(acts) == len(logins) == len({act.customer for act in logins})
        assert len({act.scene.ip for act in logins}) == 1
        assert sum(act.succeeded for act in logins) <= len(logins) / 3


def test_mule_chain_runs_from_hand_to_hand_and_out(attack: Attack, city: City) -> None:
    for intents in attack("mule_chain"):
        first, *rest = sends(intents)
        victim = city.people[first.payer]
        assert first.scene.device in victim.devices
        assert [act.payer for act in rest] == [first.payee, rest[0].payee, rest[0].payee]
        assert rest[1].payee == rest[2].payee
        assert len({act.scene.device for act in rest}) == 1
        assert isinstance(intents[-1].act, Withdraw)
        assert intents[-1].act.owner == rest[-1].payee


def test_bust_out_is_large_sales_at_one_shop_which_then_takes_the_money(attack: Attack, city: City) -> None:
    for intents in attack("bust_out"):
        acts = pays(intents)
        assert len({act.merchant for act in acts}) == 1
        assert 8 <= len(acts) == len({act.payer for act in acts}) <= 11
        assert len({act.scene.device for act in acts}) <= 2
        assert all(act.amount <= city.people[act.payer].funds // 2 for act in acts)
        assert isinstance(intents[-1].act, Withdraw)
        assert (intents[-1].act.kind, intents[-1].act.owner) == ("merchant", acts[0].merchant)


def test_impossible_travel_is_one_wallet_in_two_towns_at_once(attack: Attack) -> None:
    own = 0
    for intents in attack("impossible_travel"):
        meal, *copies = pays(intents)
        assert intents[0].truth == HONEST
        assert {act.payer for act in copies} == {meal.payer}
        assert 2 <= len(copies) <= 3
        for act in copies:
            assert meal.scene.place is not None
            assert act.scene.place is not None
            assert distance_km(meal.scene.place, act.scene.place) > 550
        own += copies[0].scene.device == meal.scene.device
    assert 0 < own < TIMES, "some copies show the owner's device, some do not"


def test_skimming_uses_wallets_that_paid_at_one_shop_each_once_elsewhere(attack: Attack, city: City) -> None:
    for intents in attack("skimming"):
        meals = [intent for intent in intents if intent.truth == HONEST]
        copies = stolen(intents)
        guests = {act.payer for act in pays(meals)}
        (skimmer,) = {act.merchant for act in pays(meals)}
        assert {act.payer for act in pays(copies)} == guests
        assert len(copies) == len(guests) >= 5
        assert all(skimmer in sum(city.people[guest].favourites, ()) for guest in guests)
        assert len({act.scene.device for act in pays(copies)} & own_devices(city)) == 0
        assert min(intent.at for intent in copies) > max(intent.at for intent in meals)
