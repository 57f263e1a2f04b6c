"""History from a file, and the walk through it: no label counts before it was known."""

from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tillkeeper.risk import Batch, Event, read_rules
from tillkeeper.risk.history import (
    HANDBOOK,
    NEVER,
    Columns,
    FileHistory,
    HistoryError,
    Layout,
    Stretch,
    Verdicts,
    Walk,
)
from tillkeeper.risk.profiles import Profiles

DAY = 86_400 * 1_000_000
RULES = read_rules('reference = "EUR"\nother = 100\n[worth]\nEUR = 100\n', "test")
HEAD = "transaction_id,occurred_at,customer_id,terminal_id,amount,fraud"
START = 1_522_540_800_000_000  # 2018-04-01


def profiles() -> Profiles:
    return Profiles(RULES, ZoneInfo("UTC"))


def written(path: Path, *lines: str, head: str = HEAD) -> Path:
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def stretch(days: list[float], verdicts: list[tuple[int, float, bool]], *, first: int = 1) -> Stretch:
    """Payments of one customer at one payee at these days; verdicts are (row, known at day, fraud)."""
    n = len(days)
    at = np.array([START + round(day * DAY) for day in days], np.int64)
    ids = np.stack([np.zeros(n, np.int64), np.arange(first, first + n)], axis=1)
    batch = Batch(
        ids=ids,
        at_us=at,
        kinds=["payment"] * n,
        customers=[7] * n,
        payees=[9 << 64] * n,
        amounts=np.full(n, 100, np.int64),
        currencies=["EUR"] * n,
        devices=[None] * n,
        ips=[None] * n,
        places=np.full((n, 2), np.nan),
    )
    rows, known, fraud = zip(*verdicts, strict=True) if verdicts else ((), (), ())
    return Stretch(
        batch,
        at,
        Verdicts(
            np.array(rows, np.int64),
            np.array([START + round(day * DAY) for day in known], np.int64),
            np.array(fraud, np.bool_),
        ),
    )


# -- the walk


def frauds_seen(*stretches: Stretch) -> list[float]:
    walk = Walk(profiles(), ["payee_frauds_30d"])
    return [float(value) for seen in walk.through(stretches) for value in seen.values[:, 0]]


def test_a_label_counts_from_the_moment_it_is_known_and_not_a_payment_sooner() -> None:
    known = stretch([0, 8, 9.99, 10, 11], [(0, 10, True)])
    assert frauds_seen(known) == [0, 0, 0, 1, 1]
    at_once = stretch([0, 8, 9.99, 10, 11], [(0, 0, True)])
    assert frauds_seen(at_once) == [0, 1, 1, 1, 1], (
        "the label delay of the windows still holds, and nothing else"
    )


def test_what_customers_did_besides_paying_counts_in_its_place() -> None:
    one = stretch([0, 1, 1.01], [])
    logins = [
        Event(UUID(int=n), "login", START + round((0.99 + n / 1000) * DAY), UUID(int=7), succeeded=False)
        for n in (1, 2)
    ]
    walk = Walk.of(RULES, ZoneInfo("UTC"), ["customer_logins_failed_1h", "amount"])
    assert walk.take(one._replace(events=[(1, each) for each in logins])).values[:, 0].tolist() == [0, 2, 2]
    without = Walk.of(RULES, ZoneInfo("UTC"), ["amount"])
    assert without.take(one._replace(events=[(1, each) for each in logins])).values.tolist() == [
        [100],
        [100],
        [100],
    ]


def test_a_label_used_early_would_change_values() -> None:
    """The test above sees a leak: labels moved to their payment's moment give other values."""
    days, verdicts = [0, 8, 9.99, 10, 11], [(0, 10.0, True)]
    early = [(row, 0.0, fraud) for row, _, fraud in verdicts]
    assert frauds_seen(stretch(days, verdicts)) != frauds_seen(stretch(days, early))


def test_labels_wait_for_a_later_stretch() -> None:
    first, second = stretch([0, 1], [(0, 10, True)]), stretch([8, 10.5], [], first=3)
    assert frauds_seen(first, second) == [0, 0, 0, 1]


def test_a_cleared_payment_counts_until_it_is_cleared() -> None:
    assert frauds_seen(stretch([0, 8, 10, 12], [(0, 8, True), (0, 11, False)])) == [0, 1, 1, 0]


