"""What people do to runs: ask for one, pause, let go on, abort, undo. Each is a line of the journal and an audit event."""

from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance.runs import journal
from tillkeeper.maintenance.runs.fold import Standing
from tillkeeper.maintenance.runs.types import EventKind, Run, Wish
from tillkeeper.store import News, Tx, outbox

_LINES: Final[dict[Wish, EventKind]] = {
    "pause": "paused",
    "resume": "resumed",
    "abort": "abort_asked",
    "undo": "undo_asked",
}
ACTIONS: Final[dict[Wish, str]] = {
    "pause": "run.paused",
    "resume": "run.resumed",
    "abort": "run.aborted",
    "undo": "run.undo_asked",
}


async def command(
    tx: Tx, run: UUID, wish: Wish, who: str, clock: Clock, *, reason: str = "", origin: str = ""
) -> Run | Refusal:
    """What a person wants of a run. Gives unknown_run, and run_state where its state does not allow that."""
    story = await journal.load(tx, run, lock=True)
    if story is None or story.run.rehearsal:
        return Refusal("unknown_run", "check the id")
    if (why := objection(wish, story.standing)) is not None:
        return Refusal("run_state", why)
    if story.run.ended_at is not None and (other := await journal.other_run(tx)) is not None:
        return journal.busy(other)
    detail: dict[str, Any] = {"said": reason}
    if wish == "pause":
        detail["cause"] = "person"
    line = journal.line(run, _LINES[wish], clock, by=who, detail=detail)
    after = await journal.append(tx, line, story.standing)
    assert after is not None  # it is locked, and a person has no fence
    await audit.append(tx, who, ACTIONS[wish], story.run.public, reason, origin)
    if wish in {"pause", "resume"}:
        await tell(tx, story.run, ACTIONS[wish], after, clock)
    return msgspec.structs.replace(story.run, state=after.state)


def objection(wish: Wish, standing: Standing) -> str | None:
    """Why a state does not allow a wish."""
    state = standing.state
    allowed = {
        "pause": state in {"waiting", "running"},
        "resume": state == "paused",
        "abort": state in {"waiting", "running", "paused"},
        "undo": (state in {"running", "paused"} and standing.begun) or state in {"succeeded", "failed"},
    }
    return None if allowed[wish] else f"a run that is {state} cannot be told to {wish}"


async def tell(tx: Tx, run: Run, topic: str, standing: Standing, clock: Clock) -> None:
    """News of a run. Webhooks that want everything get it too, so it says nothing of what is inside."""
    payload = {"run": run.public, "state": standing.state}
    news = News(clock.now(), topic, run.id, msgspec.json.encode(payload).decode())
    await outbox.publish(tx, [news])
