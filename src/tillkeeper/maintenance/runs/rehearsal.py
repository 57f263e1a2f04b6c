"""The whole plan on a restored copy of production, under replayed load: every step done, undone, and done again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from tillkeeper import ledger
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.backups import Copy, restored_copy
from tillkeeper.maintenance.plans import Filed, Plan, Rehearsed, StepRehearsed
from tillkeeper.maintenance.runs.diary import Diary
from tillkeeper.maintenance.runs.guardrails import in_words
from tillkeeper.maintenance.runs.load import Load, lately
from tillkeeper.maintenance.runs.locks import Locks, watched_locks
from tillkeeper.maintenance.runs.work import Bell, Outcome, Watched
from tillkeeper.maintenance.runs.worker import end_this_process
from tillkeeper.maintenance.steps import Evidence, Finding, Kind, Kinds, Site
from tillkeeper.monitoring import Books
from tillkeeper.payments import Till
from tillkeeper.risk import RiskEngine
from tillkeeper.store import Store, as_owner, queries
from tillkeeper.store.opening import opened
from tillkeeper.vault import Vault, root_of

_sql = queries(__package__, "queries.sql")

Tell = Callable[[float, str], None]


def _silent(_share: float, _said: str) -> None:
    """Nobody listens."""


async def rehearse(
    settings: Settings, filed: Filed, kinds: Kinds, clock: Clock, *, by: str = "cli", tell: Tell = _silent
) -> Rehearsed | Refusal:
    """Rehearse a plan and attach what was found to it. Refuses plan_state and run_open.

    Raises BackupError where there is no copy to rehearse on; then nothing is known of the plan.
    """
    async with opened(settings, size=3) as (production, _):
        diary = await Diary.opened(production, filed, by, clock)
        if isinstance(diary, Refusal):
            return diary
        begun_at = clock.now()
        try:
            async with (
                diary.beating(),
                restored_copy(settings, clock, tell=lambda share, said: tell(share * 0.3, said)) as copy,
            ):
                found = await _on_copy(copy, filed.plan, kinds, clock, diary, tell, begun_at)
        except BaseException as error:
            await diary.write("ended", detail={"state": "failed", "said": repr(error)[: limits.RUN_SAYING]})
            raise
        async with production.tx("rehearsed") as tx:
            await plans.note_rehearsal(tx, filed.digest, found, clock, by=by)
        state = "succeeded" if found.passed else "failed"
        await diary.write("ended", detail={"state": state, "said": found.said})
        return found


async def _on_copy(
    copy: Copy, plan: Plan, kinds: Kinds, clock: Clock, diary: Diary, tell: Tell, begun_at: datetime
) -> Rehearsed:
    restored = copy.restored
    async with _site(copy, clock) as site, _under_load(site) as load:
        stage = Stage(site, kinds, plan, Books(site.store, clock), load, diary, tell)
        steps = await stage.play()
        await load.settle()
        books = [*stage.books, await _verified(site.store)]
    said = _why_not(plan, steps, books, load) or _slower(stage.paces)
    return Rehearsed(
        passed=not said,
        begun_at=begun_at,
        ended_at=clock.now(),
        steps=tuple(steps),
        said=said or in_short(steps, load),
        backup=str(restored.backup),
        backup_at=restored.target,
        copy_seconds=restored.seconds,
        payments=load.sent,
        payments_failed=load.failed,
        books=tuple(books),
        detail={"rate": round(load.rate, 1), "answer_ms": stage.paces},
    )


@asynccontextmanager
async def _site(copy: Copy, clock: Clock) -> AsyncIterator[Site]:
    root = root_of(copy.settings)
    async with Store.opened(copy.app_url) as store, Vault.opened(store, root, clock) as vault:
        yield Site(store, copy.admin_url, clock, copy.settings, vault, root, production=False)


@asynccontextmanager
async def _under_load(site: Site) -> AsyncIterator[Load]:
    """Payments as lately, through a turn with risk, for the block. A copy without payments has no load, and says so."""
    found = await lately(site.store)
    engine = await RiskEngine.open(site.store, site.settings.rules_file, site.clock, site.settings.timezone)
    till = Till(site.store, engine, site.clock, site.settings.timezone)
    load = Load(till, found, site.clock)
    task = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await till.close()


@dataclass
class Stage:
    """The steps of a plan, played one after the other on a copy."""

    site: Site
    kinds: Kinds
    plan: Plan
    _books: Books
    load: Load
    diary: Diary
    tell: Tell

    def __post_init__(self) -> None:
        self.books: list[Finding] = []
        self.paces: list[float | None] = []
        self._watched = Watched(self.site.clock, Bell(), lambda: False, lambda: False, end_this_process)

    async def play(self) -> list[StepRehearsed]:
        """Until a step fails, or all are done."""
        await self._look_at_books("before")
        self.paces.append(await self.load.pace())
        played: list[StepRehearsed] = []
        for place, planned in enumerate(self.plan.steps):
            title = planned.title or planned.kind
            self.diary.tell(0.0, title)
            self.tell(0.3 + 0.7 * place / len(self.plan.steps), f"step {place + 1}: {title}")
            played.append(await self._play(place))
            self.paces.append(await self.load.pace())
            await self._look_at_books(f"after step {place + 1}")
            if not played[-1].ok:
                break
        return played

    async def _play(self, place: int) -> StepRehearsed:
        """Do it, undo it, do it again."""
        kind = self.kinds[self.plan.steps[place].kind]
        given = plans.parameters(self.plan.steps[place], self.kinds)
        before = await self._looks()
        async with watched_locks(self.site.admin_url, self.site.clock) as locks:
            stood = await kind.preflight(self.site, given)
            first = await self._do(place, kind, given)
            after = await self._looks()
            found = StepRehearsed(
                place=place,
                kind=kind.name,
                ok=first.ok,
                seconds=first.seconds,
                said=first.said,
                size_change_bytes=after.size - before.size,
                findings=(*(each for each in stood if not each.ok), *first.findings),
                evidence=first.evidence,
            )
            if first.ok and kind.reversible:
                found = await self._undo_and_again(found, kind, given, before.shape)
        return _with_locks(found, locks)

    async def _undo_and_again(self, done: StepRehearsed, kind: Kind, given: Any, shape: str) -> StepRehearsed:
        place, clock = done.place, self.site.clock
        await self.diary.write("undo_begun", place)
        began = clock.monotonic()
        undo = kind.undo(self.site, given, done.evidence, _Attempt(self))
        outcome = await self._carry(place, undo)
        seconds = clock.monotonic() - began
        same = (await self._looks()).shape == shape
        said = (
            outcome.said
            if outcome.state != "done"
            else ""
            if same
            else "undone, the database is not as before"
        )
        if said:
            await self.diary.write("undo_failed", place, {"said": said})
            return msgspec.structs.replace(done, ok=False, undone=False, undo_seconds=seconds, said=said)
        await self.diary.write("undo_done", place)
        again = await self._do(place, kind, given)
        said = "" if again.ok else f"the second time: {again.said}"
        return msgspec.structs.replace(done, ok=again.ok, undone=True, undo_seconds=seconds, said=said)

    async def _do(self, place: int, kind: Kind, given: Any) -> "_Did":
        """Run and verify once."""
        clock = self.site.clock
        await self.diary.write("step_begun", place)
        began = clock.monotonic()
        outcome = await self._carry(place, kind.run(self.site, given, _Attempt(self)))
        seconds = clock.monotonic() - began
        if outcome.state == "done":
            await self.diary.write("step_done", place, outcome.value)
            looked = await self._carry(place, kind.verify(self.site, given, outcome.value))
            findings = tuple(looked.value or ())
            wrong = [each.said for each in findings if not each.ok] or ([looked.said] if looked.said else [])
            if not wrong:
                await self.diary.write("step_verified", place)
                return _Did(True, seconds, "", findings, outcome.value)
            said = "; ".join(wrong)[: limits.RUN_SAYING]
        else:
            findings, said = (), outcome.said or "it stopped by itself"
        await self.diary.write("step_failed", place, {"said": said})
        return _Did(False, seconds, said, findings, outcome.value or {})

    async def _carry(self, place: int, work: Any) -> Outcome:
        seconds = self.plan.steps[place].timeout_seconds or limits.REHEARSAL_STEP_SECONDS
        return await self._watched.carry(work, seconds)

    async def _looks(self) -> "_Looks":
        async with as_owner(self.site.admin_url, "rehearsal looks") as owner:
            size: int = await owner.value(_sql.database_size)
            shape: str = await owner.value(_sql.shape)
        return _Looks(size, shape)

    async def _look_at_books(self, when: str) -> None:
        look = await self._books.look()
        said = f"{when}: {in_words(look.faults) or 'the books are in order'}"
        self.books.append(Finding("books", said, ok=not look.faults))


class _Did(NamedTuple):
    """A step done once."""

    ok: bool
    seconds: float
    said: str
    findings: tuple[Finding, ...]
    evidence: Evidence


class _Looks(NamedTuple):
    """What the copy looks like: bytes, and a digest of all that it is made of."""

    size: int
    shape: str


class _Attempt:
    """One try of a step on the copy, kept in memory: nobody pauses it, and no crash is survived."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._saved: Evidence = {}

    @property
    def saved(self) -> Evidence:
        return self._saved

    async def save(self, state: Evidence) -> None:
        self._saved = state

    async def progress(self, share: float, said: str = "") -> None:
        self._stage.diary.tell(share, said)

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)