def test_stretches_of_any_size_give_the_same_values(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = START + np.sort(rng.integers(0, 40 * DAY, 300))
    lines = [
        f"{n},{np.datetime64(moment, 'us')},{rng.integers(20)},{rng.integers(15)},{rng.integers(100, 9999) / 100},"
        f"{int(rng.random() < 0.1)}"
        for n, moment in enumerate(at.tolist())
    ]
    path = written(tmp_path / "payments.csv", *lines)
    found = []
    for rows in (1, 97, 5000):
        with FileHistory(path, rows=rows) as history:
            assert history.payments == len(lines)
            found.append(
                np.concatenate([seen.values for seen in Walk(profiles()).through(history.stretches())])
            )
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_a_clock_that_runs_ahead_releases_nothing_early() -> None:
    """An event time in the far future: the clock of a stretch says when it arrived, and that counts."""
    one = stretch([0, 8, 9], [(0, 10, True)])
    ahead = one.batch.at_us.copy()
    ahead[1] += 300 * DAY
    skewed = Stretch(Batch(**{name: getattr(one.batch, name) for name in one.batch.__struct_fields__} | {"at_us": ahead}),
                     one.clock_us, one.verdicts)  # fmt: skip
    walk = Walk(profiles(), ["payee_frauds_30d"])
    walk.take(skewed)
    assert walk.learnt == 0


def test_truth_is_what_was_known_at_a_moment() -> None:
    one = stretch([0, 1, 2], [(0, 9, True), (1, 8, True), (1, 20, False)])
    for day, expected in ((7, [False, False, False]), (9, [True, True, False]), (30, [True, False, False])):
        fraud, since = one.truth(START + day * DAY)
        assert fraud.tolist() == expected
        assert since[2] == NEVER
    assert one.truth()[1].tolist() == [START + 9 * DAY, START + 20 * DAY, NEVER]


# -- files


def test_a_file_is_read_in_order_of_time(tmp_path: Path) -> None:
    path = written(
        tmp_path / "payments.csv",
        "2,2018-04-02 10:00:00,5,6,12.34,true",
        "1,2018-04-01 10:00:00,5,5,0.00,false",
        "3,soon,5,6,1.00,false",
        "4,2018-04-03T00:00:00+02:00,6,6,9999999.99,",
    )
    with FileHistory(path) as history:
        (found,) = history.stretches()
        assert (history.payments, history.frauds, history.left_out) == (3, 1, 1)
        assert found.batch.amounts.tolist() == [0, 1234, 999_999_999]
        assert found.batch.customers == [(1 << 64) + 5, (1 << 64) + 5, (1 << 64) + 6]
        assert found.batch.payees[0] != found.batch.customers[0], "a terminal is nobody's customer"
        assert found.batch.at_us.tolist() == [START + 10 * 3600 * 1_000_000, START + 34 * 3600 * 1_000_000,
                                              START + 46 * 3600 * 1_000_000]  # fmt: skip
        assert found.truth(NEVER)[0].tolist() == [False, True, False]
        assert found.verdicts.row.tolist() == [0, 1], "a row without a label is not judged"
        assert found.verdicts.known_us.tolist() == (found.batch.at_us[:2] + 7 * DAY).tolist()


def test_a_range_of_time(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", *[f"{n},2018-04-0{n} 00:00:00,1,1,1.00,0" for n in range(1, 8)])
    with FileHistory(path, rows=2) as history:
        sizes = [len(each.batch) for each in history.stretches(START + 2 * DAY, START + 5 * DAY)]
        assert sizes == [2, 1]


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.csv",
        "ann;bob;100;JPY;1522540800;phone 1;10.0.0.1;fraudulent",
        "bob;ann;12.345;KWD;1522540801;;;ok",
        head="from;to;value;cur;when;dev;addr;state",
    )
    layout = Layout(
        Columns(time="when", payer="from", payee="to", amount="value", currency="cur", device="dev", ip="addr", fraud="state"),
        time="epoch",
        payees="customers",
        fraud_values=("fraudulent",),
    )  # fmt: skip
    with FileHistory(path, layout) as history:
        (found,) = history.stretches()
    assert found.batch.amounts.tolist() == [100, 12_345]
    assert found.batch.customers[0] == found.batch.payees[1]
    assert found.batch.kinds == ["send", "send"]
    assert found.batch.devices == ["phone 1", None]
    assert found.batch.at_us.tolist() == [START, START + 1_000_000]
    assert found.truth()[0].tolist() == [True, False]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "has no column 'amount', 'customer_id'.*; it has a, b"),
        (HEAD + "\n1,never,1,1,1,0\n", "holds no payment"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(content)
    with pytest.raises(HistoryError, match=said):
        FileHistory(path)
    with pytest.raises(HistoryError, match="No such file"):
        FileHistory(tmp_path / "nowhere.csv", HANDBOOK)
