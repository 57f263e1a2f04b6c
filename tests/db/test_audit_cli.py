"""`till audit`: what it prints, its exit codes; and a proof that a stranger's verifier accepts."""

import asyncio
import inspect
import json
from pathlib import Path

import cryptography.exceptions
import psycopg
import pytest

from tests.support import merkle
from tests.support.command import Till, calling
from tests.support.postgres import Database
from tests.support.trail import Trail
from tillkeeper import audit
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import from_typeid, to_typeid
from tillkeeper.store import Store


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def till(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: Database, keys: Path
) -> Till:
    monkeypatch.setenv("TILL_KEYS", str(keys))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)

    return calling(capsys)


@pytest.fixture
def sealed(database: Database, keys: Path) -> list[str]:
    """The ids of twelve sealed events."""

    async def seal() -> list[str]:
        async with Store.opened(database.app_url) as store:
            trail = Trail(store, keys, SystemClock())
            for n in range(12):
                await trail.seal(f"act.{n}")
            async with store.tx("test") as tx:
                page = await audit.search(tx, audit.Filter(actor="anna"), None, 50)
        return [to_typeid("evt", event.id) for event in reversed(page.events)]

    return asyncio.run(seal())


def as_superuser(database: Database, statement: str) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_a_trail_that_holds_says_so_and_the_look_is_itself_in_the_trail(
    till: Till, sealed: list[str]
) -> None:
    said = till("audit", "verify", "--json")
    assert said.code == 0
    assert (said.json["state"], said.json["events"], said.json["first_bad"]) == ("holds", 12, None)
    assert "as it was sealed" in till("audit", "verify").out
    found = till("audit", "search", "--action", "audit.verified", "--json").json["data"]
    assert [(event["subject"], event["result"], event["origin"]) for event in found] == [
        ("audit", "done", "cli")
    ] * 2


def test_the_first_bad_event_is_named_and_the_exit_code_is_one(
    till: Till, sealed: list[str], database: Database
) -> None:
    for seq in (9, 4):
        event = from_typeid("evt", sealed[seq])
        as_superuser(database, f"UPDATE audit.events SET actor = 'nobody' WHERE id = '{event}'")
    said = till("audit", "verify", "--json")
    assert said.code == 1
    assert said.json["first_bad"]["event"] == sealed[4]
    assert said.json["fault_count"] == 2
    assert f"first bad event is number 4: {sealed[4]}" in till("audit", "verify").out


def test_what_could_not_be_looked_at_is_exit_code_two(till: Till, sealed: list[str], keys: Path) -> None:
    (keys / "audit-anchors.jsonl").unlink()
    said = till("audit", "verify")
    assert said.code == 2
    assert "not everything could be looked at" in said.out
    (keys / "audit.key").chmod(0o644)
    said = till("audit", "verify")
    assert (said.code, "chmod 600" in said.err) == (2, True)


def test_the_independent_verifier_is_short() -> None:
    lines = [line for line in inspect.getsource(merkle).splitlines() if line.strip()]
    assert len(lines) <= 30


def test_every_proof_is_accepted_by_a_verifier_that_knows_only_the_public_key(
    till: Till, sealed: list[str], keys: Path
) -> None:
    public = json.loads((keys / "audit.key").read_text())["keys"][0]["public"]
    for number, event in enumerate(sealed):
        proof = till("audit", "prove", event).json
        assert proof["seq"] == number
        assert dict(proof["event"])["action"] == f"act.{number}"
        merkle.accept(proof, public)


def test_a_proof_under_an_anchored_head(till: Till, sealed: list[str], keys: Path) -> None:
    anchored = [json.loads(line) for line in (keys / "audit-anchors.jsonl").read_text().splitlines()][-1]
    proof = till("audit", "prove", sealed[2], "--size", str(anchored["size"])).json
    assert (proof["root"], proof["signature"]) == (anchored["root"], anchored["signature"])
    merkle.accept(proof, proof["public_key"])
    proof = till("audit", "prove", sealed[2], "--size", "3").json
    assert (proof["size"], proof["seq"]) == (3, 2)
    merkle.accept(proof, proof["public_key"])


def test_a_proof_with_anything_changed_is_refused(till: Till, sealed: list[str]) -> None:
    proof = till("audit", "prove", sealed[5]).json
    changed = [
        {
            **proof,
            "event": [
                [name, text + "x"] if name == changed else [name, text] for name, text in proof["event"]
            ],
        }
        for changed, _ in proof["event"]
    ]
    changed += [
        {**proof, "seq": 4},
        {**proof, "path": proof["path"][:-1]},
        {**proof, "path": proof["path"][::-1]},
    ]
    for each in changed:
        with pytest.raises(AssertionError):
            merkle.accept(each, proof["public_key"])
    for each in (
        {**proof, "at_us": proof["at_us"] + 1},
        {**proof, "key": "ak_other"},
        {**proof, "trail": sealed[0]},
    ):
        with pytest.raises(cryptography.exceptions.InvalidSignature):
            merkle.accept(each, proof["public_key"])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("evt_01h455vb4pex5vsknk084sn02q",), "no sealed event"),
        (("pay_01h455vb4pex5vsknk084sn02q",), "not an id"),
        (("{11}", "--size", "4"), "beyond the head"),
        (("{0}", "--size", "99"), "no head of 99"),
    ],
)
def test_what_cannot_be_proven_is_said(
    till: Till, sealed: list[str], arguments: tuple[str, ...], word: str
) -> None:
    said = till("audit", "prove", *(each.format(*sealed) for each in arguments))
    assert said.code == 2
    assert word in said.err


