"""The command line over a database: what it prints, its exit codes, and what it says when it cannot."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.support.command import Till, calling
from tests.support.postgres import Database
from tillkeeper.base.settings import masked
from tillkeeper.faces.cli import doctor
from tillkeeper.faces.cli.main import COMMANDS
from tillkeeper.store.condition import Condition


@pytest.fixture
def till(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Till:
    monkeypatch.setenv("TILL_HOME", str(tmp_path))

    return calling(capsys)


@pytest.fixture
def base(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)
    return database


def test_every_command_has_its_file_and_the_same_help(till: Till) -> None:
    for name, told in COMMANDS.items():
        said = till(name, "--help")
        assert said.code == 0, name
        flat = " ".join(said.out.replace("│", " ").split())
        assert told in flat, name


def test_help_is_quick_and_loads_no_command() -> None:
    script = (
        "import sys\nfrom tillkeeper.faces.cli.main import main\n"
        "try: main(['--help'])\nfinally: print(sorted(set(sys.modules) & {'psycopg', 'litestar', 'numpy', 'uvicorn'}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.rstrip().endswith("[]")


def test_unknown_command(till: Till) -> None:
    said = till("ledgr")
    assert said.code == 2
    assert "ledger" in said.err


def test_keys_are_created_listed_revoked(till: Till, base: Database) -> None:
    made = till("keys", "create", "shop", "--scope", "payments:write", "--days", "30", "--json").json
    assert made["key"].startswith(f"till_{made['short_id']}_")
    assert made["scopes"] == ["payments:write"]
    listed = till("keys", "list", "--json").json["data"]
    assert [key["id"] for key in listed] == [made["id"]]
    assert made["key"] not in json.dumps(listed)
    assert till("keys", "revoke", made["id"]).code == 0
    again = till("keys", "revoke", made["id"])
    assert (again.code, again.err.count("no key in use")) == (2, 1)
    assert "revoked" in till("keys", "list").out


def test_key_with_a_bad_scope_is_refused(till: Till, base: Database) -> None:
    said = till("keys", "create", "shop", "--scope", "everything")
    assert said.code == 2
    assert "payments:write" in said.err
    assert till("keys", "list", "--json").json == {"data": []}


def test_bad_key_id(till: Till, base: Database) -> None:
    said = till("keys", "revoke", "cus_01h455vb4pex5vsknk084sn02q")
    assert said.code == 2
    assert "till keys list" in said.err


def test_console_link(till: Till, base: Database) -> None:
    url = till("console", "link", "--person", "anna", "--json").json["url"]
    assert url.startswith("http://localhost:8081/sign-in?token=")


def test_ledger_verify_of_books_that_balance(till: Till, base: Database) -> None:
    said = till("ledger", "verify", "--json")
    assert said.code == 0
    assert said.json == {"balanced": True, "transfers": 0, "totals": [], "differences": []}


async def test_ledger_verify_finds_a_planted_fault(
    till: Till, base: Database, admin: psycopg.AsyncConnection
) -> None:
    await admin.execute(
        "INSERT INTO ledger.accounts (id, currency, side, purpose, balance, opened_at)"
        " VALUES (gen_random_uuid(), 'CNY', 'credit', 'wallet', 500, now())"
    )
    result = _in_a_process(base, "ledger", "verify", "--json")
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert (found["balanced"], found["differences"][0]["stored"]) == (False, 500)
    told = _in_a_process(base, "ledger", "verify")
    assert (told.returncode, "NO" in told.stdout) == (1, True)


def _in_a_process(base: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TILL_DATABASE_URL": base.app_url, "TILL_ADMIN_DATABASE_URL": base.admin_url}
    command = [sys.executable, "-m", "tillkeeper", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_migrate_says_what_it_did(till: Till, base: Database) -> None:
    nothing = {"applied": [], "sealed": 0, "rewritten": True, "erased_again": []}
    assert till("migrate", "--json").json == nothing
    assert till("migrate").out == "The database is up to date.\n"


def test_database_without_schema_says_what_to_do(
    till: Till, base: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = base.admin_url.replace(
        base.name, "postgres"
    )  # unlike template1 it is cloned by no test meanwhile
    monkeypatch.setenv("TILL_DATABASE_URL", empty)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", empty)
    said = till("ledger", "verify")
    assert said.code == 2
    assert "run till migrate" in said.err


def test_database_that_does_not_answer(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILL_DATABASE_URL", "postgresql://till_app@127.0.0.1:1/till")
    said = till("ledger", "verify")
    assert said.code == 2
    assert said.err.startswith("till: the database does not answer")
    assert "TILL_DATABASE_URL" in said.err
    found = {each["name"]: each for each in till("doctor", "--json").json["findings"]}
    assert found["database"]["state"] == "wrong"


def test_setting_that_cannot_be_used(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILL_API_PORT", "eighty")
    said = till("keys", "list")
    assert said.code == 2
    assert "api_port" in said.err


def test_crash_is_not_read_as_an_answer(
    till: Till, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tillkeeper.faces.cli.ledger.settings", lambda: 1 // 0)
    said = till("ledger", "verify", "--json")
    assert (said.code, said.out) == (2, "")
    assert "ZeroDivisionError" in caplog.text


# -- the doctor


def test_doctor_of_a_healthy_database(till: Till, base: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILL_API_PORT", "0")
    monkeypatch.setenv("TILL_CONSOLE_PORT", "0")
    monkeypatch.setenv("TILL_STATUS_PORT", "0")
    said = till("doctor", "--json").json
    found = {each["name"]: each["state"] for each in said["findings"]}
    # The tests' own server runs without fsync: the doctor has to see that.
    assert {name for name, state in found.items() if state == "wrong"} == {"durability"}
    assert found["role till_app"] == found["schema"] == found["risk rules"] == "fine"
    sources = {each["name"]: each["source"] for each in said["settings"]}
    assert (sources["api_port"], sources["timezone"]) == ("TILL_API_PORT", "default")


def test_doctor_before_the_first_start_makes_nothing(till: Till, tmp_path: Path) -> None:
    found = {each["name"]: each for each in till("doctor", "--json").json["findings"]}
    assert found["database"]["state"] == "not assessed"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("TILL_HOME", f"{__file__}/home", "home"),
        ("TILL_TIMEZONE", "Mars/Olympus", "time zone"),
        ("TILL_RULES_FILE", "/nowhere/rules.toml", "risk rules"),
    ],
)
def test_doctor_finds_what_is_wrong(
    till: Till, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    monkeypatch.setenv(variable, value)
    said = till("doctor", "--json")
    wrong = {each["name"]: each for each in said.json["findings"] if each["state"] == "wrong"}
    assert said.code == 1
    assert wrong[name]["remedy"]


def test_doctor_finds_a_port_that_another_program_has(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("TILL_API_PORT", str(taken.getsockname()[1]))
        found = {each["name"]: each for each in till("doctor", "--json").json["findings"]}
    assert found["api port"]["state"] == "wrong"
    assert "ss -ltnp" in found["api port"]["remedy"]


HEALTHY = Condition(18, "18.4", [], "till_app", mighty=False, owned=0, changeable=[])


@pytest.mark.parametrize(
    ("condition", "missing", "name"),
    [
        (Condition(15, "15.9", [], "till_app", mighty=False, owned=0, changeable=[]), [], "database"),
        (
            Condition(18, "18.4", ["fsync"], "till_app", mighty=False, owned=0, changeable=[]),
            [],
            "durability",
        ),
        (HEALTHY, ["0009_more"], "schema"),
        (Condition(18, "18.4", [], "postgres", mighty=True, owned=0, changeable=[]), [], "role postgres"),
        (Condition(18, "18.4", [], "till_app", mighty=False, owned=2, changeable=[]), [], "role till_app"),
        (
            Condition(18, "18.4", [], "till_app", mighty=False, owned=0, changeable=["ledger.transfers"]),
            [],
            "role till_app",
        ),
    ],
)
def test_doctor_judges_a_database(condition: Condition, missing: list[str], name: str) -> None:
    findings = {each.name: each for each in doctor.judged(condition, missing)}
    assert [each.name for each in findings.values() if each.state == "wrong"] == [name]
    assert findings[name].remedy


def test_doctor_sees_rights_that_were_given(
    till: Till, base: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(base.admin_url, autocommit=True) as connection:
        connection.execute("GRANT DELETE ON ledger.transfers TO till_app")
    found = {each["name"]: each for each in till("doctor", "--json").json["findings"]}
    assert found["role till_app"]["state"] == "wrong"
    assert "ledger.transfers" in found["role till_app"]["detail"]


def test_passwords_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("postgresql://a:geheim@127.0.0.1/x", "postgresql://127.0.0.1/x?user=a&password=geheim&b=1"):
        assert "geheim" not in masked(url)
        assert "127.0.0.1/x" in masked(url)
