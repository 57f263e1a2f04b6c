"""How well an order of payments puts frauds first, counted in bounded memory whatever the number of payments."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FALSE_ALARMS: Final = 0.01
# A score is counted by the upper bits of its 32-bit float: monotone, and two scores that fall together differ by less
# than one part in 4,096, where they count as equal.
_SHIFT: Final = 11
_MOST: Final = np.float32(8.0)
_BINS: Final = (int(_MOST.view(np.int32)) >> _SHIFT) + 1


class Order:
    """Counts frauds and honest payments by score, 0 to 8."""

    def __init__(self) -> None:
        self._frauds = np.zeros(_BINS, np.int64)
        self._honest = np.zeros(_BINS, np.int64)

    def add(self, scores: NDArray[np.float64], fraud: NDArray[np.bool_]) -> None:
        """Judged payments. A score that is not known counts as 0."""
        known = np.clip(np.nan_to_num(scores), 0.0, float(_MOST)).astype(np.float32)
        bins = known.view(np.int32) >> _SHIFT
        np.add.at(self._frauds, bins[fraud], 1)
        np.add.at(self._honest, bins[~fraud], 1)

    def figures(self) -> tuple[float | None, float | None, float | None]:
        """AUC, average precision, and the recall at FALSE_ALARMS; None where there are no frauds, or only frauds."""
        used = np.flatnonzero(self._frauds + self._honest)[::-1]
        hits, alarms = np.cumsum(self._frauds[used]), np.cumsum(self._honest[used])
        if not len(used) or not hits[-1]:
            return None, None, None
        ap = float((np.diff(hits, prepend=0) * (hits / (hits + alarms))).sum() / hits[-1])
        if not alarms[-1]:
            return None, ap, None
        area = float(np.trapezoid(np.append(0, hits), np.append(0, alarms)))
        within = hits[alarms <= FALSE_ALARMS * alarms[-1]]
        return area / float(hits[-1] * alarms[-1]), ap, float(within[-1] / hits[-1]) if len(within) else 0.0
