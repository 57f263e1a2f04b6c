"""Parting payments by time, never at random: learnt first, calibrated on what came later, measured on what came last."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.training.types import TrainingError

LEARNT: Final = 0.6
CALIBRATED: Final = 0.2


class Slices(NamedTuple):
    """Moments, microseconds since 1970 UTC: learnt from before `calibrate_us`, calibrated from there to `made_us` less the
    label delay, measured from `made_us` on. The model could have been made at `made_us`: so it is measured as it would
    have lived.
    """

    calibrate_us: int
    closed_us: int
    made_us: int


def by_time(at_us: NDArray[np.int64], delay_us: int) -> Slices:
    """Where to part payments, so that what is learnt, calibrated and measured are 60, 20 and 20 of 100 of them, less
    those that were not judged yet when the model was made. Raises TrainingError.
    """
    if not len(at_us):
        raise TrainingError(
            "no payment is old enough to be judged", "choose an earlier --from, or a shorter --label-delay"
        )
    ordered = np.sort(at_us)
    made = int(ordered[int(len(ordered) * (LEARNT + CALIBRATED))])
    closed = made - delay_us
    judged = int(np.searchsorted(ordered, closed))
    calibrate = int(ordered[int(judged * LEARNT / (LEARNT + CALIBRATED))]) if judged else made
    if not judged or not ordered[0] < calibrate < closed:
        days = (int(ordered[-1]) - int(ordered[0])) / 86_400e6
        raise TrainingError(
            f"{days:.1f} days of judged payments are too few for a label delay of {delay_us / 86_400e6:g} days",
            "take a longer time, or a shorter --label-delay if verdicts come sooner",
        )
    return Slices(calibrate, closed, made)
