"""The search form: what each text means, and which mistakes it can name."""

from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.faces.console.pages import search
from tillkeeper.payments.browse import Filter

ZONE = ZoneInfo("Asia/Shanghai")


def read(**query: str) -> search.Asked:
    return search.read(query, ZONE, ["CNY", "JPY"])


def test_nothing_asked_is_everything() -> None:
    assert read().wanted == Filter()
    assert not read(before="x").narrowed


def test_an_id_is_the_thing_itself() -> None:
    id_: UUID = new_id()
    assert read(q=to_typeid("pay", id_)).payment == id_
    assert read(q=f"  {to_typeid('cus', id_)} ").wanted.party == id_
    assert read(q=to_typeid("mer", id_)).wanted.party == id_
    assert read(q="order-7").wanted.reference == "order-7"
    assert read(q=to_typeid("ref", id_)).wanted.reference == to_typeid("ref", id_)


def test_amounts_are_read_in_their_currency() -> None:
    assert read(least="12.3", most="40").wanted == Filter(currency="CNY", least=1230, most=4000)
    assert read(least="12", currency="JPY").wanted == Filter(currency="JPY", least=12)
    assert read(least="12.5", currency="JPY").mistakes == {"least": "mistake.amount"}
    assert read(least="12.5", currency="QQQ").mistakes == {"least": "mistake.amount"}


def test_days_are_business_days_and_the_last_is_within() -> None:
    wanted = read(since="2026-04-15", until="2026-04-15").wanted
    assert wanted.since == datetime(2026, 4, 14, 16, tzinfo=UTC)
    assert wanted.until == datetime(2026, 4, 15, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "text", "mistake"),
    [
        ("state", "lost", "mistake.choice"),
        ("kind", "gift", "mistake.choice"),
        ("risk", "maybe", "mistake.choice"),
        ("failure", "bad luck", "mistake.choice"),
        ("since", "15.4.2026", "mistake.day"),
        ("until", "9999-12-31", "mistake.day"),
        ("most", "1e9", "mistake.amount"),
        ("most", "-", "mistake.amount"),
        ("most", "１２", "mistake.amount"),
        ("least", "9" * 40, "mistake.amount"),
    ],
)
def test_a_mistake_is_named_at_its_field(field: str, text: str, mistake: str) -> None:
    assert read(**{field: text}).mistakes == {field: mistake}


@pytest.mark.parametrize(
    ("wanted", "way"),
    [
        (Filter(), "time"),
        (Filter(state="declined"), "time"),
        (Filter(state="in_review"), "waiting"),
        (Filter(party=new_id()), "party"),
        (Filter(party=new_id(), state="declined"), "party"),
        (Filter(party=new_id(), reference="a"), "reference"),
    ],
)
def test_the_way_is_the_most_selective_index(wanted: Filter, way: str) -> None:
    assert wanted.way == way