def test_nothing_false_is_proven(till: Till, sealed: list[str], database: Database) -> None:
    as_superuser(database, "UPDATE audit.events SET actor = 'nobody' WHERE action = 'act.3'")
    assert "not as it was sealed" in till("audit", "prove", sealed[3]).err
    as_superuser(database, "UPDATE audit.leaves SET hash = sha256('x') WHERE seq = 5")
    assert "does not lead to the signed root" in till("audit", "prove", sealed[6]).err
    as_superuser(database, "DELETE FROM audit.leaves WHERE seq = 5")
    assert "leaves are gone" in till("audit", "prove", sealed[6]).err


def test_search_filters_and_goes_on_at_its_cursor(till: Till, sealed: list[str]) -> None:
    seen: list[str] = []
    cursor: list[str] = []
    while True:
        page = till("audit", "search", "--person", "anna", "--limit", "5", "--json", *cursor).json
        seen += [event["id"] for event in page["data"]]
        if page["next_before"] is None:
            break
        cursor = ["--before", page["next_before"]]
    assert seen == sealed[::-1]
    assert till("audit", "search", "--person", "nobody", "--json").json["data"] == []
    both = till(
        "audit", "search", "--action", "act.3", "--subject", "cus_1", "--since", "2020-01-01", "--json"
    ).json
    assert [(event["action"], event["seq"], event["result"]) for event in both["data"]] == [
        ("act.3", 3, "done")
    ]
    assert till("audit", "search", "--until", "2020-01-01", "--json").json["data"] == []
    assert "act.11" in till("audit", "search").out


def test_a_database_restored_from_an_older_copy_is_told_not_accused(
    till: Till, sealed: list[str], database: Database, keys: Path
) -> None:
    assert "nothing that the anchors hold is missing" in till("audit", "restored", "--reason", "none").err
    as_superuser(
        database, "DELETE FROM audit.events WHERE id IN (SELECT event FROM audit.leaves WHERE seq >= 7)"
    )
    as_superuser(database, "DELETE FROM audit.leaves WHERE seq >= 7")
    as_superuser(database, "DELETE FROM audit.heads WHERE size > 7")
    assert till("audit", "verify").code == 1

    async def seal() -> None:
        async with Store.opened(database.app_url) as store:
            await Trail(store, keys, SystemClock()).seal("after the restore", "and more")

    asyncio.run(seal())  # the agent was faster than the operator
    assert till("audit", "restored", "--reason", "disk failed", "--json").json["size"] == 7
    asyncio.run(seal())
    said = till("audit", "verify", "--json")
    assert (said.code, said.json["state"]) == (0, "holds")
    assert "lost by a restore" in said.json["parts"][-1]["detail"]
    assert "disk failed" in said.json["parts"][-1]["detail"]
    (event,) = till("audit", "search", "--action", "audit.restored", "--json").json["data"]
    assert event["reason"] == "to event 6: disk failed"

    # What is cut after that is a cut again.
    as_superuser(database, "DELETE FROM audit.leaves WHERE seq >= 9")
    as_superuser(database, "DELETE FROM audit.heads WHERE size > 9")
    assert till("audit", "verify").code == 1


# -- the doctor


def findings(till: Till) -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in till("doctor", "--json").json["findings"]}


def test_the_doctor_names_seal_key_and_anchors(till: Till, sealed: list[str], keys: Path) -> None:
    found = findings(till)
    assert "12 events sealed" in found["audit trail"]["detail"]
    assert found["audit key"]["state"] == "fine"
    assert found[ANCHOR] == {"name": ANCHOR, "state": "fine", "detail": "reaches to event 11", "remedy": ""}
    (keys / "audit-anchors.jsonl").unlink()
    assert findings(till)[ANCHOR]["state"] == "wrong"


ANCHOR = "anchor file audit-anchors.jsonl"


def test_the_doctor_sees_a_cut_without_verifying(till: Till, sealed: list[str], database: Database) -> None:
    as_superuser(database, "DELETE FROM audit.heads WHERE size > 9")
    found = findings(till)[ANCHOR]
    assert (found["state"], "otherwise" in found["detail"]) == ("wrong", True)


@pytest.mark.parametrize(("agent", "state"), [(False, "notice"), (True, "wrong")])
def test_the_doctor_alarms_when_an_agent_works_and_does_not_seal(
    till: Till, sealed: list[str], database: Database, *, agent: bool, state: str
) -> None:
    as_superuser(
        database,
        "INSERT INTO audit.events (id, at, actor, action, subject) VALUES (uuidv7(), now() - interval '3 s', 'a', 'b', 'c')",
    )
    if agent:
        as_superuser(
            database, "INSERT INTO store.leases VALUES ('agent', 'x', now(), now() + interval '1 minute')"
        )
    found = findings(till)["audit trail"]
    assert (found["state"], "1 waiting" in found["detail"]) == (state, True)
