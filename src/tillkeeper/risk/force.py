"""What is in force: rules, models, lists and mutes as one value, and the judge that applies it to payments.

The same judge decides live, in a backtest and in a replay: it is pure but for the circuit breakers, whose counts it keeps.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from tillkeeper.base.money import exponent
from tillkeeper.risk.breaker import Breakers
from tillkeeper.risk.features import FEATURES, KINDS, Catalogue, Feature
from tillkeeper.risk.rules import CHALLENGE, SEVERITY, WITHDRAWALS, RuleSet
from tillkeeper.risk.types import OUTCOMES, Batch

log = logging.getLogger(__name__)

Matrix = NDArray[np.float64]
DENY: Final = SEVERITY["deny"]
SCORES: Final = ("anomaly_score", "model_score")
"""Features that models make, in the order they are made: the model may read how unusual a payment is."""


class Scoring(Protocol):
    """A model that is open: see risk.models."""

    @property
    def features(self) -> tuple[str, ...]:
        """The columns it reads, in its order."""
        ...

    def score(self, values: Matrix, /) -> NDArray[np.float64]:
        """0..1 for each row."""
        ...

    def contributions(self, values: Matrix, /) -> Matrix:
        """What each feature adds, a column a feature and one more for the beginning."""
        ...


class Model(msgspec.Struct, frozen=True):
    """A model under its version."""

    id: int
    scorer: Scoring


class Listed(msgspec.Struct, frozen=True):
    """Whom and what the lists name: by entity, each key with the end of its entry, microseconds since 1970 UTC.

    Keys of customers and payees are UUIDs as integers.
    """

    block: Mapping[str, Mapping[Any, int]] = {}
    trust: Mapping[str, Mapping[Any, int]] = {}
    watch: Mapping[str, Mapping[Any, int]] = {}


Mutes = Mapping[str, Mapping[tuple[str, Any], int]]
"""By rule: (entity, key) with the end of its silence; ("", "") is everybody."""


class Force(msgspec.Struct, frozen=True):
    """Everything that decides. `version`: of the configuration as stored, 0 where it is not; `rule_set` likewise.

    `columns`: the features a receipt keeps: what rules and models read, and what models made, in the catalogue's order.
    """

    rules: RuleSet
    columns: tuple[str, ...]
    catalogue: Catalogue
    champion: Model | None = None
    anomaly: Model | None = None
    challengers: tuple[Model, ...] = ()
    listed: Listed = Listed()
    mutes: Mutes = {}
    version: int = 0
    rule_set: int = 0

    @classmethod
    def of(
        cls,
        rules: RuleSet,
        champion: Model | None = None,
        anomaly: Model | None = None,
        catalogue: Catalogue = FEATURES,
        **more: Any,
    ) -> "Force":
        """A force of these rules and models; `more` are further fields."""
        return cls(
            rules, columns_of(rules, champion, anomaly, catalogue), catalogue, champion, anomaly, **more
        )

    @property
    def needs(self) -> tuple[str, ...]:
        """All features that must be computed, challengers' among them."""
        wanted = {*self.columns, *(name for model in self.challengers for name in model.scorer.features)}
        return tuple(name for name in self.catalogue if name in wanted)


def columns_of(
    rules: RuleSet, champion: Model | None, anomaly: Model | None, catalogue: Mapping[str, Feature]
) -> tuple[str, ...]:
    """What a receipt keeps under these, in the catalogue's order."""
    wanted = set(rules.features)
    for name, model in zip(SCORES, (anomaly, champion), strict=True):
        if model is not None:
            wanted |= {name, *model.scorer.features}
    return tuple(name for name in catalogue if name in wanted)


class Shadow(msgspec.Struct, frozen=True):
    """What a challenger says of a turn: a score and the outcome it would have made (see OUTCOMES), for each payment."""

    model: int
    scores: NDArray[np.float64]
    outcomes: NDArray[np.int8]


class Judged(msgspec.Struct, frozen=True):
    """A turn judged. `outcomes`: places in OUTCOMES. `hits`: rules by rows, payments by columns, silent ones too; `counted`:
    without those. `effects` of the payments that have any, see migration 0024. `values`: a row a payment, a column each of
    the force's `columns`.
    """

    outcomes: NDArray[np.int8]
    hits: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    effects: Mapping[int, Sequence[str]]
    values: Matrix
    shadows: Sequence[Shadow] = ()


