"""Signals in words. `language`: "zh" or "en"."""

from collections.abc import Mapping
from typing import Final

from tillkeeper.base.money import format_money
from tillkeeper.risk.warning.types import Signal

_LOCALES: Final = {"zh": "zh_CN", "en": "en"}
_ABOUT: Final[Mapping[str, tuple[str, str]]] = {
    "": ("全平台", "the platform"),
    "rule": ("规则", "rule"),
    "customer": ("客户", "customer"),
    "merchant": ("商户", "merchant"),
    "device": ("设备", "device"),
    "ip": ("IP 地址", "address"),
    "network": ("网络", "network"),
}
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "rule_hit_rate": ("规则命中率偏高", "A rule hits more often than usual"),
    "rule_hit_rate_low": ("规则命中率偏低", "A rule hits less often than usual"),
    "decline_rate": ("拒绝率偏高", "More payments than usual are held or denied"),
    "decline_rate_low": ("拒绝率偏低", "Fewer payments than usual are held or denied"),
    "new_device_share": ("新设备占比偏高", "More payments than usual come from new devices"),
    "login_failures": ("登录失败率偏高", "More logins than usual fail"),
    "fraud_money": ("已知欺诈金额偏高", "More money than usual turns out to be fraud"),
    "card_testing": ("试卡攻击", "Card testing"),
    "credential_stuffing": ("撞库", "Credential stuffing"),
    "mule_network": ("跑分网络", "Mule network"),
    "merchant_bust_out": ("商户跑路", "Merchant bust-out"),
    "breaker_open": ("规则熔断", "A rule's circuit breaker is open"),
}
KINDS: Final = tuple(_KINDS)
"""Every kind of signal."""


def kind_in_words(kind: str, language: str) -> str:
    """What kind of trouble it is; a kind of a later release is its own name."""
    zh, en = _KINDS.get(kind, (kind, kind))
    return zh if language == "zh" else en


def about_in_words(about_kind: str, language: str) -> str:
    """What it is about, without its name."""
    zh, en = _ABOUT[about_kind]
    return zh if language == "zh" else en


def said(signal: Signal, language: str) -> str:
    """What was seen, in one sentence."""
    made = _SAID.get(signal.kind)
    if made is None:
        made = _STREAM if signal.usual is not None else _OTHER
    words = dict.fromkeys(
        ("customers", "failed", "opened", "devices", "sales", "passers", "trials", "hits"), "–"
    )
    words |= {name: f"{value:,}" for name, value in signal.evidence.items() if isinstance(value, int)}
    money = (
        format_money(signal.money, signal.currency, _LOCALES[language]) if signal.currency.strip() else "–"
    )
    for name in ("median", "largest", "inside"):
        amount = signal.evidence.get(name)
        words[name] = (
            format_money(amount, signal.currency, _LOCALES[language]) if isinstance(amount, int) else "–"
        )
    times = f"{signal.value / signal.usual:,.1f}" if signal.usual else "–"
    words |= {"money": money, "events": f"{signal.events:,}", "times": times}
    words |= {"value": _share(signal.value), "usual": _share(signal.usual), "network": f"{signal.value:,.0f}"}
    return made[0 if language == "zh" else 1].format_map(words)


def _share(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2%}" if abs(value) <= 1 else f"{value:,.0f}"


_STREAM: Final = (
    "{trials} 次中 {hits} 次，即 {value}，平常为 {usual}（{times} 倍）",
    "{hits} of {trials}, {value}; usually {usual} ({times} times)",
)
_OTHER: Final = ("{events} 次", "{events} events")
_SAID: Final[Mapping[str, tuple[str, str]]] = {
    "card_testing": (
        "{customers} 位付款人在此试付 {events} 笔（中位 {median}），已付出 {money}",
        "{customers} customers' wallets were tried here in {events} payments (median {median}); {money} went through",
    ),
    "credential_stuffing": (
        "{failed} 位客户在此登录失败，{opened} 个账户被登入",
        "{failed} customers failed to log in here, {opened} accounts were opened",
    ),
    "mule_network": (
        "{network} 个账户相互关联，其中 {passers} 个把收到的钱随即转出，已转 {money}；账户内尚有 {inside} 可止付",
        "{network} accounts belong together, {passers} of them pass on what they receive: {money}; {inside} can still be held",
    ),
    "merchant_bust_out": (
        "{sales} 笔来自 {customers} 位付款人、{devices} 台设备，已付出 {money}，均额为平常的 {times} 倍",
        "{sales} sales to {customers} customers on {devices} devices, {money} went through, {times} times the usual amount",
    ),
    "fraud_money": (
        "已知欺诈 {money}，是平常的 {times} 倍",
        "{money} turned out to be fraud, {times} times the usual",
    ),
    "breaker_open": (
        "命中 {hits} 次，超过上限，规则已减弱为验证",
        "{hits} hits were more than it may have: the rule only challenges now",
    ),
}
