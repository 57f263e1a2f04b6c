"""The demo's tour of the watch, while thieves are about: a case from alert to label, a model, a challenger that overtakes it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tillkeeper import access
from tillkeeper.access import Asker
from tillkeeper.base.clock import Clock
from tillkeeper.faces.cli.pair import AUTHOR, COLLEAGUE, Pair, TourError, command, granted
from tillkeeper.faces.model_deeds import PROMOTE, promotion_of
from tillkeeper.risk import cases, models
from tillkeeper.risk.cases import Dossier
from tillkeeper.risk.models import registry
from tillkeeper.store import Store

FIRST_REPORTS: Final = 70
SECOND_REPORTS: Final = 140
"""Frauds that their owners have reported: so many to learn from for the first model, and for its challenger."""
_DELAY: Final = "10s"  # the city's people notice a fraud within 8 seconds
_COMPARED_SECONDS: Final = 30.0
_CASE_SECONDS: Final = 60.0
_REPORTS_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 1.0
_LOOKED_AT: Final = 20

Say = Callable[[str], None]


class Watched(msgspec.Struct, frozen=True):
    """What became of the tour. `figures`: average precision on the same live payments, by model; `overtook`: the challenger
    was better and decides now.
    """

    case: str
    labels: int
    figures: dict[str, float]
    overtook: bool


class Vigil:
    """All of it, step by step. `reported`: how many frauds the city's people have reported so far."""

    def __init__(self, store: Store, reported: Callable[[], int], clock: Clock) -> None:
        self._store = store
        self._reported = reported
        self._clock = clock
        self._pair = Pair(store, clock)

    async def lead(self, say: Say) -> Watched:
        """All of it. Raises TourError; the city lives on."""
        case, labels = await self._worked_a_case(say)
        async with self._store.tx("vigil models") as tx:
            reigns = (await models.in_force(tx)).champion
        if reigns is None:
            reigns = await self._learned("demo first", FIRST_REPORTS, say)
            await self._promoted(reigns, say)
        challenger = await self._learned("demo challenger", SECOND_REPORTS, say, "--challenge")
        await asyncio.sleep(_COMPARED_SECONDS)
        figures = await self._compared(say)
        overtook = figures.get(challenger, 0.0) > figures.get(reigns, 0.0)
        if overtook:
            await self._promoted(challenger, say)
        else:
            say(f"Watch    model {challenger} is not better: model {reigns} goes on deciding")
        return Watched(case, labels, {str(model): value for model, value in figures.items()}, overtook)

    # -- a case

    async def _worked_a_case(self, say: Say) -> tuple[str, int]:
        """Claim a case whose customer reported a fraud, and decide it."""
        deadline = self._clock.monotonic() + _CASE_SECONDS
        while (found := await self._ripe_case()) is None:
            if self._clock.monotonic() > deadline:
                raise TourError("no alert became a case with a reported fraud: see the agent's log")
            await asyncio.sleep(_POLL_SECONDS)
        case, reasons = found.case, sorted({name for alert in found.alerts for name in alert.reasons})
        say(
            f"Watch    case {case.public_id}: {case.alerts} alerts about one {case.subject_kind}"
            f" ({', '.join(reasons[:3])}), {case.expected_loss / 100:,.2f} expected to be lost"
        )
        payments = [payment for payment, *_ in found.payments]
        async with self._store.tx("vigil claims") as tx:
            granted(await cases.claim(tx, case.id, AUTHOR, self._clock, "till demo"))
        async with self._store.tx("vigil decides") as tx:
            said = "the owner reported it, and the alerts agree"
            granted(
                await cases.decide(tx, case.id, AUTHOR, "fraud", payments, said, self._clock, "till demo")
            )
        say(f"Watch    claimed and decided: fraud; {len(payments)} payments are labelled, known from now on")
        return case.public_id, len(payments)

    async def _ripe_case(self) -> Dossier | None:
        async with self._store.tx("vigil queue") as tx:
            page = await cases.listed(tx, "free", AUTHOR, self._clock.now(), limit=_LOOKED_AT)
            for case in page.rows:
                found = await cases.dossier(tx, case.id)
                if found is not None and any(found.labels.values()):
                    return found
        return None

    # -- models

    async def _learned(self, name: str, reports: int, say: Say, *more: str) -> int:
        """A model made from all that was reported, once there is enough of it; its version."""
        deadline = self._clock.monotonic() + _REPORTS_SECONDS
        while (so_far := self._reported()) < reports:
            if self._clock.monotonic() > deadline:
                raise TourError(f"{so_far} reports of fraud came, {reports} are needed to learn from")
            await asyncio.sleep(_POLL_SECONDS)
        made: Any = await command("risk", "train", "--name", name, "--label-delay", _DELAY, *more)
        card, version = made["card"], int(made["version"])
        say(
            f"Watch    model {version} learnt from {card['trained']['payments']:,} payments, {card['trained']['frauds']} of"
            f" them frauds; on later ones its average precision is {_shown(card['figures'].get('ap'))}"
        )
        return version

    async def _promoted(self, version: int, say: Say) -> None:
        async with self._store.tx("vigil asks") as tx:
            terms = promotion_of(await registry.find(tx, str(version)), await models.in_force(tx))
            asker = Asker(AUTHOR, None, "till demo")
            granted(await access.approvals.ask(tx, PROMOTE, terms, asker, self._clock, "the demo"))
        await self._pair.agree(PROMOTE, str(version))
        say(f"Watch    {COLLEAGUE} agreed: model {version} decides; till risk models undo takes it back")

    async def _compared(self, say: Say) -> dict[int, float]:
        """Average precision of everybody in force, on the live payments that all of them scored."""
        found: Any = await command("risk", "models", "compare", "--label-delay", _DELAY)
        figures = {one["model"]: float(one["figures"]["ap"] or 0.0) for one in found["standings"]}
        said = ", ".join(f"model {model} {value:.2f}" for model, value in figures.items())
        say(
            f"Watch    on the same {found['payments']:,} live payments, {found['frauds']} of them frauds,"
            f" average precision: {said}"
        )
        return figures


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"
