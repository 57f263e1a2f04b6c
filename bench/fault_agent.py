"""The agent with a careless colleague's kind of step, for bench.faults: the real one but for that, and a calendar that is open.

python -m bench.fault_agent          # settings from the environment, as `till serve agent`
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from tillkeeper import wiring
from tillkeeper.base.settings import read_settings
from tillkeeper.maintenance.plans import Plan
from tillkeeper.maintenance.steps import KINDS, Attempt, Evidence, Finding, Kind, LockRisk, Site, StepError


class Statements(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`hold`: seconds until the transaction is committed, as a larger table would take; `linger`: seconds that the step goes on
    after that; `undo_hold`: seconds until the undo is committed.
    """

    statements: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    hold: float = 0.0
    linger: float = 0.0
    undo_hold: float = 0.0


class Careless:
    """Whatever SQL a colleague wrote, as the owner of the schema, in one transaction with a mark that it is done, and with
    nothing looked at.
    """

    parameters: type[msgspec.Struct] = Statements
    lock_risk: LockRisk = "long"

    def __init__(self, name: str, *, reversible: bool, money_risk: bool) -> None:
        self.name = name
        self.reversible = reversible
        self.money_risk = money_risk

    async def preflight(self, _: Site, __: Statements) -> Sequence[Finding]:
        return []

    async def run(self, site: Site, given: Statements, attempt: Attempt) -> Evidence:
        await attempt.save({"committed": await _carry_out(site, _DO, given.statements, given.hold)})
        await asyncio.sleep(given.linger)
        return dict(attempt.saved)

    async def verify(self, _: Site, __: Statements, ___: Evidence) -> Sequence[Finding]:
        return []

    async def undo(self, site: Site, given: Statements, _: Evidence, __: Attempt) -> Evidence:
        return {"committed": await _carry_out(site, _UNDO, given.undo, given.undo_hold)}


class Ballast:
    """Writes a file beside the database until it is told to stop."""

    name = "careless.fill"
    parameters: type[msgspec.Struct] = Statements
    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False
    CHUNK: Final = 32 * 1024 * 1024
    MOST: Final = 4 * 1024**3

    async def preflight(self, _: Site, __: Statements) -> Sequence[Finding]:
        return []

    async def run(self, site: Site, _: Statements, attempt: Attempt) -> Evidence:
        chunk = bytes(self.CHUNK)
        for _each in range(self.MOST // self.CHUNK if site.production else 4):
            await attempt.checkpoint()
            await asyncio.to_thread(_append, _ballast(site), chunk)
            await asyncio.sleep(0.05)
        return {"committed": site.clock.now().isoformat()}

    async def verify(self, _: Site, __: Statements, ___: Evidence) -> Sequence[Finding]:
        return []

    async def undo(self, site: Site, _: Statements, __: Evidence, ___: Attempt) -> Evidence:
        _ballast(site).unlink(missing_ok=True)
        return {}


def _ballast(site: Site) -> Path:
    return site.settings.home / "ballast"


def _append(path: Path, chunk: bytes) -> None:
    with path.open("ab") as file:
        file.write(chunk)


MARKS: Final = "CREATE TABLE public.fault_marks (one boolean PRIMARY KEY)"
_DO: Final = "INSERT INTO public.fault_marks VALUES (true) ON CONFLICT DO NOTHING RETURNING one"
_UNDO: Final = "DELETE FROM public.fault_marks RETURNING one"


async def _carry_out(site: Site, mark: str, statements: Sequence[str], hold: float) -> str | None:
    """Carry statements out, unless their mark says that it was done before; when it was committed."""
    try:
        async with await psycopg.AsyncConnection.connect(site.admin_url) as connection:
            cursor = await connection.execute(mark.encode())
            if await cursor.fetchone() is None:
                return None
            for each in statements:
                await connection.execute(each.encode())
            await asyncio.sleep(hold)
    except psycopg.Error as error:
        raise StepError(str(error).strip()) from error
    return site.clock.now().isoformat()


FAULTY: Final[Mapping[str, Kind]] = {
    **KINDS,
    "careless.sql": Careless("careless.sql", reversible=True, money_risk=False),
    "careless.money": Careless("careless.money", reversible=True, money_risk=True),
    "careless.for_ever": Careless("careless.for_ever", reversible=False, money_risk=True),
    "careless.fill": Ballast(),
}


class Open:
    """A calendar that says yes, and nobody who looks before: what a run does by itself is to be seen."""

    def __init__(self, *_: Any) -> None:
        pass

    async def closed(self, _: UUID, __: Plan) -> str:
        return ""

    async def edge(self, _: UUID, __: Plan) -> datetime | None:
        return None

    async def findings(self, _: UUID, __: Plan) -> Sequence[Finding]:
        return []


if __name__ == "__main__":
    vars(wiring).update(KINDS=FAULTY, CalendarGate=Open)
    asyncio.run(wiring.agent(read_settings()))
