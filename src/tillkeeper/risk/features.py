"""The columns of the decision matrix: their order, names, units, and what they say in words.

Money is in minor units of the rule set's reference currency. A value that cannot be known (no device was given, the
customer has no past) is NaN: every comparison with it is false, so a rule asks for what it needs to be known.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from tillkeeper.risk import windows

WINDOWS: Final = dict(zip(("1m", "1h", "24h", "7d", "30d"), windows.SPANS, strict=True))
"""Name and length in microseconds of each sliding window (t - w, t]; the current payment is inside."""

DELAYED: Final = dict(zip(("1d", "7d", "30d"), windows.DELAYED_SPANS, strict=True))
"""The windows of a payee's fraud rate, shifted back by the label delay: (t - delay - w, t - delay]."""

KINDS: Final = ("customer", "payee", "device", "ip")
OTHERS: Final = {
    "customer": ("payees", "devices"),
    "payee": ("customers", "devices"),
    "device": ("customers", "payees"),
    "ip": ("customers", "devices"),
}
"""Whose distinct counterparties are counted, per kind of profile."""


class Unit(StrEnum):
    """How a feature's value is read and shown."""

    COUNT = "count"
    MONEY = "money"
    RATIO = "ratio"
    SHARE = "share"
    SECONDS = "seconds"
    KM = "km"
    KMH = "km/h"
    FLAG = "flag"
    HOUR = "hour"


class Feature(msgspec.Struct, frozen=True):
    """One column: its place in the matrix, its unit, and its meaning in Chinese and English."""

    index: int
    name: str
    unit: Unit
    zh: str
    en: str


_WHO: Final = {"customer": ("付款人", "the customer"), "payee": ("收款方", "the payee"), "device": ("设备", "the device"),
               "ip": ("IP 地址", "the ip address")}  # fmt: skip
_OTHER_WORDS: Final = {
    "payees": ("收款方", "payees"),
    "devices": ("设备", "devices"),
    "customers": ("付款人", "customers"),
}
_WINDOW_WORDS: Final = {"1m": ("1 分钟", "1 minute"), "1h": ("1 小时", "1 hour"), "24h": ("24 小时", "24 hours"),
                        "7d": ("7 天", "7 days"), "30d": ("30 天", "30 days"), "1d": ("1 天", "1 day")}  # fmt: skip

Column = tuple[str, Unit, str, str]


def _window_columns(kind: str) -> list[Column]:
    zh, en = _WHO[kind]
    measures: list[Column] = [
        ("count", Unit.COUNT, "笔数", "payments"),
        ("sum", Unit.MONEY, "合计金额", "amount in all"),
        ("mean", Unit.MONEY, "平均金额", "mean amount"),
        ("max", Unit.MONEY, "最大金额", "largest amount"),
    ]
    for other in OTHERS[kind]:
        other_zh, other_en = _OTHER_WORDS[other]
        measures.append((other, Unit.COUNT, f"不同{other_zh}数", f"distinct {other_en}"))
    return [
        (
            f"{kind}_{measure}_{window}",
            unit,
            f"{zh} {_WINDOW_WORDS[window][0]}内{zh_measure}",
            f"{en_measure} of {en} within {_WINDOW_WORDS[window][1]}",
        )
        for measure, unit, zh_measure, en_measure in measures
        for window in WINDOWS
    ]


def _received_columns() -> list[Column]:
    measures = (
        ("count", Unit.COUNT, "收款笔数", "payments received by the customer"),
        ("sum", Unit.MONEY, "收款金额", "amount received by the customer"),
        ("customers", Unit.COUNT, "不同汇入人数", "distinct people who paid the customer"),
    )
    return [
        (
            f"received_{measure}_{window}",
            unit,
            f"付款人 {_WINDOW_WORDS[window][0]}内{zh}",
            f"{en} within {words}",
        )
        for measure, unit, zh, en in measures
        for window in WINDOWS
        for words in [_WINDOW_WORDS[window][1]]
    ]


def _risk_columns() -> list[Column]:
    measures = (
        ("settled", Unit.COUNT, "已过标签延迟期的笔数", "payments of the payee old enough to be judged"),
        ("frauds", Unit.COUNT, "其中已知欺诈笔数", "known frauds among the payee's judged payments"),
        ("risk", Unit.SHARE, "收款方欺诈率", "fraud rate of the payee"),
    )
    return [
        (
            f"payee_{measure}_{window}",
            unit,
            f"{zh}（{zh_words}，延迟 7 天）",
            f"{en}, {words}, 7 days delayed",
        )
        for measure, unit, zh, en in measures
        for window in DELAYED
        for zh_words, words in [_WINDOW_WORDS[window]]
    ]


