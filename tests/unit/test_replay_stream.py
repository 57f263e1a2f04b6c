"""From a file to steps: the same every time, with the payers' money thought of."""

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.history import HEADER, history, write_csv
from tillkeeper.replay import ReplayError, open_file, ready_mapping
from tillkeeper.replay.stream import Item, Stream
from tillkeeper.replay.types import Bad, Step

NOW = datetime(2026, 4, 15, 12, tzinfo=UTC)


def stream(path: Path, limit: int | None = None) -> Stream:
    source = open_file(path)
    return Stream(source, ready_mapping(source.columns), NOW, limit)


def items(path: Path, limit: int | None = None) -> list[Item]:
    return [item for batch in stream(path, limit).batches() for item in batch]


def test_the_same_file_gives_the_same_steps(tmp_path: Path, seed: int) -> None:
    path = write_csv(tmp_path / "a.csv", history(3000, seed))
    assert items(path) == items(path)


def test_nobody_runs_short_and_nobody_is_rich(tmp_path: Path, seed: int) -> None:
    balances: dict[str, int] = defaultdict(int)
    spent: dict[str, int] = defaultdict(int)
    brought = 0
    for step in items(write_csv(tmp_path / "a.csv", history(5000, seed))):
        assert isinstance(step, Step)
        payer, amount = step.record.payer, step.record.amount
        balances[payer] += step.bring - amount
        spent[payer] += amount
        brought += step.bring > 0
        assert balances[payer] >= 0
        assert balances[payer] <= max(spent[payer], 10 * 60_000)
    assert brought < 600  # of 5,000 payments


def test_only_so_many_rows(tmp_path: Path, seed: int) -> None:
    path = write_csv(tmp_path / "a.csv", history(3000, seed))
    limited = stream(path, 2000)
    found = [item for batch in limited.batches() for item in batch]
    assert len(found) == 2000
    assert not limited.whole
    whole = stream(path, 3000)
    assert sum(map(len, whole.batches())) == 3000
    assert whole.whole


def test_a_mapping_that_does_not_fit_is_said_at_once(tmp_path: Path, seed: int) -> None:
    rows = history(3000, seed)
    for row in rows:
        row[1] = row[1].replace("-", ".")
    path = write_csv(tmp_path / "a.csv", rows)
    with pytest.raises(
        ReplayError, match=r"none of the first 1,024 rows.*line 2: column 'occurred_at' \(columns\.time\)"
    ) as caught:
        items(path)
    assert "strptime" in caught.value.remedy


def test_a_short_file_that_does_not_fit(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [[1, "2018-04-01", 1, 2, "-1", "false"]])
    with pytest.raises(ReplayError, match=r"none of the first 1 rows .*'amount'"):
        items(path)


def test_a_file_without_rows_has_no_steps(tmp_path: Path) -> None:
    assert items(write_csv(tmp_path / "a.csv", [])) == []


def test_bad_rows_among_good_ones_keep_their_lines(tmp_path: Path, seed: int) -> None:
    rows = history(100, seed)
    rows[10][4], rows[20][1], rows[30] = "-1", "2081-01-01", rows[30][:3]
    found = items(write_csv(tmp_path / "a.csv", rows))
    assert [item.line for item in found if isinstance(item, Bad)] == [12, 22, 32]
    assert HEADER[0] == "transaction_id"
