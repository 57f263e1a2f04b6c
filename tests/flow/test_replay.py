"""Replays over a database: carried once however often they are interrupted, with what was known at the time."""

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.support.history import HEADER, history, write_csv
from tests.support.postgres import Database, fresh_database
from tests.support.surroundings import SHARED_DATA, needs_shared_data
from tillkeeper import ledger, risk
from tillkeeper.base.clock import SystemClock
from tillkeeper.faces.cli.main import main
from tillkeeper.payments import Till
from tillkeeper.replay import (
    Desk,
    Done,
    Figures,
    Job,
    Mapping,
    Progress,
    ReplayError,
    figures,
    fingerprint,
    open_file,
    read_mapping,
    ready_mapping,
    replay,
)
from tillkeeper.risk import RiskEngine
from tillkeeper.store import Store, sole
from tillkeeper.store.embedded import EmbeddedServer
from tillkeeper.vault import FileRoot, Vault

RULES = Path(risk.__file__).parent / "rules_handbook.toml"
WAIT_SECONDS = 240
pytestmark = pytest.mark.timeout(900)
ROWS = 2000
KILLED_ROWS = 6000
DECISIONS = b"""
SELECT p.reference, d.at, d.outcome, d.reasons, d.features, p.state, p.amount
FROM risk.decisions AS d JOIN payments.payments AS p USING (id) ORDER BY d.id
"""
LABELS = b"""
SELECT p.reference, l.fraud, l.known_at - p.event_at FROM risk.labels AS l JOIN payments.payments AS p ON p.id = l.payment
ORDER BY l.known_at, l.id
"""
BALANCES = b"""
SELECT c.reference, a.balance, a.held, a.version FROM parties.customers AS c
JOIN payments.wallets AS w ON w.owner = c.id JOIN ledger.accounts AS a ON a.id = w.account ORDER BY c.reference
"""


class Here(NamedTuple):
    """A place to replay in."""

    store: Store
    vault: Vault
    home: Path
    admin: psycopg.AsyncConnection[Any]

    async def all(self, query: bytes) -> list[tuple[Any, ...]]:
        return await (await self.admin.execute(query)).fetchall()

    async def told(self) -> list[Any]:
        """Everything that must not depend on how often a replay was interrupted."""
        return [await self.all(query) for query in (DECISIONS, LABELS, BALANCES)]


@asynccontextmanager
async def place(database: Database, home: Path) -> AsyncIterator[Here]:
    root = FileRoot(home.with_name(f"{home.name}-keys") / "root.key")
    async with (
        Store.opened(database.app_url) as store,
        Vault.opened(store, root, SystemClock()) as vault,
        await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin,
    ):
        yield Here(store, vault, home, admin)


@pytest.fixture
async def here(database: Database, tmp_path: Path) -> AsyncIterator[Here]:
    async with place(database, tmp_path / "home") as made:
        yield made


async def carry(
    here: Here,
    path: Path,
    mapping: Mapping | None = None,
    *,
    interrupt_after: int | None = None,
    limit: int | None = None,
    speed: float | None = None,
) -> Done | None:
    """One run, in a process of its own as far as risk is concerned; None when it was interrupted."""
    clock = SystemClock()
    engine = await RiskEngine.open(here.store, RULES, clock, "UTC")
    till = Till(here.store, engine, clock, "UTC")
    source = open_file(path)
    job = Job(
        source,
        mapping or ready_mapping(source.columns),
        path.name,
        fingerprint(path),
        here.home,
        speed,
        limit,
    )

    def tell(now: Progress) -> None:
        if interrupt_after is not None and now.carried >= interrupt_after and not task.cancelling():
            task.cancel()

    task = asyncio.ensure_future(replay(Desk(here.store, till, engine, here.vault, clock), job, tell))
    try:
        return await task
    except asyncio.CancelledError:
        assert interrupt_after is not None
        return None


async def to_the_end(here: Here, path: Path, mapping: Mapping | None = None, **wishes: Any) -> Done:
    done = await carry(here, path, mapping, **wishes)
    assert done is not None
    return done


