"""Hour, night and weekend on the business's own clock."""

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
LAST_NIGHT_HOUR: Final = 6
EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday; Monday is 0


@lru_cache(maxsize=4096)
def _offset_us(zone: ZoneInfo, quarter: int) -> int:
    moment = datetime.fromtimestamp(quarter * QUARTER_US // 1_000_000, UTC).astimezone(zone)
    return (moment.utcoffset() or timedelta()) // timedelta(microseconds=1)


def hour_night_weekend(at_us: NDArray[np.int64], zone: ZoneInfo) -> NDArray[np.float64]:
    """Three columns for UTC microseconds: hour 0-23, night (hours 0 to 6, as the Handbook has it), weekend."""
    offsets = [_offset_us(zone, quarter) for quarter in (at_us // QUARTER_US).tolist()]
    local = at_us + np.array(offsets, np.int64)
    hour = local // HOUR_US % 24
    weekday = (local // DAY_US + EPOCH_WEEKDAY) % 7
    return np.stack([hour, hour <= LAST_NIGHT_HOUR, weekday >= 5], axis=1).astype(np.float64)
