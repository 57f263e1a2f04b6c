"""Caught before customers notice? Bad changes on a real platform under live payments: what catches each, how soon, who is hurt.

Each plan is first written and checked, then rehearsed on a restored copy, and then run all the same, as if nobody had looked at
what the rehearsal said: so that it shows what the guardrails do by themselves. The agent is the real one, in a process of its
own, with a careless colleague's kinds of steps beside the others (bench/fault_agent.py); the api is a process of its own.

    python -m bench faults [NAME …]
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
import psutil
import psycopg

from bench import figures
from bench.fault_agent import FAULTY, MARKS
from bench.payments import payer
from bench.stage import People, Stage, api, populate, sql, staged
from tillkeeper import ledger
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance import backups, plans, reports, runs
from tillkeeper.maintenance.plans import Guardrail, Plan, Rehearsed
from tillkeeper.maintenance.plans import Step as Planned
from tillkeeper.maintenance.runs import ENDS, Event, RunView, journal
from tillkeeper.maintenance.steps import Site
from tillkeeper.monitoring import Books
from tillkeeper.store import Store
from tillkeeper.vault import Vault, root_of

CUSTOMERS: Final = 20_000
RATE: Final = 40.0  # payments a second
SLOW: Final = 1.0  # seconds: whoever waits longer is hurt
PATIENCE: Final = 15.0  # then a caller gives up
DEADLINE: Final = 90.0  # of one run
BEFORE: Final = 6.0  # of quiet payments before each
_POLL: Final = 0.05
_CLOCK: Final = SystemClock()

RAILS: Final = (
    Guardrail("payments.success_rate", worse_by=1.0, seconds=5.0, samples=20),
    Guardrail("payments.latency_p99_ms", limit=1000.0, seconds=5.0, samples=20),
    Guardrail("payments.rate", worse_by=2.0, seconds=4.0, samples=3),
)


class Sent(msgspec.Struct):
    """One call: when it was sent, how long it took, and the status; 0: no answer."""

    at: datetime
    took: float
    status: int


class Load:
    """Payments at a steady rate over HTTP, whoever answers or not."""

    def __init__(self, stage: Stage, people: People) -> None:
        self._stage = stage
        self._payers = [payer(number, each) for number, each in enumerate(people.customers)]
        self._payees = [to_typeid("mer", each) for each in people.merchants]
        self._place = 0
        self.sent: list[Sent] = []
        self.paid: list[str] = []

    async def run(self) -> None:
        """Until cancelled."""
        headers = {"authorization": f"Bearer {self._stage.key}", "content-type": "application/json"}
        bounds = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        base = f"http://127.0.0.1:{self._stage.settings.api_port}"
        async with (
            httpx.AsyncClient(base_url=base, headers=headers, limits=bounds, timeout=PATIENCE) as client,
            asyncio.TaskGroup() as group,
        ):
            due = _CLOCK.monotonic()
            while True:
                group.create_task(self._pay(client))
                due += 1 / RATE
                await asyncio.sleep(max(0.0, due - _CLOCK.monotonic()))

    async def _pay(self, client: httpx.AsyncClient) -> None:
        self._place += 1
        body = self._payers[self._place % len(self._payers)]
        payee = self._payees[self._place % len(self._payees)]
        call = Sent(_CLOCK.now(), 0.0, 0)
        began = _CLOCK.monotonic()
        try:
            content = f'{body}"{payee}","amount":{1000 + self._place % 9000}}}'
            key = {"idempotency-key": new_id().hex}
            answer = await client.post("/v1/payments", content=content, headers=key)
            call.status = answer.status_code
            if len(self.paid) < 50 and answer.status_code == 201:
                self.paid.append(answer.json()["id"])
        except httpx.HTTPError:
            call.status = 0
        call.took = _CLOCK.monotonic() - began
        self.sent.append(call)

    def between(self, since: datetime, until: datetime) -> list[Sent]:
        return [each for each in self.sent if since <= each.at < until]


class Hurt(msgspec.Struct, frozen=True):
    """Of the payments sent meanwhile: all, those that failed, and those answered well but later than SLOW."""

    sent: int
    failed: int
    slow: int


class Row(msgspec.Struct, frozen=True):
    """What became of one bad change. `caught`: by what it is caught first, in the order in which a plan goes its way; `live`: by
    what when it ran all the same. `seconds`: from the step's beginning to the stop, until all was undone.
    """

    name: str
    change: str
    written: str
    rehearsed: str
    live: str
    seconds_to_stop: float | None
    seconds_to_end: float | None
    outcome: str
    hurt: Hurt
    undone: bool | None
    balanced: bool
    said: str

    @property
    def caught(self) -> str:
        """The first line that holds it."""
        if self.written:
            return "when written"
        if self.rehearsed.startswith("caught"):
            return "in rehearsal"
        return self.live or "NOT CAUGHT"


class Field(msgspec.Struct):
    """Where the faults are planted."""

    stage: Stage
    store: Store
    site: Site
    load: Load
    admin: psycopg.AsyncConnection[Any]
    agent: "AgentProcess"


class Fault(msgspec.Struct, frozen=True):
    """One bad change. `undone`: whether nothing of it is left, looked at after the run; None: there is nothing to undo.
    `meanwhile`: what else goes wrong while it runs. `rehearse`: a copy could show it at all.
    """

    name: str
    change: str
    steps: Callable[["Field"], Awaitable[tuple[Planned, ...]]]
    undone: Callable[["Field"], Awaitable[bool]] | None = None
    meanwhile: Callable[["Field", UUID], Coroutine[Any, Any, None]] | None = None
    rails: Callable[["Field"], tuple[Guardrail, ...]] = lambda _: RAILS
    rehearse: bool = True
    repair: str = ""


class AgentProcess:
    """The agent, which can be killed and started again."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TILL_")}
        environment |= {"TILL_HOME": str(self._stage.settings.home), "TILL_COMMANDS": "/bin/sleep"}
        with (self._stage.settings.home / "agent.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.fault_agent"), stdout=log, stderr=log, env=environment
            )

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 30)
            if self._process.returncode is None:
                await self.kill()