async def assert_balanced(here: Here) -> None:
    report = await ledger.verify(here.store)
    assert report.balanced, report.differences


@pytest.fixture
def file(tmp_path: Path, seed: int) -> Path:
    return write_csv(tmp_path / "payments.csv", history(ROWS, seed))


def mapped(tmp_path: Path, text: str) -> Mapping:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    return read_mapping(path)


# -- the whole


async def test_a_file_is_carried_and_judged(here: Here, file: Path) -> None:
    done = await to_the_end(here, file)
    assert (done.carried, done.finished, done.tally.rejected) == (ROWS, True, 0)
    seen: Figures = figures(done.tally)
    with file.open() as rows:
        frauds = sum(row["fraud"] == "true" for row in csv.DictReader(rows))
    assert (seen.payments, seen.judged, seen.frauds) == (ROWS, ROWS, frauds)
    assert sum(each.frauds for each in seen.outcomes) == frauds
    assert seen.levels[-1].detection.recall is not None
    assert seen.levels[-1].detection.recall > 0.3
    stored = dict(await here.all(b"SELECT outcome, count(*) FROM risk.decisions GROUP BY 1"))
    assert {each.outcome: each.payments for each in seen.outcomes if each.payments} == stored
    assert "insufficient_funds" not in seen.failures
    await assert_balanced(here)


async def test_labels_are_known_seven_days_later(here: Here, file: Path) -> None:
    await to_the_end(here, file)
    labels = await here.all(LABELS)
    with file.open() as rows:
        frauds = {
            f"handbook:{row['transaction_id']}" for row in csv.DictReader(rows) if row["fraud"] == "true"
        }
    assert {reference for reference, _, _ in labels} == frauds
    assert len(labels) == len(frauds)
    assert {(fraud, delay.days, delay.seconds) for _, fraud, delay in labels} == {(True, 7, 0)}
    # What risk could learn, it learnt: a terminal's frauds count from the eighth day on, not before.
    hits = await here.all(
        b"SELECT min(d.at) - min(p.event_at) FILTER (WHERE l.fraud) FROM payments.payments AS p"
        b" LEFT JOIN risk.labels AS l ON l.payment = p.id LEFT JOIN risk.decisions AS d ON d.id = p.id"
        b" AND (d.reasons && '{terminal_frauds,terminal_taken_over,terminal_late}')"
    )
    assert hits[0][0].days >= 7


async def test_a_sparse_file_learns_between_neighbours(here: Here, tmp_path: Path) -> None:
    """Rows of one chunk lie weeks apart: a label falls due between them."""
    rows = [[n, f"2018-04-{1 + n // 3:02} 10:{n % 60:02}:00", n, 7, "10.00", "true"] for n in range(60)]
    await to_the_end(here, write_csv(tmp_path / "sparse.csv", rows))
    found = await here.all(DECISIONS)
    hit = [
        at
        for _, at, _, reasons, _, _, _ in found
        if "terminal_frauds" in reasons or "terminal_taken_over" in reasons
    ]
    assert hit
    assert min(hit) == found[21][1]  # the first row of the eighth day


