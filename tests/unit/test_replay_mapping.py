"""Mappings: read, checked, and found by columns."""

from pathlib import Path

import pytest

from tests.support.history import HEADER
from tillkeeper.replay import ReplayError, check_columns, read_mapping, ready_mapping

GOOD = """
name = "mine"
currency = "CNY"
[columns]
time = "t"
payer = "a"
payee = "b"
amount = "x"
"""


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    return read_mapping(path)


def test_a_mapping_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(GOOD + 'device = "d"\n')
    mapping = read_mapping(path)
    assert mapping.name == "mine"
    assert mapping.wanted == {"time": "t", "payer": "a", "payee": "b", "amount": "x", "device": "d"}
    assert (mapping.zone, mapping.time, mapping.amounts, mapping.payees) == (
        "UTC",
        "iso",
        "major",
        "merchants",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("name =", "nam ="), "nam"),
        (('"mine"', '"My file"'), "name"),
        (('payee = "b"', ""), "payee"),
        (('amount = "x"', "amount = 7"), "columns.amount"),
        (('currency = "CNY"', 'currency = "XXQ"'), "currency"),
        (('currency = "CNY"', ""), "either currency or columns.currency"),
        (('amount = "x"', 'amount = "x"\ncurrency = "c"'), "either currency or columns.currency"),
        (("[columns]", 'zone = "Mars/Olympus"\n[columns]'), "Mars/Olympus"),
        (("[columns]", 'amounts = "cents"\n[columns]'), "amounts"),
        (("[columns]", "[columns"), "not TOML"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(ReplayError, match=said) as caught:
        read(tmp_path, GOOD.replace(*change))
    assert caught.value.remedy


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="cannot be read"):
        read_mapping(tmp_path / "nothing.toml")


def test_the_digest_tells_mappings_apart(tmp_path: Path) -> None:
    one = read_mapping(_written(tmp_path / "1.toml", GOOD))
    two = read_mapping(_written(tmp_path / "2.toml", GOOD.replace('"x"', '"y"')))
    same = read_mapping(_written(tmp_path / "3.toml", GOOD + "# a remark\n"))
    assert one.digest == same.digest != two.digest


def test_the_ready_mapping_is_found_by_columns() -> None:
    assert ready_mapping([*HEADER, "and_more"]).name == "handbook"
    with pytest.raises(ReplayError, match="who, when") as caught:
        ready_mapping(["who", "when"])
    assert "--map" in caught.value.remedy


def test_a_missing_column_is_named_with_what_there_is(tmp_path: Path) -> None:
    mapping = read_mapping(_written(tmp_path / "1.toml", GOOD))
    check_columns(mapping, ["t", "a", "b", "x"])
    with pytest.raises(ReplayError, match=r"'b' \(columns\.payee\); it has t, a, x, c") as caught:
        check_columns(mapping, ["t", "a", "x", "c"])
    assert "[columns]" in caught.value.remedy


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