# -- the bad changes


def sql_step(kind: str = "careless.sql", **given: Any) -> Callable[[Field], Awaitable[tuple[Planned, ...]]]:
    return steps(Planned(kind, given))


def steps(*planned: Planned) -> Callable[[Field], Awaitable[tuple[Planned, ...]]]:
    async def made(_: Field) -> tuple[Planned, ...]:
        return planned

    return made


def no_rows(query: str) -> Callable[[Field], Awaitable[bool]]:
    async def looked(field: Field) -> bool:
        cursor = await field.admin.execute(query.encode())
        return await cursor.fetchone() is None

    return looked


async def no_faults(field: Field) -> bool:
    return not (await Books(field.store, _CLOCK).look()).faults


async def double_refund(field: Field) -> tuple[Planned, ...]:
    """A refund of the load's, doubled: its row, and what the payment says of it."""
    headers = {"authorization": f"Bearer {field.stage.key}", "idempotency-key": new_id().hex}
    base = f"http://127.0.0.1:{field.stage.settings.api_port}"
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE) as client:
        paid = field.load.paid.pop()
        answer = await client.post(f"/v1/payments/{paid}/refunds", json={"amount": 100}, headers=headers)
        assert answer.status_code in {200, 201}, answer.text
    cursor = await field.admin.execute(b"SELECT payment::text FROM payments.refunds ORDER BY id DESC LIMIT 1")
    row = await cursor.fetchone()
    assert row is not None
    of = f"payment = '{row[0]}'"
    again = (
        "INSERT INTO payments.refunds (id, payment, amount, fee_returned, reason, created_at)"
        f" SELECT gen_random_uuid(), payment, amount, fee_returned, 'again', created_at FROM payments.refunds WHERE {of}"
    )
    back = f"DELETE FROM payments.refunds WHERE {of} AND reason = 'again'"
    given = {"statements": (again,), "undo": (back,), "linger": 20.0}
    return (Planned("careless.money", given),)


