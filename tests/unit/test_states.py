"""The table of states: closed, reachable, and with ends that stay ends."""

from tillkeeper.payments.states import MOVES, PAID, WAITING, may_move

# Where a payment may begin: what a flow makes of a new order.
BIRTHS = {"pending", "challenged", "in_review", "authorized", "succeeded", "declined"}
ENDS = {"refunded", "declined", "failed", "voided", "expired"}


def reachable(start: set[str]) -> set[str]:
    found, new = set(start), set(start)
    while new:
        new = {after for state in new for after in MOVES[state]} - found
        found |= new
    return found


def test_every_move_leads_to_a_state_of_the_table() -> None:
    assert {after for moves in MOVES.values() for after in moves} <= set(MOVES)


def test_every_state_is_reachable() -> None:
    assert reachable(BIRTHS) == set(MOVES)


def test_ends_are_ends_and_nothing_else_is() -> None:
    assert {state for state, moves in MOVES.items() if not moves} == ENDS


def test_every_waiting_state_can_end() -> None:
    for state in WAITING:
        assert reachable({state}) & (ENDS | PAID)


def test_money_that_was_paid_only_goes_back_by_refund() -> None:
    assert reachable(set(PAID)) == PAID | {"refunded"}


def test_moves_are_looked_up() -> None:
    assert may_move("pending", "failed")
    assert not may_move("succeeded", "voided")
    assert not may_move("declined", "succeeded")
