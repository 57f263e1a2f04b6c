"""`till risk cases`: a case from the queue to the verdict, as a terminal shows it."""

import asyncio
import json
from uuid import UUID

import psycopg
import pytest

from tests.support.cases import alert, decision
from tests.support.command import Till, calling
from tests.support.postgres import Database
from tillkeeper import access
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.risk.cases import Clerk
from tillkeeper.store import Store

CLOCK = SystemClock()


@pytest.fixture
def till(database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Till:
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)
    return calling(capsys)


def furnished(database: Database) -> UUID:
    """A case about one payment; the payment."""

    async def make() -> UUID:
        mei = new_id()
        async with (
            await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin,
            Store.opened(database.app_url, size=1) as store,
        ):
            payment = await decision(admin, CLOCK.now(), mei, outcome="hold")
            await alert(admin, CLOCK.now(), mei, payment, loss=600_000)
            await Clerk(store, CLOCK).beat()
            async with store.tx("test") as tx:
                await access.add_person(tx, "ben", "", ["risk_analyst"], CLOCK, actor="test")
                await access.add_person(tx, "zoe", "", ["auditor"], CLOCK, actor="test")
        return payment

    return asyncio.run(make())


def test_a_case_from_the_queue_to_the_verdict(till: Till, database: Database) -> None:
    assert till("risk", "cases", "list")[1].strip() == "No case is like that."
    payment = furnished(database)
    code, out, _ = till("risk", "cases", "list", "--json")
    (case,) = json.loads(out)
    assert (code, case["severity"], case["expected_loss"]) == (0, "high", 600_000)
    id_ = case["id"]
    code, _, said = till("risk", "cases", "decide", id_, "fraud", "--reason", "seen")
    assert code == 2
    assert "claim it" in said
    assert "is yours until" in till("risk", "cases", "claim", id_)[1]
    assert till("risk", "cases", "note", id_, "the bank called")[0] == 0
    assert till("risk", "cases", "hand-over", id_, "--to", "zoe")[0] == 2, "an auditor works no cases"
    assert "is with ben" in till("risk", "cases", "hand-over", id_, "--to", "ben")[1]
    assert till("risk", "cases", "release", id_)[0] == 2, "it is ben's now"
    code, out, _ = till("risk", "cases", "show", id_)
    for words in ("decision", "very_large", "CN¥6,000.00", "the bank called", "handed_over"):
        assert words in out, words
    whole = json.loads(till("risk", "cases", "show", id_, "--json")[1])
    assert whole["payments"] == [to_typeid("pay", payment)]
    assert [each["kind"] for each in whole["events"]] == ["opened", "claimed", "noted", "handed_over"]


def test_a_verdict_labels_what_was_alerted_about(till: Till, database: Database) -> None:
    payment = furnished(database)
    id_ = json.loads(till("risk", "cases", "list", "--json")[1])[0]["id"]
    till("risk", "cases", "claim", id_)
    assert till("risk", "cases", "decide", id_, "genuine", "--reason", "a gift")[0] == 0
    till("risk", "cases", "reopen", id_, "--reason", "it was not")
    assert till("risk", "cases", "decide", id_, "fraud", "--reason", "stolen")[1].strip() == f"{id_}: fraud"
    whole = json.loads(till("risk", "cases", "show", id_, "--json")[1])
    assert whole["labels"] == {to_typeid("pay", payment): True}
    assert [each["verdict"] for each in whole["verdicts"]] == ["genuine", "fraud"]
    assert "fraud" in till("risk", "cases", "list", "--show", "closed")[1]
    assert till("risk", "cases", "list", "--show", "all")[0] == 2
    assert till("risk", "cases", "show", to_typeid("case", new_id()))[0] == 2
    assert till("risk", "cases", "show", "x")[0] == 2
    assert "No sample" in till("risk", "cases", "sample")[1]
