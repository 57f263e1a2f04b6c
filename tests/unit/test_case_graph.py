"""Which neighbours a picture shows, and where they stand."""

import random
from datetime import UTC, datetime
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.risk.cases.graph import FARTHEST, Key, Picture, Tie, draw, hubs_of, party

AT = datetime(2026, 4, 15, 12, tzinfo=UTC)


def who(number: int) -> UUID:
    return UUID(int=number)


def tie(customer: int, kind: str, entity: str | int) -> Tie:
    return Tie(kind, str(who(entity)) if isinstance(entity, int) else entity, who(customer), AT, 1)


def names(picture: Picture) -> dict[Key, int]:
    return {node.key: node.level for node in picture.nodes}


def drawn(*ties: Tie, hubs: tuple[Key, ...] = (), start: int = 1) -> Picture:
    return draw(party(who(start)), ties, hubs)


def test_who_shares_a_thing_is_near_and_what_one_used_alone_is_counted() -> None:
    picture = drawn(
        tie(1, "device", "phone"), tie(2, "device", "phone"), tie(1, "ip", "10.0.0.1"), tie(1, "payee", 90)
    )
    assert names(picture) == {party(who(1)): 0, ("device", "phone"): 1, party(who(2)): 2}
    assert picture.alone == 2
    assert [(each.user, each.thing) for each in picture.edges] == [(0, 1), (2, 1)]


def test_two_hops_and_no_farther() -> None:
    picture = drawn(
        *(tie(n, "device", f"d{n}") for n in (1, 2, 3, 4)),
        *(tie(n + 1, "device", f"d{n}") for n in (1, 2, 3)),
    )
    assert names(picture)[party(who(3))] == FARTHEST
    assert party(who(4)) not in names(picture)


def test_a_mule_is_one_node_as_payee_and_as_customer() -> None:
    picture = drawn(tie(1, "payee", 5), tie(5, "device", "mule phone"), tie(6, "device", "mule phone"))
    assert names(picture) == {
        party(who(1)): 0,
        party(who(5)): 1,
        ("device", "mule phone"): 2,
        party(who(6)): 3,
    }


def test_payers_of_one_payee_are_near_each_other() -> None:
    picture = drawn(tie(1, "payee", 9), tie(2, "payee", 9), tie(3, "account", "bank"), start=1)
    assert names(picture) == {party(who(1)): 0, party(who(9)): 1, party(who(2)): 2}


def test_whoever_is_looked_at_is_always_shown() -> None:
    assert names(drawn()) == {party(who(1)): 0}
    assert names(drawn(tie(1, "device", "phone"))) == {party(who(1)): 0}


def test_a_hub_ties_nobody_to_anybody() -> None:
    many = [tie(n, "payee", 500) for n in range(1, limits.TIE_HUB + 2)]
    assert hubs_of(many) == {party(who(500))}
    assert hubs_of(many[1:]) == set()
    picture = draw(party(who(1)), many, hubs_of(many))
    assert names(picture) == {party(who(1)): 0}
    assert picture.hubs == (party(who(500)),)


def test_a_picture_is_bounded_whole_and_always_the_same(seed: int) -> None:
    chance = random.Random(seed)
    ties = [
        tie(chance.randrange(1, 200), chance.choice(["device", "ip"]), f"t{chance.randrange(150)}")
        for _ in range(900)
    ]
    # Somebody drawn by lot is in one seed of a hundred nobody's neighbour: who is looked at shares two things for certain.
    ties += [tie(1, "device", "t0"), tie(1, "ip", "t1")]
    picture = draw(party(who(1)), ties, ())
    chance.shuffle(ties)
    assert draw(party(who(1)), ties, ()) == picture
    assert len(picture.nodes) <= limits.NEIGHBOURS
    assert picture.cut
    assert len({(node.level, node.place) for node in picture.nodes}) == len(picture.nodes)
    ends = {end for each in picture.edges for end in (each.user, each.thing)}
    assert ends | {0} == set(range(len(picture.nodes))), "nothing stands in it untied"
    beside: dict[int, set[int]] = {}
    for each in picture.edges:
        beside.setdefault(each.user, set()).add(each.thing)
        beside.setdefault(each.thing, set()).add(each.user)
    assert all(len(beside[n]) > 1 for n, node in enumerate(picture.nodes) if node.kind != "party"), (
        "a thing of one customer says nothing"
    )