_MOVE: Final = (
    "UPDATE ledger.accounts AS a SET balance = balance + CASE WHEN place = 1 THEN {sign}100 ELSE -({sign}100) END"
    " FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM ledger.accounts WHERE purpose = 'wallet'"
    " ORDER BY id LIMIT 2) AS two WHERE a.id = two.id"
)
_LOSE: Final = {"statements": (_MOVE.format(sign="+"),), "undo": (_MOVE.format(sign="-"),)}
_INDEX: Final = "CREATE INDEX fault_index ON payments.payments (note)"
_NO_INDEX: Final = "SELECT FROM pg_class WHERE relname IN ('fault_index', 'fault_twins')"
_NOT_SET: Final = "SELECT FROM pg_file_settings WHERE name IN ('max_connections', 'enable_indexscan', 'enable_bitmapscan', 'enable_indexonlyscan') AND sourcefile LIKE '%auto.conf'"


async def kill_in_undo(field: Field, run: UUID) -> None:
    """SIGKILL as soon as the undo is at work; the agent starts again as its supervisor would start it."""
    await until(field, run, lambda seen: any(each.kind == "undo_begun" for each in seen.events))
    await asyncio.sleep(0.5)
    await field.agent.kill()
    await asyncio.sleep(limits.CHILD_RESTART_PAUSE_SECONDS)
    await field.agent.start()


