"""The demo's tour of maintenance, while the city pays: backup, plan, rehearsal, a second person, run, report."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper import ledger
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id
from tillkeeper.faces.cli.pair import AUTHOR, COLLEAGUE, Pair, TourError, command, granted
from tillkeeper.ledger import Entry, NewAccount, Op
from tillkeeper.maintenance import plans, runs
from tillkeeper.maintenance.plans import Filed, Guardrail, Plan, Step
from tillkeeper.maintenance.runs import ENDS, RunView
from tillkeeper.maintenance.steps import KINDS
from tillkeeper.store import Store, as_owner

_POLL_SECONDS: Final = 0.5
_TELL_SECONDS: Final = 5.0
_RUN_SECONDS: Final = 600.0
_REPORT_SECONDS: Final = 30.0

Say = Callable[[str], None]

_GUARDRAILS: Final = (
    Guardrail("payments.success_rate", worse_by=2.0, seconds=5.0),
    Guardrail("payments.latency_p99_ms", limit=2000.0, seconds=5.0),
)
PLAN: Final = Plan(
    goal="Find refunds by day at once, and seal personal data with a fresh key",
    reason="The refunds of a day are looked for every morning; the data key is renewed every quarter.",
    owner=AUTHOR,
    steps=(
        Step(
            "index.create", {"table": "payments.refunds", "columns": ["created_at"]}, "index refunds by day"
        ),
        Step("keys.rotate", {"purpose": "data"}, "rotate the data key"),
    ),
    touches=("payments.refunds", "sealed columns"),
    guardrails=_GUARDRAILS,
)
"""What the tour does."""
FAULTY: Final = Plan(
    goal="Note for every customer whence they came",
    reason="Marketing asks for it.",
    owner=AUTHOR,
    steps=(
        Step(
            "index.create", {"table": "payments.refunds", "columns": ["created_at"]}, "index refunds by day"
        ),
        Step(
            "sql.expand",
            {
                "statements": ["ALTER TABLE parties.customers ADD COLUMN came_from text"],
                "undo": ["ALTER TABLE parties.customers DROP COLUMN came_from"],
            },
            "add the column",
        ),
        Step(
            "sql.backfill",
            {
                "table": "parties.customers",
                "set": "came_from = 'street'",
                "done": "came_from IS NOT NULL",
                "undo": "came_from = NULL",
                "batch": 20,
                "rest": 20.0,
            },
            "fill the column",
        ),
    ),
    touches=("parties.customers",),
    guardrails=_GUARDRAILS,
)
"""What the tour does when a fault is planted: all of it can be undone."""
_MEDDLED: Final = 100  # minor units
_MEDDLING: Final = (  # what only a superuser can do, and no door of ours offers
    "UPDATE ledger.accounts SET balance = balance + CASE WHEN id = %(to)s THEN %(amount)s ELSE -%(amount)s END"
    " WHERE id IN (%(from)s, %(to)s)"
)
_MEDDLE_SECONDS: Final = 1.0
_MEDDLE_POLL_SECONDS: Final = 0.05


class Toured(msgspec.Struct, frozen=True):
    """What became of the tour's run. `as_meant`: it succeeded, or was undone where a fault was planted."""

    state: str
    as_meant: bool
    report: str | None


