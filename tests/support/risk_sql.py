"""The second and third judge of live features: the SQL they are compiled to, in DuckDB and in Spark."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk import Batch, Event, read_rules
from tillkeeper.risk.declared import sql
from tillkeeper.risk.declared.dialects import DUCKDB
from tillkeeper.risk.features import FEATURES, Catalogue
from tillkeeper.risk.profiles import Profiles

Connection = duckdb.DuckDBPyConnection
Table = dict[str, NDArray[Any]]
RULES = read_rules('reference = "EUR"\nother = 100\n[worth]\nEUR = 100\n', "test")
ZONE = "Asia/Kathmandu"  # a quarter of an hour matters there
SIX_DAYS = 6 * 86_400 * 1_000_000
TURN = 256  # three of the generator's days: far less than six, or a label would be learnt before its payment is seen
PEOPLE = 1 << 64
# Sums of squares and angles are rounded in another order: equal to one part in a thousand million.
NEARLY = frozenset({"z_score", "distance_km", "speed_kmh"})

EMPTY_EVENTS = """
CREATE TABLE logins (seq BIGINT, at_us BIGINT, customer BIGINT, device VARCHAR, ip VARCHAR, network VARCHAR,
                     country VARCHAR, succeeded BOOLEAN, score DOUBLE);
