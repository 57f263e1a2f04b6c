"""A column that nobody declared is found, however its migration makes it; and this repository declares all."""

import sys
from pathlib import Path

import pytest

from tools.columns import faults, made, main

MIGRATION = "src/tillkeeper/migrations/0001_shop.sql"
DECLARED = "src/tillkeeper/shop/columns.toml"
GUESTS = """
CREATE TABLE shop.guests (
    id      uuid PRIMARY KEY,
    name    bytea NOT NULL,  -- sealed, (in brackets)
    name_tag bytea,
    pay     numeric(10, 2) CHECK (pay > 0 AND (pay < 10)),
    CONSTRAINT sane CHECK (pay <> 5), UNIQUE (id, pay)
);
"""
SEALED = """
[guests]
kept = "forever"
why = "whoever came once may come again"
internal = ["id", "pay"]
[guests.sealed.name]
class = "C2"
purpose = "who comes"
mask = "name"
search = "exact"
"""


def found(root: Path, sql: str, declared: str = SEALED) -> list[str]:
    for path, text in ((MIGRATION, sql), (DECLARED, declared)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    return [fault.remedy for fault in faults(root)]


def test_what_is_declared_passes(tmp_path: Path) -> None:
    assert found(tmp_path, GUESTS) == []


@pytest.mark.parametrize(
    ("more", "column"),
    [
        ("ALTER TABLE shop.guests ADD COLUMN phone text;", "phone"),
        ("alter table only shop.guests add if not exists phone text default ';', add x int;", "phone"),
        (
            "ALTER TABLE shop.guests DROP COLUMN pay, ADD COLUMN phone text CHECK (phone IN ('a', 'b'));",
            "phone",
        ),
        ("ALTER TABLE shop.guests RENAME COLUMN pay TO phone;", "phone"),
        ('CREATE TABLE shop.notes ("grant" text);', "grant"),
        ("CREATE UNLOGGED TABLE IF NOT EXISTS shop.notes (phone text);", "phone"),
    ],
)
def test_an_undeclared_column_is_found(tmp_path: Path, more: str, column: str) -> None:
    faults = found(tmp_path, GUESTS + more)
    assert any(f"declare {column} of" in fault for fault in faults), faults


@pytest.mark.parametrize(
    "more",
    [
        "ALTER TABLE shop.guests ADD CONSTRAINT rich CHECK (pay > 1), ADD FOREIGN KEY (id) REFERENCES shop.guests;",
        "ALTER TABLE shop.guests DROP CONSTRAINT sane; ALTER TABLE shop.guests RENAME CONSTRAINT a TO b;",
        "ALTER TABLE shop.guests ALTER COLUMN pay SET NOT NULL;",
        "-- ALTER TABLE shop.guests ADD COLUMN phone text;",
        "CREATE TABLE shop.notes (phone text); DROP TABLE shop.notes;",
        "CREATE INDEX guests_by_pay ON shop.guests (pay);",
    ],
)
def test_what_makes_no_column_passes(tmp_path: Path, more: str) -> None:
    assert found(tmp_path, GUESTS + more) == []


def test_a_declaration_of_nothing_is_found(tmp_path: Path) -> None:
    gone = GUESTS + "ALTER TABLE shop.guests DROP COLUMN pay;"
    assert found(tmp_path, gone) == ["shop.guests.pay is declared, but no migration makes it"]


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('mask = "name"', 'mask = "nmae"', "mask 'nmae' is none of"),
        ('class = "C2"', 'class = "C9"', "class"),
        ('purpose = "who comes"\n', "", "purpose"),
        ('"pay"]', '"pay", "name"]', "name is declared twice"),
        ('search = "exact"', 'search = "exact"\nretention = "P5Y"', "a retention needs `since`"),
        ('search = "exact"', 'search = "exact"\nretention = "forever"', "is not like P5Y"),
        ('search = "exact"', 'search = "exact"\nerase = "subject"', "needs the table's subject"),
        ('search = "exact"', 'search = "exact"\nsurprise = 1', "surprise"),
        ("[guests]", '[guests]\nrow = "number"', "row = 'number' is not among its columns"),
        ("[guests]", '[guests]\nkey = "id"', "needs a subject"),
        ("[guests]", '[guests]\nsubject = "id"\nkeeper = "shop.nobody"', "keeper = 'shop.nobody'"),
        ("[guests]", "[guests", "shop/columns.toml"),
        ('kept = "forever"', 'kept = "P4Y"', "kept = 'P4Y': days like P400D"),
        ('kept = "forever"', "", "say how long its rows are kept"),
        ('why = "whoever came once may come again"', "", "needs a `why`"),
    ],
)
def test_a_wrong_declaration_is_found(tmp_path: Path, was: str, now: str, said: str) -> None:
    assert was in SEALED
    (fault,) = found(tmp_path, GUESTS, SEALED.replace(was, now))
    assert said in fault


def test_this_repository_declares_every_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(__file__).parent.parent.parent
    monkeypatch.setattr(sys, "argv", ["columns", str(root)])
    assert main() == 0, capsys.readouterr().out
    assert len(made(root)) > 30
