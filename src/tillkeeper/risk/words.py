"""Feature values and reasons in words."""

import math
from collections.abc import Mapping
from typing import Final

from tillkeeper.base.money import format_money
from tillkeeper.risk.features import FEATURES, Unit
from tillkeeper.risk.rules import Rule

LOCALES: Final = {"zh": "zh_CN", "en": "en"}
_SPANS: Final = ((86_400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min"), (1, "秒", "s"))
_PLAIN: Final = {Unit.SHARE: "{:.1%}", Unit.RATIO: "{:,.1f}", Unit.KM: "{:,.0f} km", Unit.KMH: "{:,.0f} km/h"}
_UNKNOWN: Final = {"zh": "未知", "en": "unknown"}
_FLAGS: Final = {"zh": ("否", "是"), "en": ("no", "yes")}


def in_words(name: str, value: float, reference: str, language: str) -> str:
    """A feature's value as people read it: ¥1,234.00, 3.5 h, 12, yes. `language` is "zh" or "en"."""
    unit = FEATURES[name].unit
    if math.isnan(value):
        return _UNKNOWN[language]
    if unit is Unit.MONEY:
        return format_money(round(value), reference, LOCALES[language])
    if unit is Unit.SECONDS:
        return _span(value, language)
    if unit is Unit.FLAG:
        return _FLAGS[language][value != 0]
    return _PLAIN.get(unit, "{:,.0f}").format(value)


def reason_in_words(rule: Rule, values: Mapping[str, float], reference: str, language: str) -> str:
    """A rule's reason with the values that made it hit."""
    spoken = {name: in_words(name, value, reference, language) for name, value in values.items()}
    return rule.reason(language).format_map(spoken)


def _span(seconds: float, language: str) -> str:
    for size, zh, en in _SPANS:
        if seconds >= size:
            number = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{number} {zh if language == 'zh' else en}"
    return f"{seconds:.1f} {'秒' if language == 'zh' else 's'}"
