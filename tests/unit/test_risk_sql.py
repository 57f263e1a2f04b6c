"""The windows against SQL: zero differences to DuckDB's range windows, on generated and on real input."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.risk_sql import EVERY_KIND, WITHOUT_DEVICES, Connection, compared, differences
from tillkeeper.risk import FEATURES, Attempt, read_rules
from tillkeeper.risk.profiles import Profiles

HANDBOOK = Path(__file__).parents[3] / "shared" / "data" / "handbook-2018-04-to-07.parquet"
RULES = read_rules('reference = "EUR"\nother = 100\n[worth]\nEUR = 100\n', "test")
SIX_DAYS = 6 * 86_400 * 1_000_000
CUSTOMER, PAYEE = 1 << 64, 2 << 64  # nobody is both, so looking at what a customer received moves no profile
TURN = 512


@pytest.fixture
def con() -> Iterator[Connection]:
    with duckdb.connect() as made:
        made.sql("SET threads = 2")
        yield made


def observed(con: Connection, names: Sequence[str]) -> NDArray[np.float64]:
    """All attempts through the profiles in turns. Labels are learnt at six days: before the delay ends, none may count."""
    rows = con.sql("SELECT * FROM attempts ORDER BY seq").fetchnumpy()
    columns = [FEATURES[name].index for name in names]
    got = np.empty((len(rows["seq"]), len(names)))
    profiles, known = Profiles(RULES, ZoneInfo("UTC")), 0
    for begin in range(0, len(got), TURN):
        turn = attempts_of({name: column[begin : begin + TURN].tolist() for name, column in rows.items()})
        newest = max(attempt.at_us for attempt in turn)
        while rows["happened"][known] <= newest - SIX_DAYS:
            if rows["fraud"][known]:
                assert profiles.learn(UUID(int=known + 1), fraud=True)
            known += 1
        got[begin : begin + TURN] = profiles.observe(turn)[:, columns]
    return got


def attempts_of(rows: dict[str, list[Any]]) -> list[Attempt]:
    fields = ("seq", "happened", "customer", "payee", "amount", "device", "ip")
    return [
        Attempt(
            id=UUID(int=seq + 1),
            kind="payment",
            at_us=at,
            customer=UUID(int=CUSTOMER + customer),
            payee=UUID(int=PAYEE + payee),
            amount=amount,
            currency="EUR",
            device=device,
            ip=ip,
        )
        for seq, at, customer, payee, amount, device, ip in zip(*(rows[name] for name in fields), strict=True)
    ]


def assert_no_difference(con: Connection, kinds: dict[str, Sequence[str]]) -> None:
    names = compared(kinds)
    got = observed(con, names)
    columns = {name: column for column, name in enumerate(names)}
    found: dict[str, int] = {}
    for kind, others in kinds.items():
        found |= dict(differences(con, kind, others, got, columns))
    assert found == dict.fromkeys(found, 0)
    assert sorted(found) == sorted(names)


GENERATED = """
CREATE TABLE attempts AS
WITH steps AS (  -- bursts, pauses, ties; steps of exactly a minute and an hour
    SELECT seq, CASE WHEN random() < 0.3 THEN 0 WHEN random() < 0.2 THEN 60000000 WHEN random() < 0.1 THEN 3600000000
                     ELSE (random() * 600000000)::BIGINT END AS step
    FROM range(20000) AS r(seq)
), times AS (SELECT seq, 1522540800000000 + sum(step) OVER (ORDER BY seq)::BIGINT AS happened FROM steps)
SELECT seq,
       happened - CASE WHEN random() < 0.05 THEN (random() * 7200000000)::BIGINT ELSE 0 END AS happened,
       (random() * random() * 80)::BIGINT AS customer,
       (random() * random() * 60)::BIGINT AS payee,
       CASE WHEN random() < 0.8 THEN 'device ' || (random() * 50)::INT END AS device,
       CASE WHEN random() < 0.7 THEN '10.0.0.' || (random() * 20)::INT END AS ip,
       CASE WHEN random() < 0.5 THEN (random() * 5)::BIGINT ELSE (random() * 999999)::BIGINT END AS amount,
       random() < 0.05 AS fraud
FROM times"""


def test_generated_attempts(con: Connection, seed: int) -> None:
    con.sql(f"SELECT setseed({seed / 2**32})")
    con.sql(GENERATED)
    ((days, late),) = con.sql(
        "SELECT (max(happened) - min(happened)) // 86400000000, count(*) FILTER (happened < newest) FROM"
        " (SELECT happened, max(happened) OVER (ORDER BY seq) AS newest FROM attempts)"
    ).fetchall()
    assert days > 45
    assert late > 500
    assert_no_difference(con, EVERY_KIND)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not HANDBOOK.exists(), reason="the Handbook's payments are not beside the checkout")
def test_all_payments_of_the_handbook(con: Connection) -> None:
    con.sql(f"""
        CREATE TABLE attempts AS
        SELECT row_number() OVER (ORDER BY occurred_at, transaction_id) - 1 AS seq, epoch_us(occurred_at) AS happened,
               customer_id::BIGINT AS customer, terminal_id::BIGINT AS payee, NULL AS device, NULL AS ip,
               (amount * 100)::BIGINT AS amount, fraud
        FROM '{HANDBOOK}'""")
    ((rows, frauds),) = con.sql("SELECT count(*), count(*) FILTER (fraud) FROM attempts").fetchall()
    assert (rows, frauds) == (1_169_723, 9_465)
    assert_no_difference(con, WITHOUT_DEVICES)