_SINGLE: Final[list[Column]] = [
    ("amount", Unit.MONEY, "本笔金额", "this amount"),
    ("ratio", Unit.RATIO, "本笔金额与付款人过去 30 天均值之比", "this amount over the customer's past 30-day mean"),
    ("z_score", Unit.RATIO, "本笔金额相对付款人过去 30 天的标准分",
     "z-score of this amount against the customer's past 30 days"),
    ("since_last_s", Unit.SECONDS, "距付款人上一笔的时间", "time since the customer's previous payment"),
    ("payee_age_s", Unit.SECONDS, "付款人首次向该收款方付款至今（最多 7 天）",
     "time since the customer first paid this payee, at most 7 days"),
    ("device_age_s", Unit.SECONDS, "付款人首次使用该设备至今（最多 7 天）",
     "time since the customer first used this device, at most 7 days"),
    ("payee_new", Unit.FLAG, "付款人 30 天内未向该收款方付过款", "the customer has not paid this payee for 30 days"),
    ("device_new", Unit.FLAG, "付款人 30 天内未用过该设备", "the customer has not used this device for 30 days"),
    ("distance_km", Unit.KM, "距付款人上一地点", "distance from the customer's last place"),
    ("speed_kmh", Unit.KMH, "自上一地点的移动速度", "speed since the customer's last place"),
    ("late_s", Unit.SECONDS, "本笔早于付款人最新一笔的时间", "how far this payment lies behind the customer's newest"),
    ("hour", Unit.HOUR, "当地小时", "hour of the business day"),
    ("night", Unit.FLAG, "夜间（0 至 6 点）", "night, the hours 0 to 6"),
    ("weekend", Unit.FLAG, "周末", "weekend"),
    ("is_send", Unit.FLAG, "个人转账", "a transfer to a person"),
]  # fmt: skip

# Filled by the engine after the profiles were read: 0 and NaN until then.
_ENGINE: Final[list[Column]] = [
    ("is_withdrawal", Unit.FLAG, "提现", "a withdrawal"),
    ("customer_watched", Unit.FLAG, "付款人在关注名单上", "the customer is on a watch list"),
    ("payee_watched", Unit.FLAG, "收款方在关注名单上", "the payee is on a watch list"),
    ("device_watched", Unit.FLAG, "设备在关注名单上", "the device is on a watch list"),
    ("ip_watched", Unit.FLAG, "IP 地址在关注名单上", "the ip address is on a watch list"),
    ("anomaly_score", Unit.SHARE, "异常分（无监督，0 至 1）", "how unusual this is, without labels, 0 to 1"),
    ("model_score", Unit.SHARE, "模型给出的欺诈概率", "probability of fraud by the model in force"),
]


class Catalogue(Mapping[str, Feature]):
    """Features by name, in the order of the matrix's columns. Never changed: `with_` makes a longer one."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = {feature.name: feature for feature in features}

    def __getitem__(self, name: str) -> Feature:
        return self._features[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)


def _all() -> Catalogue:
    columns = [column for kind in KINDS for column in _window_columns(kind)]
    columns += _received_columns() + _risk_columns() + _SINGLE + _ENGINE
    return Catalogue([Feature(index, *column) for index, column in enumerate(columns)])


FEATURES: Final = _all()
"""Every feature that comes with the package."""

# The compiled windows write columns by number (windows.py says why it cannot import their names).
assert [
    FEATURES[name].index for name in ("payee_count_1m", "received_count_1m", "payee_settled_1d", "amount")
] == [
    windows.BLOCK,
    windows.RECEIVED,
    windows.SETTLED,
    windows.AMOUNT,
]
assert [
    FEATURES[name].index for name in ("ratio", "z_score", "since_last_s", "payee_age_s", "payee_new")
] == [
    windows.RATIO,
    windows.Z_SCORE,
    windows.SINCE_LAST,
    windows.AGE,
    windows.NEW,
]
assert [FEATURES[name].index for name in ("distance_km", "speed_kmh", "late_s")] == [
    windows.DISTANCE,
    windows.SPEED,
    windows.LATE,
]
