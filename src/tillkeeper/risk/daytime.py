"""Hour and day of the week on the business's own clock."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
# Every zone's offset since 1972 changes at a quarter of an hour UTC, so one look-up serves a quarter.
QUARTER_US: Final = HOUR_US // 4
EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday; Monday is 0


@lru_cache(maxsize=4096)
def _offset_us(zone: ZoneInfo, quarter: int) -> int:
    moment = datetime.fromtimestamp(quarter * QUARTER_US // 1_000_000, UTC).astimezone(zone)
    return (moment.utcoffset() or timedelta()) // timedelta(microseconds=1)


def hour_weekday(at_us: NDArray[np.int64], zone: ZoneInfo) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hour 0 to 23 and day of the week, Monday being 0, of UTC microseconds."""
    offsets = [_offset_us(zone, quarter) for quarter in (at_us // QUARTER_US).tolist()]
    local = at_us + np.array(offsets, np.int64)
    hour = local // HOUR_US % 24
    weekday = (local // DAY_US + EPOCH_WEEKDAY) % 7
    return hour.astype(np.float64), weekday.astype(np.float64)