async def _verified(store: Store) -> Finding:
    """The books of the copy, recomputed from the first transfer on."""
    report = await ledger.verify(store)
    if report.balanced:
        return Finding("ledger", f"{report.transfers} transfers recomputed, the books balance", ok=True)
    first = report.differences[0] if report.differences else None
    said = f"{len(report.differences)} differences, the first: {first.kind if first else 'a total'}"
    return Finding("ledger", said)


def _why_not(plan: Plan, steps: Sequence[StepRehearsed], books: Sequence[Finding], load: Load) -> str:
    """Why it did not pass; empty: it did. The money comes first."""
    for finding in books:
        if not finding.ok:
            return finding.said
    for step in steps:
        if not step.ok:
            return f"step {step.place + 1}: {step.said}"
        if (step.waited_ms or 0.0) > limits.REHEARSAL_WAIT_MS:
            return f"step {step.place + 1}: others waited {step.waited_ms:.0f} ms for a lock that it held"
    if load.failed:
        return f"{load.failed} of {load.sent} payments failed meanwhile"
    return "" if len(steps) == len(plan.steps) else "not every step was played"


def _slower(paces: Sequence[float | None]) -> str:
    """After which step payments took much longer than before all of them; empty: after none."""
    before = paces[0]
    for place, after in enumerate(paces[1:], 1):
        if before is None or after is None:
            continue
        if after > limits.REHEARSAL_SLOWER * before and after > before + limits.REHEARSAL_SLOWER_MS:
            return f"step {place}: a payment takes {after:.0f} ms afterwards, {before:.0f} ms before"
    return ""


def in_short(steps: Sequence[StepRehearsed], load: Load) -> str:
    """What a passed rehearsal found, in one line."""
    undone = sum(step.undone is True for step in steps)
    waited = max((step.waited_ms or 0.0 for step in steps), default=0.0)
    return (
        f"{len(steps)} steps in {sum(step.seconds for step in steps):.1f} s, {undone} undone and done again; "
        f"{load.sent} payments meanwhile, none failed; longest wait for a lock {waited:.0f} ms"
    )


def _with_locks(step: StepRehearsed, locks: Locks) -> StepRehearsed:
    return msgspec.structs.replace(step, held_ms=locks.held_ms, waited_ms=locks.waited_ms)
