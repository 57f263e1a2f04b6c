"""Values and reasons in words; hours on the business's clock."""

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tillkeeper.base.clock import to_us
from tillkeeper.risk import FEATURES, windows
from tillkeeper.risk.daytime import hour_weekday
from tillkeeper.risk.words import in_words


@pytest.mark.parametrize(
    ("name", "value", "zh", "en"),
    [
        ("amount", 123_456.0, "¥1,234.56", "CN¥1,234.56"),
        ("customer_count_1h", 1200.0, "1,200", "1,200"),
        ("payee_risk_7d", 0.3333, "33.3%", "33.3%"),
        ("ratio", 12.345, "12.3", "12.3"),
        ("distance_km", 1067.4, "1,067 km", "1,067 km"),
        ("speed_kmh", 990.0, "990 km/h", "990 km/h"),
        ("is_send", 1.0, "是", "yes"),
        ("night", 0.0, "否", "no"),
        ("since_last_s", 0.25, "0.2 秒", "0.2 s"),
        ("since_last_s", 59.0, "59 秒", "59 s"),
        ("device_age_s", 90.0, "1.5 分钟", "1.5 min"),
        ("device_age_s", 7200.0, "2 小时", "2 h"),
        ("payee_age_s", 604_800.0, "7 天", "7 d"),
        ("hour", 23.0, "23", "23"),
        ("device_age_s", math.nan, "未知", "unknown"),
    ],
)
def test_values(name: str, value: float, zh: str, en: str) -> None:
    assert in_words(name, value, "CNY", "zh") == zh
    assert in_words(name, value, "CNY", "en") == en


def test_every_feature_has_words() -> None:
    assert len(FEATURES) >= windows.COLUMNS == 155
    assert [feature.index for feature in FEATURES.values()] == list(range(len(FEATURES)))
    for name, feature in FEATURES.items():
        assert feature.zh
        assert feature.en
        assert in_words(name, 1.0, "EUR", "en")


@pytest.mark.parametrize(
    ("moment", "zone", "hour", "night", "weekend"),
    [
        ((2026, 4, 17, 15, 59), "Asia/Shanghai", 23, 0, 0),  # Friday, one minute to midnight
        ((2026, 4, 17, 16, 0), "Asia/Shanghai", 0, 1, 1),  # Saturday
        ((2026, 4, 19, 22, 59), "Asia/Shanghai", 6, 1, 0),  # Monday morning
        ((2026, 4, 19, 23, 0), "Asia/Shanghai", 7, 0, 0),
        ((2026, 3, 29, 0, 59), "Europe/Paris", 1, 1, 1),  # before the clocks go forward
        ((2026, 3, 29, 1, 0), "Europe/Paris", 3, 1, 1),
        ((2026, 10, 25, 1, 0), "Europe/Paris", 2, 1, 1),  # the second 2 o'clock
        ((2026, 4, 15, 18, 15), "Asia/Kathmandu", 0, 1, 0),  # UTC+5:45
        ((1969, 12, 31, 23, 0), "UTC", 23, 0, 0),  # Wednesday, before the epoch
    ],
)
def test_hours(moment: tuple[int, ...], zone: str, hour: int, night: int, weekend: int) -> None:
    at = to_us(datetime(*moment, tzinfo=UTC))  # type: ignore[arg-type,misc]
    hours, weekdays = hour_weekday(np.array([at, at]), ZoneInfo(zone))
    assert hours.tolist() == [hour] * 2
    assert (weekdays >= 5).tolist() == [bool(weekend)] * 2
    assert (hours <= 6).tolist() == [bool(night)] * 2
