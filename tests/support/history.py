"""Histories to replay: made of a seed, with thieves that the Handbook's rules can see."""

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HEADER = ("transaction_id", "occurred_at", "customer_id", "terminal_id", "amount", "fraud")


def history(
    rows: int, seed: int, days: float = 40.0, customers: int = 60, terminals: int = 25
) -> list[list[Any]]:
    """Rows in time's order: some too large, and two terminals that are taken over halfway."""
    rng = random.Random(seed)
    start = datetime(2018, 4, 1, tzinfo=UTC)
    moments = sorted(rng.random() * days for _ in range(rows))
    found = []
    for number, moment in enumerate(moments):
        terminal = rng.randrange(terminals)
        large = rng.random() < 0.01
        amount = rng.randrange(22_500, 60_000) if large else rng.randrange(100, 9_000)
        fraud = large or (terminal < 2 and moment > days / 3)
        at = start + timedelta(days=moment)
        written = f"{amount // 100}.{amount % 100:02}"
        found.append(
            [
                1000 + number,
                at.strftime("%Y-%m-%d %H:%M:%S"),
                rng.randrange(customers),
                terminal,
                written,
                str(fraud).lower(),
            ]
        )
    return found


def write_csv(path: Path, rows: list[list[Any]], header: tuple[str, ...] = HEADER) -> Path:
    """A CSV file of rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path
