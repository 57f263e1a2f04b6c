"""Early warning: what leaves its band, attacks as they begin, alerts ranked by what is at stake, rules proposed against them."""

from tillkeeper.risk.warning.browse import Board, Shown, backtest_of, board, lag_seconds, show, standing
from tillkeeper.risk.warning.deeds import close, draw_up, propose
from tillkeeper.risk.warning.lookout import ATTACKS, Lookout
from tillkeeper.risk.warning.rows import (
    alerts_counted,
    alerts_ranked,
    open_signals,
    past_signals,
    signals_counted,
)
from tillkeeper.risk.warning.types import (
    PREFIX,
    Act,
    Alert,
    Finding,
    Remedy,
    Seen,
    SeenLabel,
    SeenLogin,
    Signal,
    Subject,
)
from tillkeeper.risk.warning.watchman import Watchman
from tillkeeper.risk.warning.words import KINDS, about_in_words, kind_in_words, said

__all__ = [
    "ATTACKS",
    "KINDS",
    "PREFIX",
    "Act",
    "Alert",
    "Board",
    "Finding",
    "Lookout",
    "Remedy",
    "Seen",
    "SeenLabel",
    "SeenLogin",
    "Shown",
    "Signal",
    "Subject",
    "Watchman",
    "about_in_words",
    "alerts_counted",
    "alerts_ranked",
    "backtest_of",
    "board",
    "close",
    "draw_up",
    "kind_in_words",
    "lag_seconds",
    "open_signals",
    "past_signals",
    "propose",
    "said",
    "show",
    "signals_counted",
    "standing",
]