class Judge:
    """Applies a force to payments in order of arrival. Not for use by several threads.

    `names`: the columns of the values it will be given, by default the whole catalogue. `lenient`: a model that fails
    leaves its score unknown and `fault` says so; otherwise the error is raised.
    """

    def __init__(
        self,
        force: Force,
        names: Sequence[str] | None = None,
        breakers: Breakers | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        self.force = force
        self.breakers = breakers or Breakers()
        self.faults: list[str] = []
        self._lenient = lenient
        at = {name: n for n, name in enumerate(force.catalogue if names is None else names)}
        self._at = at
        self._read = _places(at, force.rules.features)
        self._kept = _places(at, force.columns)
        models = (force.anomaly, force.champion, *force.challengers)
        self._inputs = {model.id: _places(at, model.scorer.features) for model in models if model}
        self._severity = np.array([SEVERITY[rule.outcome] for rule in force.rules.rules], np.int8)
        self._shadow = [n for n, rule in enumerate(force.rules.rules) if rule.shadow]
        self._muted = [
            (n, force.mutes[rule.name])
            for n, rule in enumerate(force.rules.rules)
            if rule.name in force.mutes
        ]
        self._scored = [n for n, rule in enumerate(force.rules.rules) if "model_score" in rule.reads]
        self._broken: set[int] = set()

    def take(self, batch: Batch, values: Matrix, now_us: int | None = None) -> Judged:
        """Judge a turn. The columns that are filled here (scores, lists) are written into `values`.

        `now_us`: against which entries of lists and mutes end; unset: against each payment's own time.
        """
        force, effects = self.force, dict[int, list[str]]()
        now = batch.at_us if now_us is None else np.full(len(batch), now_us, np.int64)
        self._fill(batch, values, now)
        hits = force.rules.hits(values[:, self._read], batch.kinds, batch.at_us)
        counted = self._counted(hits, batch, now, effects)
        severity = np.where(counted, self._severity[:, None], np.int8(0))
        for rule, payment in self.breakers.weaken(force.rules, counted, _clocked(batch, now_us)):
            if severity[rule, payment] > CHALLENGE:
                severity[rule, payment] = CHALLENGE
                effects.setdefault(payment, []).append(f"weakened:{force.rules.rules[rule].name}")
        outcomes = severity.max(axis=0, initial=0)
        self._override(batch, now, outcomes, effects)
        kept = np.ascontiguousarray(values[:, self._kept], "<f8")
        shadows = [self._challenged(model, batch, values, severity) for model in force.challengers]
        return Judged(outcomes, hits, counted, effects, kept, [each for each in shadows if each])

    def _fill(self, batch: Batch, values: Matrix, now: NDArray[np.int64]) -> None:
        """What profiles do not know: what leaves for a bank, who is watched, what models say."""
        leaving = self._at.get("is_withdrawal")
        if leaving is not None:
            values[:, leaving] = [kind in WITHDRAWALS for kind in batch.kinds]
        for entity, entries in self.force.listed.watch.items():
            place = self._at.get(f"{entity}_watched")
            if place is not None:
                keys = _keys(batch, entity)
                values[:, place] = [
                    entries.get(key, _PAST) > at for key, at in zip(keys, now.tolist(), strict=True)
                ]
        for name, model in zip(SCORES, (self.force.anomaly, self.force.champion), strict=True):
            if name in self._at:
                values[:, self._at[name]] = np.nan if model is None else self._score(model, values)

    def _score(self, model: Model, values: Matrix) -> NDArray[np.float64] | float:
        if model.id in self._broken:
            return np.nan
        try:
            return model.scorer.score(values[:, self._inputs[model.id]])
        except Exception as error:
            if not self._lenient:
                raise
            # A payment waits: the rules decide without the score. Once is enough: it would fail in every turn.
            log.exception("model %s cannot score", model.id)
            self._broken.add(model.id)
            self.faults.append(f"model {model.id} cannot score: {type(error).__name__}: {error}")
            return np.nan

    def _counted(
        self,
        hits: NDArray[np.bool_],
        batch: Batch,
        now: NDArray[np.int64],
        effects: dict[int, list[str]],
    ) -> NDArray[np.bool_]:
        """The hits that decide: without rules in shadow and without those that are muted."""
        if not self._shadow and not self._muted:
            return hits
        counted = hits.copy()
        rules = self.force.rules.rules
        for n in self._shadow:
            counted[n] = False
            for payment in np.flatnonzero(hits[n]).tolist():
                effects.setdefault(payment, []).append(f"shadow:{rules[n].name}")
        for n, silenced in self._muted:
            for payment in np.flatnonzero(counted[n]).tolist():
                if _is_muted(silenced, batch, payment, int(now[payment])):
                    counted[n, payment] = False
                    effects.setdefault(payment, []).append(f"muted:{rules[n].name}")
        return counted

    def _override(
        self, batch: Batch, now: NDArray[np.int64], outcomes: NDArray[np.int8], effects: dict[int, list[str]]
    ) -> None:
        """What people said of customers, payees, devices and addresses goes before the rules; then the sample."""
        trusted = _named(self.force.listed.trust, batch, now)
        for payment, entity in trusted.items():
            outcomes[payment] = 0
            effects.setdefault(payment, []).append(f"trusted:{entity}")
        for payment, entity in _named(self.force.listed.block, batch, now).items():
            outcomes[payment] = DENY
            effects.setdefault(payment, []).append(f"blocked:{entity}")
        if self.force.rules.bypass.share:
            for payment in np.flatnonzero((outcomes > 0) & (outcomes < DENY)).tolist():
                if self._sampled(batch, payment):
                    effects.setdefault(payment, []).append(f"bypassed:{OUTCOMES[outcomes[payment]]}")
                    outcomes[payment] = 0

    def _sampled(self, batch: Batch, payment: int) -> bool:
        """Whether this payment is of the sample that is let through: by its id alone, so it is the same every time."""
        rules = self.force.rules
        if batch.kinds[payment] in WITHDRAWALS:
            return False
        rate = rules.worth.get(batch.currencies[payment], rules.other)
        amount = int(batch.amounts[payment]) * 10 ** exponent(rules.reference) // rate
        return amount <= rules.bypass.up_to and _ticket(batch.ids[payment]) < rules.bypass.share

    def _challenged(
        self, model: Model, batch: Batch, values: Matrix, severity: NDArray[np.int8]
    ) -> Shadow | None:
        """What a challenger in the champion's place would have made of the turn, by the rules alone."""
        scores = self._score(model, values)
        if isinstance(scores, float):
            return None
        force, place = self.force, self._at.get("model_score")
        outcomes = severity
        if place is not None and self._scored:
            kept, values[:, place] = values[:, place].copy(), scores
            hits = force.rules.hits(values[:, self._read], batch.kinds, batch.at_us)
            values[:, place] = kept
            outcomes = severity.copy()
            for n in self._scored:
                outcomes[n] = 0 if force.rules.rules[n].shadow else hits[n] * self._severity[n]
        return Shadow(model.id, scores, outcomes.max(axis=0, initial=0))


def _clocked(batch: Batch, now_us: int | None) -> NDArray[np.int64]:
    """When payments happened, and none in the future: a breaker's clock never runs back, so one of them would stop it."""
    return batch.at_us if now_us is None else np.minimum(batch.at_us, now_us)


_PAST: Final = -(2**62)
_MIX: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


def _places(at: Mapping[str, int], names: Sequence[str]) -> NDArray[np.int64]:
    """Where columns stand. Raises KeyError for one that is not there."""
    return np.array([at[name] for name in names], np.int64)


_COLUMNS: Final[dict[str, Callable[[Batch], Sequence[Any]]]] = {
    "customer": lambda batch: batch.customers,
    "payee": lambda batch: batch.payees,
    "device": lambda batch: batch.devices,
    "ip": lambda batch: batch.ips,
}
assert tuple(_COLUMNS) == KINDS


def _keys(batch: Batch, entity: str) -> Sequence[Any]:
    return _COLUMNS[entity](batch)


def _named(entries: Mapping[str, Mapping[Any, int]], batch: Batch, now: NDArray[np.int64]) -> dict[int, str]:
    """The payments that a list names, and by which entity first."""
    found: dict[int, str] = {}
    for entity, ends in entries.items():
        for payment, key in enumerate(_keys(batch, entity)):
            if key in ends and ends[key] > now[payment]:
                found.setdefault(payment, entity)
    return found


def _is_muted(silenced: Mapping[tuple[str, Any], int], batch: Batch, payment: int, now: int) -> bool:
    return any(
        end > now and (not entity or _keys(batch, entity)[payment] == key)
        for (entity, key), end in silenced.items()
    )


def _ticket(halves: NDArray[np.int64]) -> float:
    """A number from 0 to 1 of an id's two halves: the same for ever, and like chance for ids that follow each other."""
    number = (int(halves[0]) * _MIX ^ int(halves[1])) & _MASK
    number = (number ^ number >> 31) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return (number ^ number >> 31) / 2**64
