"""The third way features are compiled: Spark SQL gives what DuckDB and the live profiles give."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.risk_spark import in_spark, local_spark, needs_spark
from tests.support.risk_sql import Connection, add_handbook, differences, generate, in_duckdb, live
from tests.unit.test_risk_sql import HANDBOOK
from tillkeeper.risk import FEATURES

pytestmark = [needs_spark, pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with local_spark(tmp_path_factory.mktemp("spark")) as session:
        yield session


@pytest.fixture
def con() -> Iterator[Connection]:
    with duckdb.connect() as made:
        yield made


def test_generated_events_and_a_day_of_the_handbook(
    spark: Any, con: Connection, tmp_path: Path, seed: int
) -> None:
    """As one history: a query costs Spark half a minute, however little there is to read."""
    generate(con, seed, 1200)
    if HANDBOOK.exists():
        day = "occurred_at >= '2018-07-01' AND occurred_at < '2018-07-02'"
        assert add_handbook(con, HANDBOOK, day) == 9692
    theirs = in_spark(spark, con, tmp_path, FEATURES)
    found = differences(theirs, in_duckdb(con))
    assert found == dict.fromkeys(found, 0)
    found = differences(theirs, live(con))
    assert found == dict.fromkeys(found, 0)
    assert len(found) > 190