CREATE TABLE settings (seq BIGINT, at_us BIGINT, customer BIGINT, device VARCHAR, ip VARCHAR, kind VARCHAR)"""

# Bursts, pauses, ties, steps of exactly a minute and an hour; people who pay and are paid; clocks that are wrong.
GENERATED = """
CREATE TABLE everything AS
WITH steps AS (
    SELECT seq, CASE WHEN random() < 0.3 THEN 0 WHEN random() < 0.2 THEN 60000000 WHEN random() < 0.1 THEN 3600000000
                     ELSE (random() * 2800000000)::BIGINT END AS step,
           hash(seq // 40 + {seed}) % 10 AS block
    FROM range({rows}) AS r(seq)
), times AS (SELECT seq, block, 1522540800000000 + sum(step) OVER (ORDER BY seq)::BIGINT AS happened FROM steps)
SELECT seq, CASE WHEN block < 7 THEN 'payment' WHEN block < 9 THEN 'login' ELSE 'setting' END AS event,
       happened - CASE WHEN random() < 0.05 THEN (random() * 7200000000)::BIGINT
                       WHEN random() < 0.001 THEN -100000000000 ELSE 0 END AS at_us,
       (random() * random() * 60)::BIGINT AS customer,
       100 - (random() * random() * 60)::BIGINT AS payee,
       CASE WHEN random() < 0.8 THEN 'device ' || (random() * 40)::INT END AS device,
       CASE WHEN random() < 0.7 THEN '10.0.0.' || (random() * 20)::INT END AS ip,
       CASE WHEN random() < 0.9 THEN 'AS' || (random() * 5)::INT END AS network,
       ['CN', 'FR', 'BR', ''][1 + (random() * 3)::INT] AS country,
       CASE WHEN random() < 0.5 THEN (random() * 5)::BIGINT WHEN random() < 0.01 THEN 1000000000000
            ELSE (random() * 999999)::BIGINT END AS amount,
       ['payment', 'send', 'withdrawal'][1 + (random() * 2)::INT] AS kind,
       ['phone', 'password', 'email', 'payee', 'device'][1 + (random() * 4)::INT] AS changed,
       CASE WHEN random() < 0.8 THEN 30 + random() * 10 END AS latitude, 100 + random() * 20 AS longitude,
       random() < 0.7 AS succeeded, random() AS score, random() < 0.1 AS fraud
FROM times;
CREATE TABLE payments AS
SELECT seq, at_us, kind, customer, payee, device, ip, amount, latitude,
       CASE WHEN latitude IS NOT NULL THEN longitude END AS longitude, fraud
FROM everything WHERE event = 'payment' AND customer <> payee;
CREATE TABLE logins AS SELECT seq, at_us, customer, device, ip, network, country, succeeded, score
FROM everything WHERE event = 'login';
CREATE TABLE settings AS SELECT seq, at_us, customer, device, ip, changed AS kind
FROM everything WHERE event = 'setting'"""


def generate(con: Connection, seed: int, rows: int) -> None:
    """Payments, logins and changes of settings of 90 days, the same for the same seed."""
    con.sql("SET threads = 1")
    # A SELECT does nothing before its rows are asked for.
    con.sql(f"SELECT setseed({seed / 2**32})").fetchall()
    for statement in GENERATED.format(seed=seed, rows=rows).split(";"):
        con.sql(statement)
    con.sql("SET threads = 2")


_HANDBOOK = """
SELECT {first} + row_number() OVER (ORDER BY occurred_at, transaction_id) - 1 AS seq, epoch_us(occurred_at) AS at_us,
       'payment' AS kind, customer_id::BIGINT AS customer, 1000000 + terminal_id::BIGINT AS payee,
       NULL::VARCHAR AS device, NULL::VARCHAR AS ip, (amount * 100)::BIGINT AS amount,
       NULL::DOUBLE AS latitude, NULL::DOUBLE AS longitude, fraud
FROM '{path}' WHERE {where}"""


def handbook(con: Connection, path: object) -> None:
    """The Handbook's payments in order of time."""
    for statement in EMPTY_EVENTS.split(";"):
        con.sql(statement)
    con.sql(f"CREATE TABLE payments AS {_HANDBOOK.format(first=0, path=path, where='true')}")


def add_handbook(con: Connection, path: object, where: str) -> int:
    """Some of the Handbook's payments after what there is; how many."""
    ((first, before),) = con.sql(
        "SELECT max(seq) + 1, (SELECT count(*) FROM payments) FROM everything"
    ).fetchall()
    con.sql(f"INSERT INTO payments {_HANDBOOK.format(first=first, path=path, where=where)}")
    ((after,),) = con.sql("SELECT count(*) FROM payments").fetchall()
    return int(after) - int(before)


def in_duckdb(con: Connection, wanted: Iterable[str] = FEATURES, catalogue: Catalogue = FEATURES) -> Table:
    """Features by SQL, by order of arrival."""
    for statement in sql.create(sql.compile_to(DUCKDB, catalogue, wanted, ZONE)):
        con.sql(statement)
    return _features(con)


def in_duckdb_by_parts(con: Connection, wanted: Iterable[str], rows: int) -> Iterator[tuple[slice, Table]]:
    """The same, counted once and handed out so many rows at a time: never all features of all rows in memory.

    `seq` must be the rows' numbers. What is counted stands in tables; what is joined from it is asked for by part.
    """
    kind, used = "TABLE", list[str]()
    for table, query in sql.compile_to(DUCKDB, FEATURES, wanted, ZONE):
        if table.endswith("_timed") or table == "counted":  # the next timeline begins
            while used:
                con.sql(f"DROP TABLE {used.pop()}")
        if table.endswith(("_timed", "_placed")):
            used.append(table)
        kind = "VIEW" if table == "counted" else kind
        con.sql(f"CREATE {kind} {table} AS {query}")
    ((last,),) = con.sql("SELECT max(seq) + 1 FROM payments").fetchall()
    for begin in range(0, last, rows):
        yield slice(begin, begin + rows), _features(con, f"WHERE seq >= {begin} AND seq < {begin + rows}")


def _features(con: Connection, where: str = "") -> Table:
    found: Table = con.sql(f"SELECT * FROM features {where} ORDER BY seq").fetchnumpy()
    return {name: np.ma.filled(np.ma.masked_array(column), np.nan) for name, column in found.items()}


def live(con: Connection, wanted: Iterable[str] = FEATURES, catalogue: Catalogue = FEATURES) -> Table:
    """Features as the profiles give them. Labels are learnt at six days: before the delay ends, none may count."""
    names = [name for name in catalogue if name in frozenset(wanted)]
    columns = [catalogue[name].index for name in names]
    profiles = Profiles(RULES, ZoneInfo(ZONE), catalogue, frozenset(names))
    parts = [part for event in ("payments", "logins", "settings") for part in _parts(con, event)]
    labels = con.sql("SELECT seq, at_us FROM payments WHERE fraud ORDER BY at_us").fetchall()[::-1]
    seqs, rows = [], []
    for seq, newest, take in sorted(parts, key=lambda part: int(part[0][0])):
        while labels and labels[-1][1] <= newest - SIX_DAYS:
            profiles.learn(UUID(int=labels.pop()[0]), fraud=True)
        seqs.append(seq)
        rows.append(take(profiles)[:, columns])
    matrix = np.concatenate(rows)
    return {"seq": np.concatenate(seqs)} | {name: matrix[:, n] for n, name in enumerate(names)}


Part = tuple[NDArray[np.int64], int, Callable[[Profiles], NDArray[np.float64]]]


def _parts(con: Connection, table: str) -> Iterator[Part]:
    """A table cut into turns of neighbours in order of arrival."""
    rows = con.sql(f"SELECT * FROM {table} ORDER BY seq").fetchnumpy()
    seq = rows["seq"]
    breaks = np.flatnonzero(np.diff(seq) > 20) + 1
    for piece in np.split(np.arange(len(seq)), breaks):
        for begin in range(0, len(piece), TURN):
            at = piece[begin : begin + TURN]
            some = {name: np.ma.masked_array(column[at]).tolist() for name, column in rows.items()}
            make = _batch(some) if table == "payments" else _events(some, table[:-1])
            yield seq[at], int(rows["at_us"][at].max()), make


def _batch(rows: dict[str, list[Any]]) -> Callable[[Profiles], NDArray[np.float64]]:
    n = len(rows["seq"])
    ids = np.zeros((n, 2), np.int64)
    ids[:, 1] = rows["seq"]
    places = np.array(list(zip(rows["latitude"], rows["longitude"], strict=True)), np.float64)
    return lambda profiles: profiles.observe(
        Batch(
            ids, np.array(rows["at_us"], np.int64), rows["kind"],
            [PEOPLE + one for one in rows["customer"]], [PEOPLE + one for one in rows["payee"]],
            np.array(rows["amount"], np.int64), ["EUR"] * n, rows["device"], rows["ip"], places,
        )
    )  # fmt: skip


def _events(rows: dict[str, list[Any]], event: str) -> Callable[[Profiles], NDArray[np.float64]]:
    names = [name for name in rows if name not in {"seq", "customer"}]
    events = [
        Event(
            id=UUID(int=0),
            event=event,
            customer=UUID(int=PEOPLE + customer),
            **dict(zip(names, more, strict=True)),
        )
        for customer, *more in zip(rows["customer"], *(rows[name] for name in names), strict=True)
    ]
    return lambda profiles: profiles.observe_events(events)


def differences(one: Table, other: Table, catalogue: Catalogue = FEATURES) -> dict[str, int]:
    """In how many rows each declared feature differs; those that the engine fills in are left out."""
    assert (one["seq"] == other["seq"]).all()
    found = {}
    for name in (name for name in one if name in other and name != "seq"):
        declared = catalogue[name].declaration
        assert declared
        if declared.aggregate or declared.value:
            a, b = one[name].astype(np.float64), other[name].astype(np.float64)
            same = np.isclose(a, b, rtol=1e-9, atol=1e-6) if name in NEARLY else a == b
            found[name] = int((~(same | (np.isnan(a) & np.isnan(b)))).sum())
    return found
