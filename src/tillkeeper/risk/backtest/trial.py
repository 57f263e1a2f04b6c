"""The trial: what is in force, or would be, judges history as it judges live payments."""

from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from tillkeeper.base import limits
from tillkeeper.base.clock import from_us
from tillkeeper.base.ids import to_typeid
from tillkeeper.risk.backtest.days import DAY_US, Facts
from tillkeeper.risk.backtest.logins import NOBODY_SAID, Logins, LoginTally, Truth
from tillkeeper.risk.backtest.tally import FRAUD, HONEST, OPEN, Tally
from tillkeeper.risk.backtest.types import Change, Report
from tillkeeper.risk.force import Force, Judge, Listed
from tillkeeper.risk.history import LABEL_DELAY_US, NEVER, Seen, Stretch
from tillkeeper.risk.history.walk import part
from tillkeeper.risk.types import OUTCOMES, Batch

_FEW: Final = 30
_LOW: Final = (1 << 64) - 1
_SIGN: Final = 1 << 63


class Range(msgspec.Struct, frozen=True):
    """What is judged. `begin_us`, `end_us`: event times of [begin, end). `as_of_us`: what is known by then is the truth.

    `delay_us`: a payment without a report is honest when it is so old; `reported_us`: until when reports came in, unset:
    until `as_of_us`.
    """

    begin_us: int
    end_us: int
    as_of_us: int
    delay_us: int = LABEL_DELAY_US
    zone: str = "UTC"
    reported_us: int | None = None

    @property
    def settled_us(self) -> int:
        """What happened later is not judged unless it was reported."""
        return (
            min(self.as_of_us, self.as_of_us if self.reported_us is None else self.reported_us)
            - self.delay_us
        )


