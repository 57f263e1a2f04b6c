"""What a relay of money shows, and how much each of it says: likelihood ratios against what is usual among relays here. Pure.

Beside each sign stand the share of mules' relays that show it, and what is thought of everybody's before anything is known: the
first from what police and banks describe, the second is learnt as relays come, so that on a platform where families pass money on
all day it says less.
"""

import math
from collections.abc import Mapping
from typing import Final

from tillkeeper.risk.warning.oddity import Usual, likelihood

LOG_BOUND: Final = math.log(1e4)
"""Of what speaks against a network."""
_WIDER: Final = 1.5
"""The edge of the usual, in units of the share that is usual."""
_MOST: Final = 0.8

RELAYS: Final[Mapping[str, tuple[float, float, float]]] = {
    # share among mules' relays; among everybody's, and at least: of "relay" among all that leaves an account
    "relay": (0.9, 0.01, 0.003),
    "at_once": (0.4, 0.1, 0.03),
    "quick": (0.8, 0.3, 0.1),
    "from_stranger": (0.9, 0.4, 0.2),
    "to_stranger": (0.9, 0.4, 0.2),
    "quiet": (0.85, 0.15, 0.05),
    "to_quiet": (0.7, 0.2, 0.1),
    "on_fresh_device": (0.8, 0.05, 0.02),
    "further": (0.5, 0.03, 0.01),
    "shared": (0.7, 0.03, 0.01),
}


class Sign:
    """Something that a relay shows or does not."""

    __slots__ = ("_attack", "_usual")

    def __init__(self, attack: float, start: float, least: float) -> None:
        self._attack, self._usual = attack, Usual(start, least)

    def says(self, shown: bool | None) -> float:  # noqa: FBT001 - it is the thing itself
        """How much likelier that is of a mule, as a natural logarithm; what is not known says nothing."""
        edge = min(_WIDER * self._usual.share, _MOST)
        return 0.0 if shown is None else math.log(likelihood(odd=shown, attack=self._attack, edge=edge))

    def learn(self, shown: bool | None) -> None:  # noqa: FBT001
        """One more relay."""
        if shown is not None:
            self._usual.learn(odd=shown)

    def weigh(self, shown: bool | None) -> float:  # noqa: FBT001
        """What it says, against what was usual before."""
        said = self.says(shown)
        self.learn(shown)
        return said