async def hold_a_call(field: Field, run: UUID) -> None:
    """A caller who sends half a body and then nothing, for as long as the run lasts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", field.stage.settings.api_port)
    head = f"POST /v1/payments HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {field.stage.key}\r\nidempotency-key: k{run.hex}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: 500\r\n\r\n{{".encode())
    await writer.drain()
    try:
        await until(field, run, lambda seen: seen.run.state in ENDS or seen.run.state == "paused")
    finally:
        writer.close()
        del reader


def disk_rails(field: Field) -> tuple[Guardrail, ...]:
    """A limit one GiB below what is free now."""
    free = os.statvfs(field.stage.settings.home)
    return (
        *RAILS,
        Guardrail("disk.free_bytes", limit=float(free.f_bavail * free.f_frsize - 1024**3), samples=1),
    )


async def no_ballast(field: Field) -> bool:
    return not await asyncio.to_thread((field.stage.settings.home / "ballast").exists)


def archive_rails(_: Field) -> tuple[Guardrail, ...]:
    return (*RAILS, Guardrail("wal.waiting_bytes", limit=16 * 1024.0**2, samples=1))


async def stick_archive(field: Field, run: UUID) -> None:
    """The repository cannot be written any more while the run is on."""
    place = Path(field.stage.settings.backup_place)
    away = place.with_name(f"{place.name}-away")
    await asyncio.to_thread(place.rename, away)
    await asyncio.to_thread(place.write_text, "not a folder")
    try:
        await until(field, run, lambda seen: seen.run.state in ENDS or seen.run.state == "paused")
    finally:
        await asyncio.to_thread(place.unlink)
        await asyncio.to_thread(away.rename, place)


_FILL_LOG: Final = "SELECT pg_logical_emit_message(true, 'fault', repeat('x', 8000000))"

FAULTS: Final = (
    Fault(
        "control",
        "a good change: an index built beside the payments",
        steps(
            Planned(
                "index.create", {"table": "payments.payments", "name": "fault_index", "columns": ("note",)}
            )
        ),
        undone=None,
        repair="DROP INDEX IF EXISTS payments.fault_index",
    ),
    Fault(
        "index",
        "an index build that blocks writes for 20 s",
        sql_step(statements=(_INDEX,), undo=("DROP INDEX IF EXISTS payments.fault_index",), hold=20.0),
        no_rows(_NO_INDEX),
    ),
    Fault(
        "rewrite",
        "a new type for a column, which rewrites the table",
        steps(
            Planned(
                "sql.expand",
                {
                    "statements": ("ALTER TABLE payments.payments ALTER COLUMN note TYPE varchar(300)",),
                    "undo": ("ALTER TABLE payments.payments ALTER COLUMN note TYPE text",),
                },
            )
        ),
    ),
    Fault(
        "lock",
        "a migration that locks a table for 20 s",
        sql_step(statements=("LOCK TABLE payments.payments IN ACCESS EXCLUSIVE MODE",), hold=20.0),
        no_rows("SELECT FROM public.fault_marks"),
    ),
    Fault(
        "backfill",
        "a backfill that skips every seventh row",
        steps(
            Planned(
                "sql.backfill",
                {
                    "table": "public.fault_rows",
                    "set": "tag = CASE WHEN n % 7 = 0 THEN NULL ELSE 'x' END",
                    "done": "tag IS NOT NULL",
                    "undo": "tag = NULL",
                    "rest": 0.5,
                },
            )
        ),
        no_rows("SELECT FROM public.fault_rows WHERE tag IS NOT NULL LIMIT 1"),
    ),
    Fault(
        "money",
        "100 moved between two wallets without a transfer",
        sql_step("careless.money", **_LOSE, linger=20.0),
        no_faults,
    ),
    Fault("refund", "a refund doubled", double_refund, no_faults),
    Fault(
        "connections",
        "a setting that starves connections: max_connections = 10, with a restart",
        steps(Planned("setting.change", {"name": "max_connections", "value": "10", "apply": "restart"})),
        no_rows(_NOT_SET),
    ),
    Fault(
        "plan",
        "a slow query plan: index scans turned off",
        steps(
            *(
                Planned("setting.change", {"name": f"enable_{each}", "value": "off"})
                for each in ("bitmapscan", "indexonlyscan", "indexscan")
            )
        ),
        no_rows(_NOT_SET),
    ),
    Fault(
        "disk", "a step that fills the disk: 4 GiB", sql_step("careless.fill"), no_ballast, rails=disk_rails
    ),
    Fault(
        "archive",
        "the archive of the log stuck while a step writes much",
        sql_step(statements=(_FILL_LOG,) * 12, linger=40.0),
        no_rows("SELECT FROM public.fault_marks"),
        meanwhile=stick_archive,
        rails=archive_rails,
    ),
    Fault(
        "drain",
        "a drain that never ends: a caller who never finishes",
        steps(Planned("workers.restart", {"drain_seconds": 3.0})),
        meanwhile=hold_a_call,
    ),
    Fault(
        "hang",
        "a command that hangs",
        steps(Planned("command.run", {"command": ("/bin/sleep", "600"), "seconds": 3.0})),
    ),
    Fault(
        "killed",
        "100 moved without a transfer, and the agent killed in mid-undo",
        sql_step("careless.money", **_LOSE, linger=20.0, undo_hold=3.0),
        no_faults,
        meanwhile=kill_in_undo,
    ),
    Fault(
        "twins",
        "a unique index over values that are not unique",
        steps(
            Planned(
                "index.create",
                {"table": "public.fault_rows", "name": "fault_twins", "columns": ("n",), "unique": True},
            )
        ),
        no_rows(_NO_INDEX),
    ),
    Fault(
        "for_ever",
        "100 moved without a transfer by a step that cannot be undone",
        sql_step("careless.for_ever", statements=_LOSE["statements"], linger=20.0),
        no_faults,
        repair=_MOVE.format(sign="-"),
    ),
)


# -- the bench


async def main(wanted: Sequence[str] = ()) -> list[Row]:
    """Plant each, print, write bench/out/faults.json."""
    chosen = [each for each in FAULTS if not wanted or each.name in wanted]
    async with staged() as stage:
        people = await populate(stage, CUSTOMERS, 100)
        async with _field(stage, people) as field:
            rows = []
            for fault in chosen:
                rows.append(await one(field, fault))
                show(rows[-1:])
            print(f"reports: {len(list(reports.folder_of(stage.settings).glob('*.json')))} written")
    show(rows)
    figures.keep("faults", rows)
    return rows


@asynccontextmanager
async def _field(stage: Stage, people: People) -> AsyncIterator[Field]:
    """Payments running, the agent at work, a backup proved, and some rows to play with."""
    root = root_of(stage.settings)
    async with (
        await psycopg.AsyncConnection.connect(stage.urls.admin, autocommit=True) as admin,
        Store.opened(stage.urls.app) as store,
        Vault.opened(store, root, _CLOCK) as vault,
        _apis(stage),
    ):
        await admin.execute(MARKS.encode())
        await admin.execute(b"CREATE TABLE public.fault_rows (id uuid PRIMARY KEY, n integer, tag text)")
        await admin.execute(
            b"INSERT INTO public.fault_rows SELECT gen_random_uuid(), n % 4000, NULL FROM generate_series(1, 20000) AS n"
        )
        site = Site(store, stage.urls.admin, _CLOCK, stage.settings, vault, root, production=True)
        field = Field(stage, store, site, Load(stage, people), admin, AgentProcess(stage))
        loading = asyncio.create_task(field.load.run())
        await asyncio.sleep(5.0)
        await admin.execute(sql.statistics)
        await backups.backup_now(stage.settings, _CLOCK, by="bench")
        drill = await backups.drill(stage.settings, _CLOCK, by="bench")
        print(f"backup and drill: {'passed' if drill.passed else 'NOT PASSED'}")
        await field.agent.start()
        try:
            yield field
        finally:
            await field.agent.stop()
            loading.cancel()
            with suppress(asyncio.CancelledError):
                await loading


@asynccontextmanager
async def _apis(stage: Stage) -> AsyncIterator[None]:
    """The api, started again whenever it ends, as `till up` does."""
    ready = asyncio.Event()

    async def keep() -> None:
        while True:
            async with api(stage) as pid:
                ready.set()
                while _lives(pid):  # noqa: ASYNC110 - another process rings no bell
                    await asyncio.sleep(0.1)

    keeping = asyncio.create_task(keep())
    await asyncio.wait({keeping, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


def _lives(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


async def one(field: Field, fault: Fault) -> Row:
    """Write it, rehearse it, run it, and look what is left."""
    planned = await fault.steps(field)
    plan = Plan(fault.change, "bench", "bench", planned, guardrails=fault.rails(field))
    mistakes = plans.check(plan, FAULTY, _CLOCK.now())
    if mistakes:
        said = mistakes[0].said
        return Row(
            fault.name,
            fault.change,
            said,
            "",
            "",
            None,
            None,
            "",
            Hurt(0, 0, 0),
            None,
            await _balanced(field),
            said,
        )
    rehearsed = await _rehearse(field, plan) if fault.rehearse else "not rehearsed"
    await asyncio.sleep(BEFORE)
    seen = await _run(field, plan, fault)
    return await _judge(field, fault, seen, rehearsed)


async def _rehearse(field: Field, plan: Plan) -> str:
    async with field.store.tx("bench plan") as tx:
        filed = await plans.submit(tx, plan, "bench", FAULTY, _CLOCK)
    assert not isinstance(filed, Refusal), filed
    found = await runs.rehearse(field.stage.settings, filed, FAULTY, _CLOCK, by="bench")
    if not isinstance(found, Rehearsed):
        return f"refused: {found.detail}"
    return "passed" if found.passed else f"caught: {found.said}"


async def _run(field: Field, plan: Plan, fault: Fault) -> RunView:
    """To its end. A pause is answered as a person would: undo it."""
    run = new_id()
    async with field.store.tx("bench run") as tx:
        assert await journal.ask(tx, run, new_id(), plan, "bench", _CLOCK) is not None
    beside = asyncio.create_task(fault.meanwhile(field, run)) if fault.meanwhile else None
    seen = await until(field, run, lambda found: found.run.state in ENDS or found.run.state == "paused")
    if seen.run.state == "paused":
        await asyncio.sleep(1.0)
        async with field.store.tx("bench undo") as tx:
            await runs.command(tx, run, "undo" if _begun(seen.events) else "abort", "bench", _CLOCK)
        seen = await until(field, run, lambda found: found.run.state in ENDS)
    if beside is not None:
        await beside
    await asyncio.sleep(3.0)  # whoever waits is answered
    return seen


def _begun(events: Sequence[Event]) -> bool:
    return any(each.kind == "begun" for each in events)


async def _judge(field: Field, fault: Fault, seen: RunView, rehearsed: str) -> Row:
    events = seen.events
    began = next((each.at for each in events if each.kind == "step_begun"), seen.run.asked_at)
    stop = next((each for each in events if each.kind in {"undo_asked", "paused", "step_failed"}), None)
    ended = seen.run.ended_at
    assert ended is not None
    sent = field.load.between(began, ended + timedelta(seconds=1))
    good = [each for each in sent if 200 <= each.status < 500]
    slow = [each for each in good if each.took > SLOW]
    undone = await fault.undone(field) if fault.undone and stop is not None else None
    if fault.repair:
        await field.admin.execute(fault.repair.encode())
        await field.admin.execute(b"DELETE FROM public.fault_marks")
    before = await _balanced(field) if not fault.repair or undone is not False else False
    return Row(
        fault.name,
        fault.change,
        "",
        rehearsed,
        _by(stop),
        round((stop.at - began).total_seconds(), 2) if stop else None,
        round((ended - began).total_seconds(), 2),
        seen.run.state,
        Hurt(len(sent), len(sent) - len(good), len(slow)),
        undone,
        before,
        str(stop.detail.get("said", "")) if stop else "",
    )


def _by(stop: Event | None) -> str:
    """What stopped it."""
    if stop is None:
        return ""
    if stop.kind == "step_failed":
        return "its own look" if stop.detail.get("findings") else "its own bound"
    if stop.kind == "paused":
        return f"paused: {stop.detail.get('cause', '')}"
    return f"guardrail {stop.detail.get('measure', '')}"


async def _balanced(field: Field) -> bool:
    return (await ledger.verify(field.store)).balanced and await no_faults(field)


async def until(field: Field, run: UUID, there: Callable[[RunView], bool]) -> RunView:
    """The run once it is so. Raises TimeoutError."""
    deadline, seen = _CLOCK.monotonic() + DEADLINE, None
    while _CLOCK.monotonic() < deadline:
        with suppress(psycopg.Error, OSError):
            async with field.store.tx("bench looks") as tx:
                seen = await runs.view(tx, run)
            if seen is not None and there(seen):
                return seen
        await asyncio.sleep(_POLL)
    log = (field.stage.settings.home / "agent.log").read_text()[-1500:]
    raise TimeoutError(f"the run did not get there within {DEADLINE:g} s: {seen}\n{log}")


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    figures.show("bad changes", [_shown(each) for each in rows])


def _shown(row: Row) -> dict[str, str]:
    yes = {True: "yes", False: "NO", None: "-"}
    return {
        "change": row.change,
        "caught": row.caught,
        "run all the same, stopped by": row.live or ("-" if row.written else "NOTHING"),
        "s to stop": "-" if row.seconds_to_stop is None else f"{row.seconds_to_stop:.1f}",
        "s to end": "-" if row.seconds_to_end is None else f"{row.seconds_to_end:.1f}",
        "end": row.outcome or "-",
        "failed": f"{row.hurt.failed} of {row.hurt.sent}",
        "slow": str(row.hurt.slow),
        "undone": yes[row.undone],
        "books": "balance" if row.balanced else "DIFFER",
    }


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
