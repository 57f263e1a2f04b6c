"""Rows become records, exactly, or are left out with the column and the reason."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.base.money import to_major
from tillkeeper.replay.mapping import Columns, Mapping
from tillkeeper.replay.records import Parser
from tillkeeper.replay.types import Bad, Record, Row

NOW = datetime(2026, 4, 15, 12, tzinfo=UTC)
MEANINGS = (
    "id",
    "time",
    "payer",
    "payee",
    "amount",
    "fraud",
    "currency",
    "device",
    "ip",
    "latitude",
    "longitude",
)
COLUMNS = Columns(**{meaning: meaning for meaning in MEANINGS})
MAPPING = Mapping("mine", COLUMNS)
FIELDS = {
    "id": "t1", "time": "2018-04-01 08:00:00", "payer": "p1", "payee": "q1", "amount": "12.34", "fraud": "false",
    "currency": "EUR", "device": "", "ip": "", "latitude": "", "longitude": "",
}  # fmt: skip
CARD = "4111 1111 1111 1111"


def parse(mapping: Mapping = MAPPING, **changed: str) -> Record | Bad:
    fields = FIELDS | changed
    return Parser(mapping, MEANINGS, NOW).parse(Row(7, [fields[meaning] for meaning in MEANINGS]))


def record(mapping: Mapping = MAPPING, **changed: str) -> Record:
    found = parse(mapping, **changed)
    assert isinstance(found, Record), found
    return found


def changed(**values: Any) -> Mapping:
    return Mapping(**{name: getattr(MAPPING, name) for name in MAPPING.__struct_fields__} | values)


def test_a_row_is_understood() -> None:
    found = record(device=" phone ", ip="2001:DB8::1", latitude="31.2", longitude="121.5", fraud="1")
    assert (found.line, found.key, found.reference) == (7, "t1", "mine:t1")
    assert found.at == datetime(2018, 4, 1, 8, tzinfo=UTC)
    assert found.at_us == 1_522_569_600_000_000
    assert (found.payer, found.payee, found.amount, found.currency, found.fraud) == (
        "p1",
        "q1",
        1234,
        "EUR",
        True,
    )
    assert (found.device, found.ip, found.latitude, found.longitude) == ("phone", "2001:db8::1", 31.2, 121.5)


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"id": ""}, "id"),
        ({"time": ""}, "time"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2018-02-30"}, "time"),
        ({"time": "1969-12-31 23:59:59"}, "time"),
        ({"time": "2026-04-17"}, "time"),
        ({"payer": ""}, "payer"),
        ({"payer": "x" * 121}, "payer"),
        ({"payee": "a\0b"}, "payee"),
        ({"payee": "a\ufffdb"}, "payee"),
        ({"payer": CARD}, "payer"),
        ({"device": CARD}, "device"),
        ({"amount": ""}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"amount": "0.00"}, "amount"),
        ({"amount": "12,34"}, "amount"),
        ({"amount": "12.345"}, "amount"),
        ({"amount": "nan"}, "amount"),
        ({"amount": "Infinity"}, "amount"),
        ({"amount": "1e999999999"}, "amount"),
        ({"amount": "9" * 400}, "amount"),
        ({"amount": CARD}, "amount"),
        ({"currency": ""}, "currency"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": "XTS"}, "currency"),
        ({"fraud": "perhaps"}, "fraud"),
        ({"ip": "1.2.3.400"}, "ip"),
        ({"latitude": "91", "longitude": "0"}, "latitude"),
        ({"latitude": "0", "longitude": "nan"}, "longitude"),
    ],
)
def test_a_bad_row_names_its_column(fields: dict[str, Any], column: str) -> None:
    found = parse(**fields)
    assert isinstance(found, Bad)
    assert (found.line, found.column) == (7, column)
    assert found.reason
    assert "4111" not in found.reason


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.34", "EUR", 1234),
        ("12.3", "EUR", 1230),
        ("12", "EUR", 1200),
        ("12.340", "EUR", 1234),
        ("0.30000000000000004", "EUR", 30),
        ("57.160000000000004", "EUR", 5716),
        ("1.1e2", "EUR", 11_000),
        ("1234", "JPY", 1234),
        ("1.234", "KWD", 1234),
    ],
)
def test_amounts_are_exact(amount: str, currency: str, minor: int) -> None:
    assert record(amount=amount, currency=currency).amount == minor


@given(st.integers(1, 10**12), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_every_amount_comes_back(minor: int, currency: str) -> None:
    assert record(amount=to_major(minor, currency), currency=currency).amount == minor


@given(st.integers(1, 10**11))
def test_every_amount_survives_being_a_double(minor: int) -> None:
    assert record(amount=repr(minor / 100)).amount == minor


def test_amounts_in_minor_units() -> None:
    mapping = changed(amounts="minor")
    assert record(mapping, amount="1234").amount == 1234
    assert isinstance(parse(mapping, amount="12.34"), Bad)


@pytest.mark.parametrize(
    ("form", "zone", "text", "hour"),
    [
        ("iso", "UTC", "2018-04-01T08:00:00Z", 8),
        ("iso", "UTC", "2018-04-01 08:00:00+02:00", 6),
        ("iso", "UTC", "2018-04-01 08:00:00+02", 6),
        ("iso", "UTC", "2018-04-01T08:00:00-0100", 9),
        ("iso", "UTC", "20180401T080000", 8),
        ("iso", "UTC", "2018-04-01", 0),
        ("iso", "Europe/Paris", "2018-04-01 08:00:00", 6),
        ("iso", "Europe/Paris", "2018-04-01 08:00:00Z", 8),
        ("epoch", "UTC", "1522569600", 8),
        ("epoch", "UTC", "1522569600.0", 8),
        ("epoch_ms", "UTC", "1522569600000", 8),
        ("%d/%m/%Y %H.%M", "UTC", "01/04/2018 08.00", 8),
    ],
)
def test_times(form: str, zone: str, text: str, hour: int) -> None:
    assert record(changed(time=form, zone=zone), time=text).at == datetime(2018, 4, 1, hour, tzinfo=UTC)


def test_fractions_of_a_second_stay() -> None:
    assert record(time="2018-04-01 08:00:00.123456").at_us == 1_522_569_600_123_456
    assert record(changed(time="epoch"), time="1522569600.123456").at_us == 1_522_569_600_123_456


@pytest.mark.parametrize(("text", "fraud"), [("", None), ("Yes", True), ("0.0", False), ("f", False)])
def test_labels(text: str, fraud: object) -> None:
    assert record(fraud=text).fraud is fraud


def test_labels_of_ones_own() -> None:
    mapping = changed(fraud_values=("chargeback", "stolen"))
    assert record(mapping, fraud="stolen").fraud is True
    assert record(mapping, fraud="fine").fraud is False
    assert record(mapping, fraud="").fraud is None


def test_an_id_that_may_not_be_stored_still_names_its_row() -> None:
    one, same, other = record(id=CARD), record(id=CARD), record(id="5500 0000 0000 0004")
    assert one.reference is None
    assert one.key == same.key != other.key
    assert "4111" not in one.key


def test_without_ids_a_row_is_known_by_its_line() -> None:
    columns = Columns(time="time", payer="payer", payee="payee", amount="amount")
    found = record(changed(columns=columns, currency="EUR"))
    assert (found.key, found.reference, found.fraud) == ("row 7", None, None)


def test_payer_and_payee_may_be_called_alike_unless_both_are_customers() -> None:
    assert record(payer="5", payee="5").payee == "5"
    found = parse(changed(payees="customers"), payer="5", payee="5")
    assert isinstance(found, Bad)
    assert found.reason == "payer and payee are the same"
