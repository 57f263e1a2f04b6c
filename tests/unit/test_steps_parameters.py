"""What parameters of steps may not be: refused in form, before anything runs, with a message that names the field."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tillkeeper.maintenance.steps import KINDS

ADD = "ALTER TABLE payments.payments ADD COLUMN channel text"
TAKE = "ALTER TABLE payments.payments DROP COLUMN channel"
INDEX = {"table": "payments.payments", "columns": ["currency", "created_at desc"]}
FILL = {
    "table": "payments.notes",
    "set": "channel = 'app'",
    "done": "channel IS NOT NULL",
    "undo": "channel = NULL",
}


def given(kind: str, parameters: dict[str, Any]) -> Any:
    return msgspec.convert(parameters, KINDS[kind].parameters)


def refused(said: str) -> Any:
    return pytest.raises(msgspec.ValidationError, match=said)


def test_each_kind_is_described_for_forms_and_people() -> None:
    for name, kind in KINDS.items():
        ((_, found),) = msgspec.json.schema(kind.parameters)["$defs"].items()
        assert found["additionalProperties"] is False, name
        assert found["description"], name
        assert kind.name == name


def test_the_page_about_steps_names_every_kind_and_whether_it_can_be_undone() -> None:
    page = Path(__file__).parents[2] / "docs" / "operating" / "writing-a-step.md"
    rows = [row for row in page.read_text("utf-8").splitlines() if row.startswith("| `")]
    named = {name: row for row in rows for name in re.findall(r"`([a-z]+\.[a-z]+)`", row.split("|")[1])}
    assert list(named) == list(KINDS)
    for name, kind in KINDS.items():
        assert kind.reversible == ("cannot be undone" not in named[name]), name


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"where": "true; DROP TABLE ledger.transfers"}, "where: an expression without ; and comments"),
        ({"where": "true -- rest"}, "where: an expression"),
        ({"where": "$$ $$"}, "where: an expression"),
        ({"where": "lower(a"}, "where: a parenthesis"),
        ({"columns": ['a"b']}, r"\$.columns"),
        ({"columns": []}, r"\$.columns"),
        ({"table": "payments"}, r"\$.table"),
        ({"tabel": "x"}, "unknown field `tabel`"),
    ],
)
def test_an_index_by_names_and_one_expression(more: dict[str, object], said: str) -> None:
    with refused(said):
        given("index.create", INDEX | more)


def test_an_expression_may_quote_anything() -> None:
    made = given("index.create", INDEX | {"where": "state = 'a;b--c'"})
    assert made.definition.endswith("WHERE state = 'a;b--c'")
    assert made.index == "payments.payments_currency_created_at_idx"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE payments.payments ALTER COLUMN kind TYPE varchar(20)", "rewrites the table"),
        ("ALTER TABLE payments.payments ADD COLUMN n bigserial", "serial rewrites"),
        ("ALTER TABLE payments.payments ADD CHECK (amount > 0)", "not valid"),
        ("ALTER TABLE payments.payments ADD CONSTRAINT u UNIQUE (payer)", "using index"),
        ("CREATE INDEX ON payments.payments (payer)", "index.create"),
        ("ALTER TABLE payments.payments DROP COLUMN kind", "sql.contract"),
        ("ALTER TABLE payments.payments RENAME kind TO sort", "sql.contract"),
        ("UPDATE payments.payments SET amount = 1", "ALTER, CREATE"),
        ("ALTER ROLE till_app SUPERUSER", "ALTER, CREATE"),
        ("ALTER SYSTEM SET fsync = off", "ALTER, CREATE"),
        ("GRANT pg_read_all_data TO till_app", "ALTER, CREATE"),
        ("DO $$ BEGIN END $$", "ALTER, CREATE"),
    ],
)
def test_an_expansion_that_takes_long_or_does_more_than_to_add_is_refused_by_its_words(
    statement: str, said: str
) -> None:
    with refused(rf"statements\[1\]: .*{said}"):
        given("sql.expand", {"statements": [ADD, statement], "undo": [TAKE]})


@pytest.mark.parametrize(
    "statement",
    [
        ADD,
        "ALTER TABLE payments.payments ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID",
        "alter table payments.payments validate constraint positive",
        "ALTER TABLE payments.payments ADD CONSTRAINT u UNIQUE USING INDEX payments_u_idx",
        "ALTER TABLE payments.payments ALTER COLUMN channel DROP NOT NULL",
        "CREATE TABLE payments.channels (name text PRIMARY KEY)",
        "GRANT SELECT ON payments.channels TO till_app",
    ],
)
def test_what_only_adds_is_taken(statement: str) -> None:
    assert given("sql.expand", {"statements": [statement], "undo": [TAKE]}).statements == (statement,)


def test_what_takes_away_names_what_it_takes() -> None:
    with refused(r"undo\[0\]: without CASCADE"):
        given("sql.expand", {"statements": [ADD], "undo": ["DROP TABLE payments.channels CASCADE"]})
    for statement in ("DROP INDEX payments.payments_pkey", "DELETE FROM payments.samples"):
        with refused(r"statements\[0\]: ALTER, DROP"):
            given("sql.contract", {"statements": [statement]})


def test_the_books_are_written_by_the_turn_alone() -> None:
    with refused(r"table: ledger\.accounts is written by the turn alone"):
        given("sql.backfill", FILL | {"table": "ledger.accounts"})
    for table in ("ledger.transfers", "payments.payments", "audit.events", "risk.decisions"):
        with refused(r"\$.table"):
            given("rows.archive", {"table": table})


def test_a_backfill_takes_expressions_only() -> None:
    assert given("sql.backfill", FILL).batch == 500
    with refused("set: an expression"):
        given("sql.backfill", FILL | {"set": "channel = 'x'; DROP TABLE payments.notes"})
    with refused("set: an expression"):
        given("sql.backfill", FILL | {"set": r"channel = E'\'' || (SELECT 1), more = '(' --'"})
    with refused("set: a parenthesis"):
        given(
            "sql.backfill", FILL | {"set": "channel = 'x'), more AS (UPDATE ledger.accounts SET credits = 0"}
        )


@pytest.mark.parametrize(
    "name",
    ["fsync", "archive_command", "shared_preload_libraries", "synchronous_commit", "max_slot_wal_keep_size"],
)
def test_settings_that_guard_what_was_acknowledged_are_no_plans_business(name: str) -> None:
    with refused("name: .* is not changed by plans"):
        given("setting.change", {"name": name, "value": "off"})


def test_a_program_is_named_by_its_whole_path() -> None:
    with refused(r"command\[0\]: the absolute path of fstrim"):
        given("command.run", {"command": ["fstrim", "/"]})
