"""The benches' arithmetic, their requests, and what they read out of other programs' words."""

import json
from array import array
from collections import Counter

import pytest

from bench import figures, payments, yardstick
from bench.load import Load, Payments, Step, is_whole, measured
from bench.machine import Usage, busy_ticks
from tillkeeper.base.cardnumbers import has_card_number
from tillkeeper.base.ids import new_id, to_typeid

SHOPS = [to_typeid("mer", new_id()) for _ in range(20)]


def a_step(hot: float = 0.0) -> Step:
    return Step(
        port=1,
        key="till_key",
        connections=1,
        warm_up=0.0,
        seconds=1.0,
        payers=[payments.payer(number, new_id()) for number in range(10)],
        payees=SHOPS,
        hot=hot,
        seed=7,
    )


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.1, 1), (0.5, 5), (0.51, 6), (0.95, 10), (0.99, 10), (1.0, 10)]
)
def test_percentiles_are_values_that_occurred(share: float, expected: int) -> None:
    assert figures.percentile([*range(1, 11)], share) == expected


def test_growth_is_in_percent_of_the_first() -> None:
    assert figures.growth(200.0, 240.0) == pytest.approx(20.0)
    assert figures.growth(200.0, 150.0) == pytest.approx(-25.0)


def test_a_request_is_whole_and_no_two_share_a_key() -> None:
    made = Payments(a_step())
    requests = [made.next() for _ in range(5000)]
    heads, bodies = zip(*(request.split(b"\r\n\r\n", 1) for request in requests), strict=True)
    for head, body in zip(heads, bodies, strict=True):
        assert int(head.rpartition(b"content-length: ")[2]) == len(body)
    keys = [head.split(b"idempotency-key: ")[1].split(b"\r\n")[0].decode() for head in heads]
    assert len(set(keys)) == len(keys)
    assert not any(map(has_card_number, keys[:500]))
    order = json.loads(bodies[0])
    assert order["merchant"] in SHOPS
    assert 1000 <= order["amount"] <= 9999
    assert {"payer", "device", "ip", "place"} < order.keys()


def test_payers_take_turns_and_one_merchant_gets_its_share() -> None:
    made = Payments(a_step(hot=0.5))
    orders = [json.loads(made.next().split(b"\r\n\r\n", 1)[1]) for _ in range(2000)]
    assert set(Counter(order["payer"] for order in orders).values()) == {200}
    counts = Counter(order["merchant"] for order in orders)
    assert counts[SHOPS[0]] / len(orders) == pytest.approx(0.525, abs=0.05)
    assert len(counts) == len(SHOPS)


def test_an_answer_is_whole_when_its_body_is_there() -> None:
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\nserver: x\r\n\r\npaid"
    assert [is_whole(answer[:end]) for end in (10, 55, len(answer) - 1, len(answer))] == [
        False,
        False,
        False,
        True,
    ]


async def test_what_was_measured() -> None:
    load = Load(a_step())
    load.latencies = array("d", [0.003, 0.001, 0.002, 0.004])
    load.answers.update({b"201": 5, b"503": 1})
    found = measured(load, took=2.0, cpu=0.5, lost=1)
    assert (found.rate, found.p50, found.longest, found.cpu_share) == (2.0, 0.002, 0.004, 0.25)
    assert (found.answers, found.lost) == ({"201": 5, "503": 1}, 1)


def test_the_yardstick_is_what_pgbench_says_last() -> None:
    said = "number of failed transactions: 0 (0.000%)\ntps = 8123.456 (without initial connection time)\n"
    assert yardstick.rate_in(said) == 8123.456
    with pytest.raises(RuntimeError, match="no such function"):
        yardstick.rate_in("pgbench: error: no such function")


def test_processors_are_busy_unless_idle_or_waiting() -> None:
    assert busy_ticks("cpu  100 5 20 1000 300 1 2 3 0 0\ncpu0 1 2 3 4\n") == 131


def test_what_others_used_is_what_nobody_of_ours_did() -> None:
    before, after = Usage({"api": 1.0, "postgres": 2.0}, 10.0), Usage({"api": 1.5, "postgres": 2.25}, 12.0)
    used = after.since(before)
    assert used.groups == {"api": 0.5, "postgres": 0.25}
    assert used.others(own=0.25) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("acknowledged", "balanced", "good"), [(5, True, True), (6, True, False), (5, False, False)]
)
def test_figures_count_only_if_everything_acknowledged_is_there(
    *, acknowledged: int, balanced: bool, good: bool
) -> None:
    assert payments.Checked(acknowledged, 5, 5, {}, balanced).good is good
