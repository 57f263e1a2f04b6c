"""Time's order in a file: one wrong year costs one row."""

from datetime import UTC, datetime, timedelta

from tillkeeper.base.clock import to_us
from tillkeeper.replay.order import Order
from tillkeeper.replay.types import Bad, Record

START = datetime(2018, 4, 1, tzinfo=UTC)


def record(line: int, days: float) -> Record:
    at = START + timedelta(days=days)
    return Record(
        line, str(line), None, at, to_us(at), "p", "q", 1, "EUR", None, None, None, None, None, None, []
    )


def judged(days: list[float | None]) -> list[tuple[int, bool]]:
    """(line, admitted) in the order they come out; None is a row that is bad anyway."""
    order = Order()
    out: list[Record | Bad] = []
    for line, day in enumerate(days, 1):
        out += order.admit(Bad(line, "", "", []) if day is None else record(line, day))
    out += order.end()
    return [(each.line, isinstance(each, Record)) for each in out]


def admitted(days: list[float | None]) -> list[int]:
    found = judged(days)
    assert [line for line, _ in found] == list(
        range(1, len(days) + 1)
    )  # nothing is lost, nothing out of order
    return [line for line, good in found if good]


def test_an_orderly_file_goes_through() -> None:
    assert admitted([0, 0, 0.5, 0.4, 1, 1.9]) == [1, 2, 3, 4, 5, 6]


def test_a_little_late_is_allowed_and_much_is_not() -> None:
    assert admitted([0, 5, 5.1, 4.2, 4.0, 5.2]) == [1, 2, 3, 4, 6]


def test_a_wrong_year_ahead_costs_one_row() -> None:
    assert admitted([0, 0.1, 365, 0.2, 0.3]) == [1, 2, 4, 5]


def test_a_wrong_year_ahead_at_the_beginning_and_behind_a_bad_row() -> None:
    assert admitted([365, 0.1, 0.2]) == [2, 3]
    assert admitted([0, 0.1, 365, None, None, 0.2]) == [1, 2, 6]


def test_a_shop_that_was_closed_goes_on() -> None:
    assert admitted([0, 0.1, 30, 30.1, 60, None, 60.2]) == [1, 2, 3, 4, 5, 7]


def test_a_sparse_file_goes_through() -> None:
    assert admitted([0, 10, 20, 30]) == [1, 2, 3, 4]


def test_bad_rows_do_not_hold_the_file_up_for_ever() -> None:
    order = Order()
    assert order.admit(record(1, 0)) == []
    out = [each for line in range(2, 1500) for each in order.admit(Bad(line, "", "", []))]
    assert [each.line for each in out] == list(range(1, 1500))


def test_the_reason_says_how_far() -> None:
    order = Order()
    order.admit(record(1, 10))
    order.admit(record(2, 10))
    (late,) = order.admit(record(3, 0))
    assert isinstance(late, Bad)
    assert late.column == "time"
    assert "10.0 days" in late.reason