# -- interrupted


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows under way, so that a short file can be interrupted often."""
    monkeypatch.setattr("tillkeeper.base.limits.REPLAY_CHUNK", 50)
    monkeypatch.setattr("tillkeeper.base.limits.REPLAY_IN_FLIGHT", 200)


@pytest.mark.usefixtures("small_steps")
async def test_interrupted_equals_uninterrupted(
    here: Here, file: Path, postgres: EmbeddedServer, template: str, tmp_path: Path
) -> None:
    whole = await to_the_end(here, file)
    async with fresh_database(postgres, template) as other, place(other, tmp_path / "other") as there:
        for after in (1, 100, 400, 1):
            assert await carry(there, file, interrupt_after=after) is None
            await assert_balanced(there)
        rest = await to_the_end(there, file)
        assert rest.begun_at > 0
        assert rest.carried < ROWS
        assert await there.told() == await here.told()
        assert figures(rest.tally) == figures(whole.tally)
        again = await to_the_end(there, file)
        assert again.carried == 0
        assert figures(again.tally) == figures(whole.tally)
        assert await there.told() == await here.told()


async def test_rows_limited_and_then_the_rest(
    here: Here, file: Path, postgres: EmbeddedServer, template: str, tmp_path: Path
) -> None:
    whole = await to_the_end(here, file)
    async with fresh_database(postgres, template) as other, place(other, tmp_path / "other") as there:
        part = await to_the_end(there, file, limit=1234)
        assert (part.carried, part.finished) == (1234, False)
        rest = await to_the_end(there, file)
        assert (rest.carried, rest.finished) == (ROWS - 1234, True)
        assert figures(rest.tally) == figures(whole.tally)
        assert await there.told() == await here.told()


@pytest.mark.slow
async def test_killed_equals_uninterrupted(
    here: Here, postgres: EmbeddedServer, template: str, tmp_path: Path, seed: int
) -> None:
    """SIGKILL in the midst of it, again and again; then the same command to the end."""
    file = write_csv(tmp_path / "payments.csv", history(KILLED_ROWS, seed))
    await to_the_end(here, file)
    async with fresh_database(postgres, template) as other, place(other, tmp_path / "other") as there:
        for carried in (500, 3000):
            process = command(other, there.home, str(file), "--json")
            await until(there, carried, process)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=WAIT_SECONDS)
            await released(there)
            await assert_balanced(there)
        process = command(other, there.home, str(file), "--json")
        out, err = await asyncio.to_thread(process.communicate, timeout=WAIT_SECONDS)
        assert process.returncode == 0, err
        report = json.loads(out)
        assert report["finished"]
        assert report["figures"]["payments"] == KILLED_ROWS
        assert await there.told() == await here.told()


def settings(database: Database, home: Path) -> dict[str, str]:
    return {
        "TILL_HOME": str(home),
        "TILL_DATABASE_URL": database.app_url,
        "TILL_ADMIN_DATABASE_URL": database.admin_url,
        "TILL_TIMEZONE": "UTC",
    }


def command(database: Database, home: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tillkeeper", "replay", *arguments],
        env=os.environ | settings(database, home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def until(here: Here, carried: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until so many payments are decided."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        ((decided,),) = await here.all(b"SELECT count(*) FROM risk.decisions")
        if decided >= carried:
            return
        assert process.poll() is None, process.communicate()
        await asyncio.sleep(0.02)
    pytest.fail(f"{carried} payments were not decided in time")


async def released(here: Here) -> None:
    """Wait until the server has noticed that the process is dead."""
    locks = (
        b"SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database"
        b" WHERE locktype = 'advisory' AND datname = current_database()"
    )
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if await here.all(locks) == [(0,)]:
            return
        await asyncio.sleep(0.02)
    pytest.fail("the server keeps a dead process's lock")


async def _nothing() -> None:
    pass


# -- bad rows


async def test_bad_rows_are_left_out_and_listed(here: Here, tmp_path: Path, seed: int) -> None:
    rows = history(300, seed)
    rows[10][4] = "-1.00"
    rows[20][1] = "2018-13-45"
    rows[30][1] = "2081-04-01 00:00:00"
    rows[40] = rows[40][:4]
    rows[50][2] = "4111111111111111"
    rows[60][5] = "perhaps"
    rows[70][0] = rows[69][0]  # another payment under an id that was used
    rows[80] = rows[79]  # the very same row twice
    rows[90][1] = "2017-01-01 00:00:00"
    done = await to_the_end(here, write_csv(tmp_path / "bad.csv", rows))
    assert done.carried == 300 - 9
    assert done.tally.rejected == 9
    with done.rejects.open(newline="") as listed:
        found = {int(row["line"]): row for row in csv.DictReader(listed)}
    assert sorted(found) == [number + 2 for number in (10, 20, 30, 40, 50, 60, 70, 80, 90)]
    assert "not positive" in found[12]["reason"]
    assert "leaps" in found[32]["reason"] or "future" in found[32]["reason"]
    assert "another payment" in found[72]["reason"]
    assert "earlier row" in found[82]["reason"]
    assert "days behind" in found[92]["reason"]
    assert "4111" not in done.rejects.read_text()
    await assert_balanced(here)


async def test_a_currency_that_does_not_exist(here: Here, tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        'name = "cur"\n[columns]\nid = "i"\ntime = "t"\npayer = "a"\npayee = "b"\namount = "x"\ncurrency = "c"\n',
    )
    rows = [[1, "2018-04-01", 1, 2, "10.00", "EUR"], [2, "2018-04-01", 1, 2, "10.00", "XXQ"],
            [3, "2018-04-01", 1, 2, "10", "JPY"]]  # fmt: skip
    done = await to_the_end(
        here, write_csv(tmp_path / "c.csv", rows, ("i", "t", "a", "b", "x", "c")), mapping
    )
    assert (done.carried, done.tally.rejected) == (2, 1)
    assert figures(done.tally).outcomes[0].amount == {"EUR": "10.00", "JPY": "10"}
    assert figures(done.tally).levels == []
    await assert_balanced(here)


async def test_a_row_that_poisons_nothing(here: Here, tmp_path: Path) -> None:
    """Texts that PostgreSQL or JSON could stumble over."""
    odd = ["o'neil", '"quoted"', "a\\b", "%s%(x)s", "{1,2}", "名字", "\u202e", "x" * 120, " ", "a\tb"]
    rows = [[n, "2018-04-01", name, name, "1.00", "false"] for n, name in enumerate(odd)]
    done = await to_the_end(here, write_csv(tmp_path / "odd.csv", rows))
    assert done.carried + done.tally.rejected == len(odd)
    assert done.carried == 7  # not the direction mark, not the blank, not the tab
    await assert_balanced(here)


# -- the same payments again


async def test_a_file_that_overlaps_another_pays_nothing_twice(here: Here, tmp_path: Path, seed: int) -> None:
    rows = history(900, seed)
    await to_the_end(here, write_csv(tmp_path / "one.csv", rows[:500]))
    done = await to_the_end(here, write_csv(tmp_path / "two.csv", rows[300:]))
    assert (done.tally.payments, done.tally.earlier, done.tally.rejected) == (600, 200, 0)
    ((count,),) = await here.all(b"SELECT count(*) FROM risk.decisions")
    assert count == 900
    ((people,),) = await here.all(b"SELECT count(*) FROM parties.customers")
    assert people == len({row[2] for row in rows})
    labels = await here.all(LABELS)
    assert len(labels) == len({reference for reference, _, _ in labels})
    await assert_balanced(here)


async def test_money_between_customers(here: Here, tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        'name = "p2p"\ncurrency = "CNY"\npayees = "customers"\n[columns]\nid = "i"\ntime = "t"\npayer = "a"\n'
        'payee = "b"\namount = "x"\ndevice = "d"\nip = "p"\nlatitude = "la"\nlongitude = "lo"\n',
    )
    head = ("i", "t", "a", "b", "x", "d", "p", "la", "lo")
    rows = [
        [n, f"2018-04-01 10:00:{n:02}", "ann", "bob", "5.00", "d1", "10.0.0.1", "31.2", "121.5"]
        for n in range(9)
    ]
    rows.append([9, "2018-04-01 10:01:00", "bob", "bob", "5.00", "", "", "", ""])
    done = await to_the_end(here, write_csv(tmp_path / "p2p.csv", rows, head), mapping)
    assert (done.carried, done.tally.rejected) == (9, 1)
    found = await here.all(b"SELECT kind, device, ip, latitude FROM risk.decisions")
    assert set(found) == {("send", "d1", "10.0.0.1", 31.2)}
    await assert_balanced(here)


async def test_payers_bring_money_once(here: Here, file: Path) -> None:
    await to_the_end(here, file)
    found = await here.all(
        b"SELECT state, count(*), count(DISTINCT payee), bool_and(event_at < created_at), bool_and(captured = amount)"
        b" FROM payments.payments WHERE kind = 'top_up' GROUP BY state"
    )
    ((state, count, payees, in_the_past, whole),) = found
    assert (state, payees, in_the_past, whole) == ("succeeded", 60, True, True)
    assert count < 60 * 10
    ((attempts,),) = await here.all(b"SELECT count(*) FROM payments.rail_attempts")
    assert attempts == 0


async def test_time_passes_at_the_wished_speed(here: Here, tmp_path: Path) -> None:
    rows = [[n, f"2018-04-01 10:0{n}:00", n, 1, "5.00", "false"] for n in range(4)]
    done = await to_the_end(here, write_csv(tmp_path / "slow.csv", rows), speed=180.0)
    assert done.seconds >= 1.0


# -- when it cannot go on


async def test_a_database_that_goes_away_ends_the_replay_where_it_was(
    here: Here, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillkeeper.base.limits.TURN_TRIES", 1)
    whole, count = Store.tx, 0

    def failing(self: Store, name: str) -> Any:
        nonlocal count
        count += name == "turn"
        if count > 4 and name == "turn":
            raise psycopg.OperationalError("gone")
        return whole(self, name)

    monkeypatch.setattr(Store, "tx", failing)
    with pytest.raises(ReplayError, match="database went away") as caught:
        await carry(here, file)
    assert "again" in caught.value.remedy
    monkeypatch.setattr(Store, "tx", whole)
    done = await to_the_end(here, file)
    assert done.tally.payments == ROWS
    await assert_balanced(here)


# -- the command


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def till(database: Database, tmp_path: Path) -> Callable[..., Said]:
    def call(*arguments: str) -> Said:
        process = command(database, tmp_path / "home", *arguments)
        out, err = process.communicate(timeout=WAIT_SECONDS)
        return Said(process.returncode, out.decode(), err.decode())

    return call


def test_the_command_for_people_and_for_programs(
    till: Callable[..., Said], tmp_path: Path, seed: int
) -> None:
    rows = history(500, seed)
    rows[7][4] = "0"
    file = write_csv(tmp_path / "payments.csv", rows)
    said = till(str(file))
    assert said.code == 0, said.err
    assert "499 payments" in said.out
    assert "1 rows were left out: see " in said.out
    assert "three hand rules, as many" in said.out
    assert "The books balance: yes" in said.out
    again = till(str(file), "--json")
    assert again.code == 0
    report = json.loads(again.out)
    assert (report["carried"], report["rejected"], report["books_balance"]) == (0, 1, True)
    assert Path(report["reject_file"]).read_text().startswith("line,reason,row\n9,amount")
    assert report["rules"].startswith("rules_handbook.toml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.csv"], "cannot be read"),
        (["{file}", "--speed", "fast"], "--speed fast"),
        (["{file}", "--map", "nothing.toml"], "nothing.toml"),
        (["{file}", "--rules", "nothing.toml"], "nothing.toml"),
        (["{file}", "--rules", "{rules}"], "mine.toml:"),
    ],
)
def test_what_cannot_be_done_is_said(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    said: str,
) -> None:
    for name, value in settings(database, tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    rules = tmp_path / "mine.toml"
    rules.write_text(RULES.read_text().replace("amount > 22_000", "amout > 22_000"))
    file = write_csv(tmp_path / "payments.csv", history(5, 1))
    with pytest.raises(SystemExit) as left:
        main(["replay", *[each.format(file=file, rules=rules) for each in arguments]])
    heard = capsys.readouterr()
    assert left.value.code == 2
    assert said in heard.err
    assert "  -> " in heard.err


async def test_another_process_with_the_profiles_is_named(
    till: Callable[..., Said], database: Database, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "payments.csv", history(5, 1))
    async with sole.sole(database.app_url, "risk profiles", _nothing):
        heard = await asyncio.to_thread(till, str(file))
    assert heard.code == 2
    assert "another process keeps the risk profiles" in heard.err
    assert "stop it" in heard.err


@needs_shared_data
async def test_a_day_of_the_handbook(here: Here) -> None:
    done = await to_the_end(here, SHARED_DATA / "handbook-2018-07-01.csv")
    seen = figures(done.tally)
    assert (done.carried, seen.judged, seen.frauds) == (9692, 9692, 88)
    assert done.tally.rejected == 0
    assert open_file(SHARED_DATA / "handbook-2018-07-01.csv").columns == HEADER
    await assert_balanced(here)
