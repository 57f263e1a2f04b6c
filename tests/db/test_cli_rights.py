"""`till access`, `till keys renew` and what a command does that takes four eyes."""

import asyncio
from pathlib import Path

import pytest

from tests.support.command import Till, calling
from tests.support.people import signed_in, somebody
from tests.support.postgres import Database
from tillkeeper import access
from tillkeeper.access import ROOT_CHANGE, Approval, RootChange, approvals
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import from_typeid
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli import second
from tillkeeper.faces.cli.output import CliError
from tillkeeper.store import Store


@pytest.fixture
def till(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Till:
    monkeypatch.setenv("TILL_HOME", str(tmp_path))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)

    return calling(capsys)


@pytest.fixture
def team(database: Database) -> None:
    async def make() -> None:
        async with Store.opened(database.app_url, size=1) as store, store.tx("team") as tx:
            for person, role in (("anna", "operator"), ("dev", "developer"), ("sam", "security_admin")):
                await somebody(tx, person, SystemClock(), [role])

    asyncio.run(make())


def test_why_names_the_policy_that_decides(till: Till, team: None) -> None:
    said = till("access", "why", "anna", "payment.review", "pay_01h455vb4pex5vsknk084sn02q")
    assert said.code == 0
    assert "anna (operator), payment.review: allowed." in said.out
    assert "Permitted by: operators review held payments" in said.out
    said = till("access", "why", "dev", "payment.review")
    assert said.code == 1
    assert "No policy permits it" in said.out
    assert "it would take risk_analyst: risk analysts review held payments" in said.out


def test_why_knows_whose_thing_it_is(till: Till, team: None, database: Database) -> None:
    said = till("access", "why", "sam", "people.set_roles", "anna", "--json")
    assert (said.code, said.json["by"]) == (0, ["security admins give roles"])
    said = till("access", "why", "sam", "people.set_roles", "sam", "--json")
    assert (said.code, said.json["by"]) == (1, ["nobody changes their own rights"])

    async def ask() -> Approval:
        async with Store.opened(database.app_url, size=1) as store, store.tx("ask") as tx:
            asker = access.Asker("sam")
            asked = await approvals.ask(tx, ROOT_CHANGE, RootChange("file", "split"), asker, SystemClock())
            assert isinstance(asked, Approval)
            return asked

    public = approvals.approval_id(asyncio.run(ask()))
    assert "Forbidden by: nobody decides" in till("access", "why", "sam", "approval.decide", public).out
    said = till("access", "why", "anna", "approval.decide", public)
    assert "it would take security_admin: security admins decide about the root key" in said.out


def test_why_of_a_key_and_of_nonsense(till: Till, team: None) -> None:
    made = till("keys", "create", "shop", "--scope", "payments:read", "--json").json
    assert till("access", "why", made["id"], "payment.view").code == 0
    said = till("access", "why", made["id"], "payment.pay")
    assert (said.code, said.out.count("it would take payments:write: payments:write")) == (1, 1)
    assert till("access", "why", made["id"], "people.view").code == 1  # nothing for programs
    for arguments, word in (
        (("nobody", "payment.view"), "nobody here"),
        (("anna", "payment.gamble"), "there is no action"),
        (("sam", "people.set_roles"), "about a Person"),
        (("anna", "approval.decide", "apr_1"), "not an id"),
        (("anna", "grant.end", "grt_01h455vb4pex5vsknk084sn02q"), "there is no Grant"),
    ):
        said = till("access", "why", *arguments)
        assert said.code == 2
        assert word in said.err


def test_check_says_the_hash_that_doctor_shows(till: Till) -> None:
    said = till("access", "check", "--json").json
    assert len(said["policies"]) > 30
    assert till("access", "check").out.rstrip().endswith(said["sha256"])
    assert f"SHA-256 {said['sha256']}" in till("doctor", "--json").out


def test_policies_that_do_not_fit_stop_everything(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = access.PolicyError("routes without an action")

    def fail() -> None:
        raise broken

    monkeypatch.setattr(access, "policies", fail)
    said = till("access", "check")
    assert said.code == 2
    assert "routes without an action" in said.err


def test_a_key_is_renewed_with_an_overlap(till: Till) -> None:
    old = till("keys", "create", "shop", "--days", "90", "--network", "10.1.0.0/16", "--json").json
    new = till("keys", "renew", old["id"], "--overlap", "2d", "--json").json
    assert new["key"] != old["key"]
    assert (new["renews"], new["networks"]) == (old["id"], ["10.1.0.0/16"])
    listed = {key["id"]: key for key in till("keys", "list", "--json").json["data"]}
    assert listed[old["id"]]["expires_at"] == new["old_ends_at"]
    assert "10.1.0.0/16" in till("keys", "list").out
    for arguments, word in (
        (("renew", old["id"], "--overlap", "soon"), "no length of time"),
        (("renew", old["id"], "--overlap", "31d"), "up to 30 days"),
        (("renew", "key_1"), "no key id"),
        (("create", "x", "--network", "here"), "10.1.0.0/16"),
    ):
        said = till("keys", *arguments)
        assert said.code == 2
        assert word in said.err


async def decided(store: Store, *, give: bool) -> None:
    """A security admin's answer, as soon as there is a question."""
    clock = SystemClock()
    while True:
        async with store.tx("decide") as tx:
            for asked in await approvals.open_ones(tx, clock, None, 10):
                if asked.state == "waiting":
                    sam = signed_in("sam", clock, ["security_admin"])
                    deeds = approvals.deeds(ROOT_CHANGE)
                    done = await approvals.decide(tx, deeds, asked.id, asked.digest, sam, clock, give=give)
                    assert isinstance(done, Approval)
                    return
        await asyncio.sleep(0.02)


async def questions(store: Store) -> int:
    """How many were ever asked."""
    async with store.tx("count") as tx:
        return int(await tx.value(b"SELECT count(*) FROM access.approvals"))


async def test_a_command_waits_for_the_second_person(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(second, "_POLL_SECONDS", 0.02)
    terms = RootChange("file", "split")
    answering = asyncio.create_task(decided(store, give=True))
    used = await second.second_person(store, Settings(), ROOT_CHANGE, terms)
    await answering
    assert used.state == "used"
    said = capsys.readouterr().err
    public = said.partition("/approvals#")[2].split()[0]
    assert from_typeid("apr", public) == used.id
    assert said.count("A second person must agree") == 1
    # The same once more is another question: what was agreed to serves once.
    answering = asyncio.create_task(decided(store, give=False))
    with pytest.raises(CliError, match="said no"):
        await second.second_person(store, Settings(), ROOT_CHANGE, terms)
    await answering


async def test_an_interrupted_command_finds_its_question_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second, "_POLL_SECONDS", 0.02)
    terms = RootChange("file", "transit")
    waiting = asyncio.create_task(second.second_person(store, Settings(), ROOT_CHANGE, terms))
    while not await questions(store):  # noqa: ASYNC110 - a row rings no bell
        await asyncio.sleep(0.02)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await decided(store, give=True)
    used = await second.second_person(store, Settings(), ROOT_CHANGE, terms)
    assert used.state == "used"
    assert await questions(store) == 1
