"""Feature values and reasons in words."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from tillkeeper.base.money import format_money
from tillkeeper.risk.features import FEATURES, Feature, Unit
from tillkeeper.risk.rules import Rule

LOCALES: Final = {"zh": "zh_CN", "en": "en"}
_SPANS: Final = ((86_400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min"), (1, "秒", "s"))
_PLAIN: Final = {Unit.SHARE: "{:.1%}", Unit.RATIO: "{:,.1f}", Unit.KM: "{:,.0f} km", Unit.KMH: "{:,.0f} km/h"}
_UNKNOWN: Final = {"zh": "未知", "en": "unknown"}
_ENTITIES: Final = {
    "customer": ("付款人", "the customer"),
    "payee": ("收款方", "the payee"),
    "device": ("设备", "the device"),
    "ip": ("IP 地址", "the ip address"),
}
_OUTCOMES: Final = {"challenge": ("要求验证", "a challenge"), "hold": ("暂扣", "a hold")}
_EFFECTS: Final = {
    "blocked": ("{}在黑名单上", "{} is on the block list"),
    "trusted": ("{}在信任名单上，规则不作数", "{} is on the trust list, so no rule decides"),
    "shadow": ("影子规则 {} 命中，不生效", "the rule {} hit in shadow, without effect"),
    "muted": ("规则 {} 命中，已静默", "the rule {} hit and is muted"),
    "weakened": ("规则 {} 命中过多，降为验证", "the rule {} hit too often and was weakened to a challenge"),
    "bypassed": ("抽样放行，本应{}", "let through as a sample, instead of {}"),
}
_FLAGS: Final = {"zh": ("否", "是"), "en": ("no", "yes")}


def in_words(
    name: str, value: float, reference: str, language: str, catalogue: Mapping[str, Feature] = FEATURES
) -> str:
    """A feature's value as people read it: ¥1,234.00, 3.5 h, 12, yes. `language` is "zh" or "en"."""
    feature = catalogue.get(name)  # of an old receipt it may be gone
    unit = feature.unit if feature else None
    if math.isnan(value):
        return _UNKNOWN[language]
    if unit is Unit.MONEY:
        return format_money(round(value), reference, LOCALES[language])
    if unit is Unit.SECONDS:
        return _span(value, language)
    if unit is Unit.FLAG:
        return _FLAGS[language][value != 0]
    return (_PLAIN.get(unit, "{:,.0f}") if unit else "{:,.6g}").format(value)


def reason_in_words(
    rule: Rule,
    values: Mapping[str, float],
    reference: str,
    language: str,
    catalogue: Mapping[str, Feature] = FEATURES,
) -> str:
    """A rule's reason with the values that made it hit."""
    spoken = {name: in_words(name, value, reference, language, catalogue) for name, value in values.items()}
    return rule.reason(language).format_map(spoken)


def effect_in_words(effect: str, language: str) -> str:
    """What decided beside the rules, or kept one from deciding (see migration 0024), as people read it."""
    kind, _, what = effect.partition(":")
    place = 0 if language == "zh" else 1
    name = (_ENTITIES | _OUTCOMES).get(what, (what, what))[place]
    return _EFFECTS.get(kind, ("{}", "{}"))[place].format(name)


def effects_in_words(effects: Sequence[str], language: str) -> list[tuple[str, str]]:
    """(name, words) of what the payer may hear: that a list names them. What rules did not do is for the team."""
    return [
        (f"block_list_{effect.removeprefix('blocked:')}", effect_in_words(effect, language))
        for effect in effects
        if effect.startswith("blocked:")
    ]


def _span(seconds: float, language: str) -> str:
    for size, zh, en in _SPANS:
        if seconds >= size:
            number = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{number} {zh if language == 'zh' else en}"
    return f"{seconds:.1f} {'秒' if language == 'zh' else 's'}"