class Trial:
    """Takes history in order of arrival and judges the payments of the range, by the candidate and by a base.

    Lists and mutes are left out: they were made by people who knew more than the past did.
    """

    def __init__(self, span: Range, candidate: Force, base: Force | None = None) -> None:
        self._span = span
        self._forces = [_bare(force) for force in (candidate, base) if force is not None]
        needed = {name for force in self._forces for name in force.needs} | {"amount"}
        self.names = tuple(name for name in candidate.catalogue if name in needed)
        asked = {name for force in self._forces for name in force.rules.login_features}
        self.beside = tuple(name for name in candidate.catalogue if name in asked)
        self._logins = [LoginTally(force, self.beside) for force in self._forces] if asked else []
        self._judges = [Judge(force, self.names) for force in self._forces]
        offset = from_us(span.begin_us).astimezone(ZoneInfo(span.zone)).utcoffset()
        self._offset = round(offset.total_seconds()) * 1_000_000 if offset else 0
        capacity = candidate.rules.alerts_a_day
        self._tallies = [Tally(force, capacity, self._offset) for force in self._forces]
        self._changes = _Changes()
        self._amount = self.names.index("amount")
        self._day = -(2**62)
        self._first_us: int | None = None
        self.payments = self._judged = self._frauds = self._money = self._fraud_money = 0

    def take(self, seen: Seen, truth: Truth = NOBODY_SAID) -> None:
        """The next stretch, with the values of `names` and of `beside`. `truth`: what is known of its logins."""
        batch = seen.stretch.batch
        if self._first_us is None and len(batch):
            self._first_us = int(batch.at_us[0])
        if self._logins:
            span = self._span
            logins = Logins.of(seen, truth, (span.begin_us, span.end_us), span.settled_us)
            for tally in self._logins:
                tally.take(logins)
        for begin, end in _within(batch.at_us, self._span):
            values = np.ascontiguousarray(seen.values[begin:end])
            self._judge(part(batch, begin, end), self._facts(seen.stretch, values, begin, end), values)

    def _judge(self, batch: Batch, facts: Facts, values: NDArray[np.float64]) -> None:
        found = []
        for judge, tally in zip(self._judges, self._tallies, strict=True):
            judged = judge.take(batch, values)
            judge.breakers.trips.clear()
            tally.take(facts, judged)
            found.append(judged.outcomes)
        if len(found) == 2:
            self._changes.take(facts, found[1], found[0])
        self.payments += len(batch)
        fraud = facts.fraud & facts.judged
        self._judged += int(facts.judged.sum())
        self._frauds += int(fraud.sum())
        self._money += int(facts.amount.sum())
        self._fraud_money += int(facts.amount[fraud].sum())

    def _facts(self, stretch: Stretch, values: NDArray[np.float64], begin: int, end: int) -> Facts:
        span, rows = self._span, slice(begin, end)
        fraud, known = stretch.truth(span.as_of_us)
        fraud, known = fraud[rows], known[rows]
        at = stretch.batch.at_us[rows]
        day = np.maximum.accumulate(np.maximum((at + self._offset) // DAY_US, self._day))
        self._day = int(day[-1])
        customers = stretch.batch.customers[begin:end]
        codes = np.array([(customer & _LOW) - _SIGN for customer in customers], np.int64)
        judged = (known < NEVER) | (at <= span.settled_us)
        amount = values[:, self._amount].astype(np.int64)
        return Facts(stretch.batch.ids[rows], day, codes, amount, fraud, judged, known)

    def report(self, seconds: float = 0.0) -> Report:
        """What was found. `seconds`: how long it took."""
        span, candidate = self._span, self._forces[0]
        sides = [tally.side() for tally in self._tallies]
        if self._logins:
            sides = [
                msgspec.structs.replace(side, logins=tally.side())
                for side, tally in zip(sides, self._logins, strict=True)
            ]
        return Report(
            begin=from_us(span.begin_us),
            end=from_us(span.end_us),
            reference=candidate.rules.reference,
            label_delay_s=span.delay_us // 1_000_000,
            payments=self.payments,
            judged=self._judged,
            frauds=self._frauds,
            amount=self._money,
            fraud_amount=self._fraud_money,
            candidate=sides[0],
            base=sides[1] if len(sides) == 2 else None,
            changes=self._changes.found(),
            remarks=self._remarks(),
            seconds=round(seconds, 3),
        )

    def _remarks(self) -> tuple[str, ...]:
        span, found = self._span, []
        for code, force in zip(("model_saw", "base_model_saw"), self._forces, strict=False):
            if force.champion is not None and _saw(force, span.begin_us):
                found.append(code)
        if self._frauds < _FEW:
            found.append("few_frauds" if self._frauds else "no_frauds")
        if self._judged < self.payments:
            found.append("open")
        if (
            self._first_us is None
            or self._first_us > span.begin_us - limits.BACKTEST_PAST_SECONDS * 1_000_000
        ):
            found.append("short_past")
        return (*found, "no_lists")


class _Changes:
    """Payments that two forces decide differently."""

    def __init__(self) -> None:
        self._cells = np.zeros((2, len(OUTCOMES), len(OUTCOMES), 3), np.int64)
        self._examples: dict[tuple[int, int], list[str]] = {}

    def take(self, facts: Facts, before: NDArray[np.int8], after: NDArray[np.int8]) -> None:
        truth = np.where(facts.judged, np.where(facts.fraud, FRAUD, HONEST), OPEN)
        changed = before != after
        cells = (before[changed], after[changed], truth[changed])
        np.add.at(self._cells[0], cells, 1)
        np.add.at(self._cells[1], cells, facts.amount[changed])
        for row in np.flatnonzero(changed).tolist():
            examples = self._examples.setdefault((int(before[row]), int(after[row])), [])
            if len(examples) < limits.BACKTEST_EXAMPLES:
                examples.append(_public(facts.ids[row]))

    def found(self) -> tuple[Change, ...]:
        """The kinds of change that there were, the most frequent first."""
        changes = []
        for (before, after), examples in self._examples.items():
            counts, amounts = self._cells[:, before, after].tolist()
            changes.append(
                Change(
                    before=OUTCOMES[before],
                    after=OUTCOMES[after],
                    frauds=counts[FRAUD],
                    honest=counts[HONEST],
                    open=counts[OPEN],
                    fraud_amount=amounts[FRAUD],
                    honest_amount=amounts[HONEST],
                    examples=tuple(examples),
                )
            )
        return tuple(sorted(changes, key=lambda one: -(one.frauds + one.honest + one.open)))


def _bare(force: Force) -> Force:
    return msgspec.structs.replace(force, listed=Listed(), mutes={}, challengers=())


def _within(at_us: NDArray[np.int64], span: Range) -> list[tuple[int, int]]:
    """Where runs of payments that belong to the range begin and end."""
    inside = ((at_us >= span.begin_us) & (at_us < span.end_us)).astype(np.int8)
    edges = np.flatnonzero(np.diff(inside, prepend=0, append=0)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _saw(force: Force, begin_us: int) -> bool:
    """Whether the champion was trained on payments of a range, as far as it says what it was trained on."""
    assert force.champion is not None
    card = getattr(force.champion.scorer, "card", None)
    ends = [span.end for span in (card.trained, card.calibrated) if span is not None] if card else []
    return any(end > from_us(begin_us).isoformat().replace("+00:00", "Z") for end in ends)


def _public(halves: NDArray[np.int64]) -> str:
    """A payment's id as people know it; a row of a file by its number."""
    high, low = (int(half) & _LOW for half in halves)
    return str(low) if not high else to_typeid("pay", UUID(int=high << 64 | low))
