"""Feature values and reasons in words."""

import math
from collections.abc import Mapping
from typing import Final

from tillkeeper.base.money import format_money
from tillkeeper.risk.features import FEATURES, Unit
from tillkeeper.risk.rules import Rule

LOCALES: Final = {"zh": "zh_CN", "en": "en"}
_SPANS: Final = ((86_400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min"), (1, "秒", "s"))
_UNKNOWN: Final = {"zh": "未知", "en": "unknown"}
_FLAGS: Final = {"zh": ("否", "是"), "en": ("no", "yes")}


def in_words(name: str, value: float, reference: str, language: str) -> str:
    """A feature's value as people read it: ¥1,234.00, 3.5 h, 12, yes. `language` is "zh" or "en"."""
    if math.isnan(value):
        return _UNKNOWN[language]
    match FEATURES[name].unit:
        case Unit.MONEY:
            return format_money(round(value), reference, LOCALES[language])
        case Unit.SECONDS:
            return _span(value, language)
        case Unit.FLAG:
            return _FLAGS[language][value != 0]
        case Unit.SHARE:
            return f"{value:.1%}"
        case Unit.RATIO:
            return f"{value:,.1f}"
        case Unit.KM:
            return f"{value:,.0f} km"
        case Unit.KMH:
            return f"{value:,.0f} km/h"
        case _:
            return f"{value:,.0f}"


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
