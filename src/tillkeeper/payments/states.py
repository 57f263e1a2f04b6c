"""The states of a payment and their allowed moves: the one table that everything obeys."""

from typing import Final

MOVES: Final[dict[str, frozenset[str]]] = {
    # waits for the bank
    "pending": frozenset({"succeeded", "failed"}),
    # waits for the payer's code; the money is held
    "challenged": frozenset({"succeeded", "authorized", "declined", "expired"}),
    # waits for a person of the risk team; the money is held. Released, a withdrawal goes on to its bank
    "in_review": frozenset({"succeeded", "authorized", "pending", "declined", "expired"}),
    # waits for the merchant's capture; the money is held
    "authorized": frozenset({"succeeded", "voided", "expired"}),
    # the payee has the money
    "succeeded": frozenset({"partially_refunded", "refunded"}),
    "partially_refunded": frozenset({"partially_refunded", "refunded"}),
    # the end
    "refunded": frozenset(),
    "declined": frozenset(),
    "failed": frozenset(),
    "voided": frozenset(),
    "expired": frozenset(),
}

WAITING: Final = frozenset({"pending", "challenged", "in_review", "authorized"})
"""States that somebody or something must end."""

PAID: Final = frozenset({"succeeded", "partially_refunded"})
"""States in which there may be something left to refund."""


def may_move(from_state: str, to_state: str) -> bool:
    """Whether the table allows a move."""
    return to_state in MOVES[from_state]