class Tour:
    """All of it, step by step. `folder`: where the agent writes reports."""

    def __init__(self, store: Store, admin_url: str, folder: Path, clock: Clock) -> None:
        self._store = store
        self._admin_url = admin_url
        self._folder = folder
        self._clock = clock
        self._pair = Pair(store, clock)

    async def lead(self, say: Say, *, fault: bool) -> Toured:
        """All of it; with a fault, somebody meddles with the money meanwhile. Raises TourError; the city lives on."""
        plan = FAULTY if fault else PLAN
        await self._pair.sign_in(AUTHOR)  # no run begins while no operator is there
        taken = await command("backup", "now")
        say(f"Tour     backup taken: {taken['bytes'] / 1e6:,.1f} MB, sealed")
        proof = await command("backup", "drill")
        say(
            f"Tour     drilled: restored beside in {proof['rto_seconds']:.1f} s, books and audit trail hold;"
            f" {proof['rpo_seconds']:.1f} s would have been lost"
        )
        filed = await self._submitted(plan)
        say(f"Tour     plan {filed.public_id}: {plan.goal}; rehearsing it on a restored copy …")
        rehearsed = await command("plan", "rehearse", filed.public_id)
        say(f"Tour     rehearsed under replayed load: {rehearsed['said']}")
        await self._pair.agree(plans.APPROVE, filed.public_id)
        say(f"Tour     {COLLEAGUE} agreed to exactly this plan (the demo plays both; it takes two)")
        meddling = [asyncio.create_task(self._meddle(filed, say))] if fault else []
        try:
            run = await self._ran(filed, say)
            await asyncio.gather(*meddling)
        finally:
            for each in meddling:
                each.cancel()
        meant = "undone" if fault else "succeeded"
        return Toured(run.run.state, run.run.state == meant, await self._report(run))

    async def _submitted(self, plan: Plan) -> Filed:
        async with self._store.tx("tour plan") as tx:
            return granted(await plans.submit(tx, plan, AUTHOR, KINDS, self._clock, origin="till demo"))

    async def _ran(self, filed: Filed, say: Say) -> RunView:
        """The run, watched to its end."""
        async with self._store.tx("tour run") as tx:
            run = granted(await runs.start(tx, filed.id, AUTHOR, self._clock, origin="till demo"))
        deadline, told = self._clock.monotonic() + _RUN_SECONDS, -_TELL_SECONDS
        while (now := self._clock.monotonic()) < deadline:
            async with self._store.tx("tour watches") as tx:
                seen = await runs.view(tx, run.id)
            assert seen is not None
            if now - told >= _TELL_SECONDS or seen.run.state in ENDS:
                say(f"Tour     {progress(seen)}")
                told = now
            if seen.run.state in ENDS:
                return seen
            if seen.run.state == "paused":
                raise TourError(f"{run.public} is paused: {seen.pause_reason}")
            await asyncio.sleep(_POLL_SECONDS)
        raise TourError(f"{run.public} did not end within {_RUN_SECONDS:g} s")

    async def _meddle(self, filed: Filed, say: Say) -> None:
        """Move money between two accounts without a transfer while the last step is at work, and back when all is undone."""
        pair = await self._two_accounts()
        await self._until(filed, lambda seen: seen.steps[-1].state == "running")
        await asyncio.sleep(_MEDDLE_SECONDS)
        await self._push(pair, _MEDDLED)
        say("Tour     FAULT: a script moved 1.00 between two accounts, and no transfer says so")
        began = self._clock.monotonic()
        await self._until(filed, lambda seen: seen.run.state not in {"waiting", "running"})
        seconds = self._clock.monotonic() - began
        await self._push(pair, -_MEDDLED)  # before the run ends: with money missing it would end as failed
        say(
            f"Tour     the guardrail on the money stopped the run {seconds:.1f} s later; the demo takes its 1.00 back"
        )

    async def _two_accounts(self) -> tuple[UUID, UUID]:
        """Two accounts that nobody else uses, and 100.00 from one to the other."""
        giver, taker, now = new_id(), new_id(), self._clock.now()
        opened = [NewAccount(each, "CNY", "credit", "demo", None, None) for each in (giver, taker)]
        gift = Entry(new_id(), Op.POST, giver, taker, 100 * _MEDDLED, "demo", new_id(), now)
        async with self._store.tx("tour accounts") as tx:
            await ledger.open_accounts(tx, opened, now)
            await ledger.post(tx, [gift], now)
        return giver, taker

    async def _push(self, pair: tuple[UUID, UUID], amount: int) -> None:
        async with as_owner(self._admin_url, "demo") as owner:
            await owner.run(_MEDDLING, {"from": pair[0], "to": pair[1], "amount": amount})

    async def _until(self, filed: Filed, there: Callable[[RunView], bool]) -> None:
        """Wait until the plan's run is so, or has ended."""
        deadline = self._clock.monotonic() + _RUN_SECONDS
        while self._clock.monotonic() < deadline:
            async with self._store.tx("tour meddles") as tx:
                found = await runs.list_runs(tx, plan=filed.id, limit=1)
                seen = await runs.view(tx, found[0].id) if found else None
            if seen is not None and (there(seen) or seen.run.state in ENDS):
                return
            await asyncio.sleep(_MEDDLE_POLL_SECONDS)

    async def _report(self, run: RunView) -> str | None:
        """The path of the run's report, once the agent has written it."""
        for _ in range(int(_REPORT_SECONDS / _POLL_SECONDS)):
            if found := sorted(self._folder.glob(f"*-{run.run.public}.en.html")):
                return str(found[-1])
            await asyncio.sleep(_POLL_SECONDS)
        return None


def progress(seen: RunView) -> str:
    """A run in one line."""
    done = sum(step.state in {"done", "kept"} for step in seen.steps)
    now = f"{seen.at_work.title} {seen.at_work.share:.0%}" if seen.at_work else seen.run.state
    if seen.pause_reason:
        now += f": {seen.pause_reason}"
    lights = ", ".join(f"{light.measure} {light.verdict}" for light in seen.lights)
    return f"{seen.run.public}: {done} of {len(seen.steps)} steps · {now} · {lights or 'guardrails not looked at yet'}"
