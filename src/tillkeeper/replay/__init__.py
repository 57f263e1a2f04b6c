"""Replay: files of historic payments through the same turn, judged against their labels."""

from tillkeeper.replay.files import Source, fingerprint, open_file
from tillkeeper.replay.mapping import Mapping, check_columns, read_mapping, ready_mapping
from tillkeeper.replay.report import Detection, Figures, Level, figures
from tillkeeper.replay.runner import Desk, Done, Job, Progress, replay
from tillkeeper.replay.types import ReplayError

__all__ = [
    "Desk",
    "Detection",
    "Done",
    "Figures",
    "Job",
    "Level",
    "Mapping",
    "Progress",
    "ReplayError",
    "Source",
    "check_columns",
    "figures",
    "fingerprint",
    "open_file",
    "read_mapping",
    "ready_mapping",
    "replay",
]
