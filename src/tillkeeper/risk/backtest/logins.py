"""What rules about logins would have done to the logins of history: whom they ask again or block, and who of them it was.

Judged by the evaluator that decides live, on top of the score that each login got then: the severer of both counts.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.backtest.types import LoginOutcome, LoginRule, LoginSide
from tillkeeper.risk.force import Force
from tillkeeper.risk.history import Seen
from tillkeeper.risk.logins import OUTCOMES, Thresholds
from tillkeeper.risk.rules import SEVERITY

ATTACKER, HONEST, WRONG, OPEN = range(4)
"""Who a login was: somebody else with the right password, the customer, a wrong password, not known."""
_LEVELS: Final = np.array([SEVERITY[name] for name in OUTCOMES], np.int8)

Truth = Mapping[UUID, bool | None]
"""Of logins that more is known of than that they were let in: an attacker's, the customer's, or (None) nobody said."""
NOBODY_SAID: Final[Truth] = MappingProxyType({})


class Logins(NamedTuple):
    """Logins of a stretch. `who`: see ATTACKER; `values`: a row each, a column each of the walk's features beside."""

    at_us: NDArray[np.int64]
    who: NDArray[np.int64]
    customers: Sequence[UUID]
    scores: Sequence[float]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, seen: Seen, truth: Truth, within: tuple[int, int], settled_us: int) -> "Logins":
        """Those that happened within a range. `settled_us`: who was let in by then and not reported is honest."""
        rows, found = [], []
        for row, (_, event) in enumerate(seen.stretch.events):
            if event.event == "login" and within[0] <= event.at_us < within[1]:
                rows.append(row)
                found.append(event)
        who = [
            WRONG
            if not each.succeeded
            else _WHO[truth[each.id]]
            if each.id in truth
            else HONEST
            if each.at_us <= settled_us
            else OPEN
            for each in found
        ]
        return cls(
            np.array([each.at_us for each in found], np.int64),
            np.array(who, np.int64),
            [each.customer for each in found],
            [each.score for each in found],
            seen.beside[rows],
        )


_WHO: Final = {True: ATTACKER, False: HONEST, None: OPEN}


class LoginTally:
    """Counts what one force does to logins. `names`: the columns of their values. Bounded by rules and customers."""

    def __init__(self, force: Force, names: Sequence[str]) -> None:
        self._rules = force.rules
        self._places = [names.index(name) for name in force.rules.login_features]
        self._about = [n for n, rule in enumerate(force.rules.rules) if "login" in rule.on]
        self._severity = np.array([SEVERITY[rule.outcome] for rule in force.rules.rules], np.int8)
        self._shadow = np.array([rule.shadow for rule in force.rules.rules], np.bool_)
        self._outcomes = np.zeros((len(OUTCOMES), 4), np.int64)
        self._hits = np.zeros((len(force.rules.rules), 2, 4), np.int64)  # all, alone
        self._disturbed: list[set[UUID]] = [set() for _ in OUTCOMES]

    def take(self, logins: Logins) -> None:
        """The next logins."""
        if not len(logins.at_us):
            return
        hits = self._rules.login_hits(logins.values[:, self._places], logins.at_us)
        counted = hits & ~self._shadow[:, None]
        usual = [SEVERITY[Thresholds().outcome(score)] for score in logins.scores]
        severity = np.where(counted, self._severity[:, None], np.int8(0)).max(axis=0, initial=0)
        outcomes = np.searchsorted(_LEVELS, np.maximum(severity, np.array(usual, np.int8)))
        np.add.at(self._outcomes, (outcomes, logins.who), 1)
        for row in np.flatnonzero((outcomes > 0) & (logins.who == HONEST)).tolist():
            self._disturbed[int(outcomes[row])].add(logins.customers[row])
        rules, rows = np.nonzero(hits)
        np.add.at(self._hits[:, 0], (rules, logins.who[rows]), 1)
        others = counted.sum(axis=0)[rows] - counted[rules, rows]
        alone = (others == 0) & (np.array(usual)[rows] == 0)
        np.add.at(self._hits[:, 1], (rules[alone], logins.who[rows[alone]]), 1)

    def side(self) -> LoginSide:
        """All that was counted."""
        who = self._outcomes.sum(axis=0).tolist()
        return LoginSide(
            logins=sum(who),
            attackers=who[ATTACKER],
            honest=who[HONEST],
            wrong=who[WRONG],
            open=who[OPEN],
            outcomes=tuple(self._outcome(n) for n in range(len(OUTCOMES))),
            each_rule=tuple(self._rule(n) for n in self._about),
        )

    def _outcome(self, n: int) -> LoginOutcome:
        attackers, honest, wrong, unknown = self._outcomes[n].tolist()
        return LoginOutcome(OUTCOMES[n], attackers, honest, wrong, unknown, len(self._disturbed[n]))

    def _rule(self, n: int) -> LoginRule:
        rule, (hits, alone) = self._rules.rules[n], self._hits[n].tolist()
        return LoginRule(
            rule=rule.name,
            version=rule.version,
            outcome=rule.outcome,
            shadow=rule.shadow,
            hits=sum(hits),
            attackers=hits[ATTACKER],
            honest=hits[HONEST],
            wrong=hits[WRONG],
            open=hits[OPEN],
            alone=alone[ATTACKER],
            alone_honest=alone[HONEST],
            alone_wrong=alone[WRONG],
        )
