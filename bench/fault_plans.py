"""The bad changes: as a plan, and what else goes wrong meanwhile."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec

from bench.fault_field import PATIENCE, Field, no_faults, until
from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.plans import Guardrail
from tillkeeper.maintenance.plans import Step as Planned
from tillkeeper.maintenance.runs import ENDS

RAILS: Final = (
    Guardrail("payments.success_rate", worse_by=1.0, seconds=5.0, samples=20),
    Guardrail("payments.latency_p99_ms", limit=1000.0, seconds=5.0, samples=20),
    Guardrail("payments.rate", worse_by=2.0, seconds=4.0, samples=3),
)


class Fault(msgspec.Struct, frozen=True):
    """One bad change. `undone`: whether nothing of it is left, looked at after the run; None: there is nothing to undo.
    `meanwhile`: what else goes wrong while it runs.
    """

    name: str
    change: str
    steps: Callable[[Field], Awaitable[tuple[Planned, ...]]]
    undone: Callable[[Field], Awaitable[bool]] | None = None
    meanwhile: Callable[[Field, UUID], Coroutine[Any, Any, None]] | None = None
    rails: Callable[[Field], tuple[Guardrail, ...]] = lambda _: RAILS
    repair: str = ""


def sql_step(kind: str = "careless.sql", **given: Any) -> Callable[[Field], Awaitable[tuple[Planned, ...]]]:
    return steps(Planned(kind, given))


def steps(*planned: Planned) -> Callable[[Field], Awaitable[tuple[Planned, ...]]]:
    async def made(_: Field) -> tuple[Planned, ...]:
        return planned

    return made


def no_rows(query: str) -> Callable[[Field], Awaitable[bool]]:
    async def looked(field: Field) -> bool:
        return not await field.ask(query)

    return looked


async def double_refund(field: Field) -> tuple[Planned, ...]:
    """A refund of the load's, doubled: its row, and what the payment says of it."""
    headers = {"authorization": f"Bearer {field.stage.key}", "idempotency-key": new_id().hex}
    base = f"http://127.0.0.1:{field.stage.settings.api_port}"
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE) as client:
        paid = field.load.paid.pop()
        answer = await client.post(f"/v1/payments/{paid}/refunds", json={"amount": 100}, headers=headers)
        assert answer.status_code in {200, 201}, answer.text
    await asyncio.sleep(15.0)  # until the archive has it, and so the copy
    ((payment,),) = await field.ask("SELECT payment::text FROM payments.refunds ORDER BY id DESC LIMIT 1")
    of = f"payment = '{payment}'"
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
_NOT_SET: Final = (
    "SELECT FROM pg_file_settings WHERE name = 'max_connections' AND sourcefile LIKE '%auto.conf'"
)


_PLAIN: Final = {
    f"ALTER FUNCTION ledger.post_v1 RESET enable_{each}": f"ALTER FUNCTION ledger.post_v1 SET enable_{each} = {value}"
    for each, value in (
        ("indexscan", "off"),
        ("bitmapscan", "off"),
        ("indexonlyscan", "off"),
        ("seqscan", "on"),
    )
}


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
        "a slow query plan: the function that books no longer uses indexes",
        sql_step(statements=tuple(_PLAIN.values()), undo=tuple(_PLAIN), linger=30.0),
        no_rows(
            "SELECT FROM pg_proc WHERE proname = 'post_v1' AND array_to_string(proconfig, ' ') LIKE '%enable%'"
        ),
        rails=lambda _: (*RAILS, Guardrail("payments.latency_p50_ms", worse_by=3.0, seconds=5.0, samples=20)),
        repair="; ".join(_PLAIN),
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
