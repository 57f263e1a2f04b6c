"""Rails: the banks beyond the house, that move the money of top-ups and withdrawals."""

from tillkeeper.payments.rails.sandbox import SANDBOX, Entry, Habits, SandboxBank
from tillkeeper.payments.rails.types import Listener, Notice, Rail, RailAnswer, RailAttempt

__all__ = [
    "SANDBOX",
    "Entry",
    "Habits",
    "Listener",
    "Notice",
    "Rail",
    "RailAnswer",
    "RailAttempt",
    "SandboxBank",
]
