"""The second judge of the risk windows: DuckDB's range windows over a table of attempts.

The table `attempts` has: seq (order of arrival from 0), happened (µs), customer, payee, device, ip, amount, fraud.
"""

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.features import DELAYED, FEATURES, OTHERS, WINDOWS

Connection = duckdb.DuckDBPyConnection
TIE_BITS = 12  # up to 4096 attempts of one profile at the same microsecond
LABEL_DELAY = 7 * 86_400 * 1_000_000


def differences(
    con: Connection, kind: str, others: Sequence[str], got: NDArray[np.float64], columns: dict[str, int]
) -> Iterator[tuple[str, int]]:
    """(feature, rows that differ) for every window feature of one kind of profile; `columns` finds a feature in `got`.

    Rows without this kind (no device was given) are not compared.
    """
    _profile_times(con, kind)
    for query in (_windows(kind, others), _delayed() if kind == "payee" else None):
        if query is None:
            continue
        expected = con.sql(query).fetchnumpy()
        rows = expected.pop("seq")
        for name, values in expected.items():
            differ = got[rows, columns[name]] != values.astype(np.float64)
            yield name, int(differ.sum())


def _profile_times(con: Connection, kind: str) -> None:
    """`seen`: the attempts of each profile in its own time, which never runs back.

    `place` orders them by time and, within a microsecond, by arrival; `tie` is the number among equals: a window that
    begins at `place - (span - 1) * ties - tie` holds what happened less than a span ago and had arrived already.
    """
    con.sql(f"""
        CREATE OR REPLACE TABLE timed AS
        SELECT *, max(happened) OVER (PARTITION BY {kind} ORDER BY seq) AS t FROM attempts WHERE {kind} IS NOT NULL""")
    con.sql(f"""
        CREATE OR REPLACE TABLE seen AS
        SELECT *, row_number() OVER (PARTITION BY {kind}, t ORDER BY seq) - 1 AS tie,
               (t << {TIE_BITS}) + row_number() OVER (PARTITION BY {kind}, t ORDER BY seq) - 1 AS place
        FROM timed""")
    ((most,),) = con.sql("SELECT max(tie) FROM seen").fetchall()
    assert most < 1 << TIE_BITS


def _windows(kind: str, others: Sequence[str]) -> str:
    columns, windows = [], []
    for window, span in WINDOWS.items():
        measures = {"count": "count(*)", "sum": "sum(amount)::BIGINT", "max": "max(amount)"}
        measures["mean"] = "sum(amount)::DOUBLE"
        measures |= {other: f"count(DISTINCT {other.removesuffix('s')})" for other in others}
        for measure, sql in measures.items():
            over = f"{sql.partition('::')[0]} OVER w{window}"
            if measure == "mean":
                over = f"sum(amount) OVER w{window}::DOUBLE / count(*) OVER w{window}"
            columns.append(f"{over} AS {kind}_{measure}_{window}")
        windows.append(
            f"w{window} AS (PARTITION BY {kind} ORDER BY place"
            f" RANGE BETWEEN {(span - 1) << TIE_BITS} + tie PRECEDING AND CURRENT ROW)"
        )
    return f"SELECT seq, {', '.join(columns)} FROM seen WINDOW {', '.join(windows)}"


def _delayed() -> str:
    columns, windows = [], []
    for window, span in DELAYED.items():
        count, frauds = f"count(*) OVER d{window}", f"coalesce(sum(fraud::INT) OVER d{window}, 0)"
        columns += [
            f"{count} AS payee_settled_{window}",
            f"{frauds} AS payee_frauds_{window}",
            f"CASE WHEN {count} > 0 THEN {frauds}::DOUBLE / {count} ELSE 0 END AS payee_risk_{window}",
        ]
        begin = LABEL_DELAY + span - 1
        windows.append(
            f"d{window} AS (PARTITION BY payee ORDER BY t RANGE BETWEEN {begin} PRECEDING AND {LABEL_DELAY} PRECEDING)"
        )
    return f"SELECT seq, {', '.join(columns)} FROM seen WINDOW {', '.join(windows)}"


def compared(kinds: dict[str, Sequence[str]]) -> list[str]:
    """The features that `differences` compares for these kinds, in the order of the matrix."""
    wanted = {
        f"{kind}_{measure}_{window}"
        for kind, others in kinds.items()
        for measure in ("count", "sum", "mean", "max", *others)
        for window in WINDOWS
    }
    wanted |= {f"payee_{measure}_{window}" for measure in ("settled", "frauds", "risk") for window in DELAYED}
    return [name for name in FEATURES if name in wanted]


EVERY_KIND: dict[str, Sequence[str]] = dict(OTHERS)
WITHOUT_DEVICES: dict[str, Sequence[str]] = {"customer": ("payees",), "payee": ("customers",)}
