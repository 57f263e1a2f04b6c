"""Ids: TypeIDs as the public specification has them, in the order of the UUIDs, and nothing else is read."""

import contextlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.base.ids import BadIdError, first_id_at, from_typeid, new_id, to_typeid

# Of the specification's list of valid TypeIDs.
KNOWN = {
    "prefix_00000000000000000000000000": "00000000-0000-0000-0000-000000000000",
    "prefix_00000000000000000000000001": "00000000-0000-0000-0000-000000000001",
    "prefix_0000000000000000000000000a": "00000000-0000-0000-0000-00000000000a",
    "prefix_00000000000000000000000010": "00000000-0000-0000-0000-000000000020",
    "prefix_7zzzzzzzzzzzzzzzzzzzzzzzzz": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "prefix_0123456789abcdefghjkmnpqrs": "0110c853-1d09-52d8-d73e-1194e95b5f19",
    "prefix_01h455vb4pex5vsknk084sn02q": "01890a5d-ac96-774b-bcce-b302099a8057",
}


@pytest.mark.parametrize(("text", "value"), KNOWN.items())
def test_the_specification_agrees(text: str, value: str) -> None:
    assert to_typeid("prefix", UUID(value)) == text
    assert from_typeid("prefix", text) == UUID(value)


@given(st.uuids(), st.uuids())
def test_public_ids_read_back_and_keep_the_order(one: UUID, other: UUID) -> None:
    assert from_typeid("pay", to_typeid("pay", one)) == one
    assert (to_typeid("pay", one) < to_typeid("pay", other)) == (one < other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pay",
        "pay_",
        "01h455vb4pex5vsknk084sn02q",
        "cus_01h455vb4pex5vsknk084sn02q",
        "_01h455vb4pex5vsknk084sn02q",
        "pay_01h455vb4pex5vsknk084sn02",
        "pay_01h455vb4pex5vsknk084sn02qq",
        "pay_01H455VB4PEX5VSKNK084SN02Q",
        "pay_01h455vb4pex5vsknk084sn0il",
        "pay_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "pay_pay_01h455vb4pex5vsknk084sn02q",
        "pay_０1h455vb4pex5vsknk084sn02q",
    ],
)
def test_other_forms_are_no_ids(text: str) -> None:
    with pytest.raises(BadIdError):
        from_typeid("pay", text)


@given(st.text(max_size=40))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    with contextlib.suppress(BadIdError):
        assert to_typeid("pay", from_typeid("pay", text)) == text


def test_new_ids_rise() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(set(ids))
    assert {each.version for each in ids} == {7}


def test_the_bound_of_a_moment_divides_before_from_since() -> None:
    now = datetime.now(UTC)
    made = new_id()
    assert first_id_at(now - timedelta(seconds=1)) < made < first_id_at(now + timedelta(minutes=1))
