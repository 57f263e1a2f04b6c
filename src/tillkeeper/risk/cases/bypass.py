"""What blocking would have been worth: of payments that rules would have stopped, a sample goes through and is watched."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import sqrt
from typing import Final

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.ids import first_id_at
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")
_Z: Final = 1.959964  # two-sided 95 %


class Bypassed(msgspec.Struct, frozen=True):
    """Payments let through although they would have been stopped (`outcome`: how). Money is minor units of `currency`, of the
    sample only: the rest of the would-be stops never happened.
    """

    outcome: str
    currency: str
    passed: int
    fraud: int
    genuine: int
    fraud_amount: int
    genuine_amount: int

    @property
    def known(self) -> int:
        """Of how many it is known what they were."""
        return self.fraud + self.genuine

    @property
    def precision(self) -> tuple[float, float, float] | None:
        """The share that was fraud among those known, and the ends of its 95 % interval; None before anything is known."""
        if not self.known:
            return None
        return self.fraud / self.known, *wilson(self.fraud, self.known)


async def measure(tx: Tx, now: datetime) -> Sequence[Bypassed]:
    """The sample of the last BYPASS_DAYS, by what would have been done; empty where nothing is let through."""
    first = first_id_at(now - timedelta(days=limits.BYPASS_DAYS))
    rows = await tx.tuples(_sql.bypassed, {"first": first, "limit": limits.BYPASSED})
    return sorted((Bypassed(*row) for row in rows), key=lambda each: (each.currency, each.outcome))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share seen in a sample (Wilson's score interval: it holds for few and for none as well)."""
    share, z2 = hits / of, _Z * _Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z * sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return max(middle - half, 0.0), min(middle + half, 1.0)
