"""Backups: could everything be brought back, how much would be lost, how long would it take; and the buttons that prove it."""

from typing import Final, NamedTuple, cast

from litestar import get, post

from tillkeeper import audit, monitoring
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console.desk import Page, TheDesk, Web, go_to, origin_of, person_of, typed
from tillkeeper.maintenance.backups import Backup, Backups, OrderKind, WalState, order, wal_state
from tillkeeper.store import Tx

_KINDS: Final = ("full", "incremental", "drill")
_LATE_SECONDS: Final = 60.0  # an archive that lags so far behind does not keep up
_DISK: Final = "disk.free_bytes"
_DISK_SECONDS: Final = 60.0


class Log(NamedTuple):
    """How the archive of the log stands, and whether it keeps up; `hours`: how long the disk lasts if it does not."""

    state: WalState
    keeps_up: bool
    hours: float | None


@get("/backups", action="backup.view")
async def backups(request: Web, desk: TheDesk) -> Page:
    """The newest proven backup, the log, the list."""
    found = Backups(desk.store)
    listed = await found.list()
    async with desk.store.tx("console backups") as tx:
        log = await _log(tx, desk.clock)
    context = {
        "listed": listed,
        "good": await found.latest_good(),
        "newest": next((each for each in listed if each.state == "done"), None),
        "log": log,
        "orders": await found.orders(limits.BACKUP_ORDERS_SHOWN),
        "proof": proof,
    }
    return await desk.page(request, "backups.html", context)


@post("/backups/orders", action="backup.order")
async def ask(request: Web, desk: TheDesk) -> Page:
    """Ask the agent for a backup or a drill."""
    form = await request.form()
    kind = typed(form, "kind")
    if kind not in _KINDS:
        refusal = Refusal("invalid_value", f"kind: {', '.join(_KINDS)}", "kind")
        context = {"problem": refusal.code, "detail": refusal.detail, "back": "/backups"}
        return await desk.page(request, "problem.html", context, refusal.status)
    person = person_of(request)
    async with desk.store.tx("console order") as tx:
        asked = await order(tx, cast("OrderKind", kind), person, desk.clock.now())
        if asked is not None:
            await audit.append(tx, person, "backup.ordered", "backups", kind, origin_of(request))
    return go_to(f"/backups?notice={'backup_ordered' if asked else 'backup_under_way'}")


def proof(each: Backup) -> str:
    """What is known of a backup: proven, failed, unproven; or its state while it does not lie in the repository."""
    if each.state != "done":
        return each.state
    if each.drill is None:
        return "unproven"
    return "proven" if each.good else "broken"


async def _log(tx: Tx, clock: Clock) -> Log:
    state = await wal_state(tx)
    lag = (clock.now() - state.reached).total_seconds() if state.reached else None
    free = (await monitoring.measure(tx, _DISK, _DISK_SECONDS, clock)).value
    hours = free / state.bytes_a_second / 3600 if free is not None and state.bytes_a_second >= 1 else None
    return Log(state, lag is not None and lag < _LATE_SECONDS and state.failing_since is None, hours)
