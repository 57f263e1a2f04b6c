"""Training: models from history, parted by time, and the published protocols they are measured by."""

from tillkeeper.risk.training import handbook
from tillkeeper.risk.training.calibration import calibrate
from tillkeeper.risk.training.forest import RECIPE, Grown, check_known, grow
from tillkeeper.risk.training.gather import Gathering
from tillkeeper.risk.training.house import train_here
from tillkeeper.risk.training.live import LEARNABLE, UNUSUAL, Trained, Wish, own_features, train
from tillkeeper.risk.training.split import Slices, by_time
from tillkeeper.risk.training.types import LeakError, Progress, Recipe, Sample, Tell, TrainingError

__all__ = [
    "LEARNABLE",
    "RECIPE",
    "UNUSUAL",
    "Gathering",
    "Grown",
    "LeakError",
    "Progress",
    "Recipe",
    "Sample",
    "Slices",
    "Tell",
    "Trained",
    "TrainingError",
    "Wish",
    "by_time",
    "calibrate",
    "check_known",
    "grow",
    "handbook",
    "own_features",
    "train",
    "train_here",
]
