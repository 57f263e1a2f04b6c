"""`till decision`: what it prints and its exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests.support.postgres import Database, apart
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.faces.cli.main import main
from tillkeeper.risk import FEATURES, Attempt, RiskEngine
from tillkeeper.store import Store

Till = Callable[..., tuple[int, str, str]]


@pytest.fixture
def till(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Till:
    monkeypatch.setenv("TILL_HOME", str(tmp_path))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def payments(database: Database) -> list[str]:
    """Three people pay with one phone within a minute: the third is denied by the rules that come with the package."""
    attempts = [
        Attempt(new_id(), "payment", 1_775_000_000_000_000, UUID(int=n), UUID(int=9), 500, "CNY", "phone")
        for n in range(1, 4)
    ]

    async def decide() -> None:
        async with Store.opened(database.app_url, size=1) as store:
            engine = await RiskEngine.open(store, None, SystemClock(), "Asia/Shanghai")
            async with store.tx("test") as tx:
                await engine.write(tx, engine.decide(attempts))

    apart(decide())
    return [to_typeid("pay", attempt.id) for attempt in attempts]


def test_a_denied_payment_for_people(till: Till, payments: list[str]) -> None:
    code, out, _ = till("decision", "explain", payments[2])
    assert code == 0
    assert "decided: deny" in out
    assert "decided again: deny, the same" in out
    assert "this device paid for 3 customers within an hour" in out
    _, chinese, _ = till("decision", "explain", payments[2], "--zh")
    assert "该设备一小时内已替 3 位付款人付款" in chinese


def test_for_programs(till: Till, payments: list[str]) -> None:
    code, out, _ = till("decision", "explain", payments[2], "--json")
    told = json.loads(out)
    assert code == 0
    assert told["payment"] == payments[2]
    assert (told["outcome"], told["same"]) == ("deny", True)
    assert told["stored"]["outcome"] == "deny"
    assert told["reasons"][0]["rule"] == "device_of_many"
    assert told["features"]["device_customers_1h"] == 3
    assert told["features"]["distance_km"] is None


def test_another_result_is_exit_code_1(till: Till, payments: list[str], database: Database) -> None:
    async def plant() -> None:
        async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:
            await admin.execute("UPDATE risk.decisions SET outcome = 'allow', reasons = '{}'")

    apart(plant())
    code, out, _ = till("decision", "explain", payments[2])
    assert code == 1
    assert "decided: allow" in out
    assert "NOT THE SAME" in out


def test_rules_this_release_cannot_read(till: Till, payments: list[str], database: Database) -> None:
    async def plant() -> None:
        async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin:
            await admin.execute(
                "UPDATE risk.rule_sets SET source = replace(source, 'device_age_s', 'device_mood')"
            )

    apart(plant())
    code, _, err = till("decision", "explain", payments[0])
    assert code == 2
    assert "device_mood is not a feature" in err
    assert "explain it with the release that decided it" in err


@pytest.mark.parametrize("given", ["", "foo", "cus_01h455vb4pex5vsknk084sn02q"])
def test_what_is_no_payment(till: Till, given: str) -> None:
    code, _, err = till("decision", "explain", given)
    assert code == 2
    assert "is not a payment's id" in err


def test_a_payment_without_a_decision(till: Till) -> None:
    code, _, err = till("decision", "explain", to_typeid("pay", new_id()))
    assert code == 2
    assert "there is no decision about pay_" in err


def test_every_feature_is_listed(till: Till) -> None:
    code, out, _ = till("decision", "features", "--json")
    assert code == 0
    assert [each["name"] for each in json.loads(out)] == list(FEATURES)
    assert "付款人 1 分钟内笔数" in till("decision", "features", "--zh")[1]
