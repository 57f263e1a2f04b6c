"""Features compiled three ways are one: live, DuckDB and Spark, on generated and on real input, without a difference."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.support.risk_sql import (
    Connection,
    differences,
    generate,
    handbook,
    in_duckdb,
    in_duckdb_by_parts,
    live,
)
from tillkeeper.risk import FEATURES

HANDBOOK = Path(__file__).parents[3] / "shared" / "data" / "handbook-2018-04-to-07.parquet"


@pytest.fixture
def con() -> Iterator[Connection]:
    with duckdb.connect() as made:
        made.sql("SET threads = 2")
        yield made


def test_generated_events(con: Connection, seed: int) -> None:
    generate(con, seed, 5000)
    ((days, late),) = con.sql(
        "SELECT (max(at_us) - min(at_us)) // 86400000000, count(*) FILTER (at_us < newest) FROM"
        " (SELECT at_us, max(at_us) OVER (ORDER BY seq) AS newest FROM everything)"
    ).fetchall()
    assert days > 45
    assert late > 100
    found = differences(live(con), in_duckdb(con))
    assert found == dict.fromkeys(found, 0)
    assert len(found) > 190


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not HANDBOOK.exists(), reason="the Handbook's payments are not beside the checkout")
def test_all_payments_of_the_handbook(con: Connection) -> None:
    handbook(con, HANDBOOK)
    ((rows, frauds),) = con.sql("SELECT count(*), count(*) FILTER (fraud) FROM payments").fetchall()
    assert (rows, frauds) == (1_169_723, 9_465)
    # What has no device, no address and no login is known to be nothing.
    names = [name for name in FEATURES if not name.startswith(("device_", "ip_", "network_", "login_"))]
    ours, compared = live(con, names), 0
    for part, theirs in in_duckdb_by_parts(con, names, rows=200_000):
        found = differences({name: column[part] for name, column in ours.items()}, theirs)
        assert found == dict.fromkeys(found, 0)
        assert len(found) >= 131
        compared += len(theirs["seq"])
    assert compared == rows
