"""Short-lived rules that the machine proposes against an attack. Pure; only a person puts one live."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from tillkeeper.risk.warning.types import Signal


class Draft(msgspec.Struct, frozen=True):
    """A condition against what was seen, its outcome, and why in words. `also`: what a second rule's name ends in."""

    outcome: str
    when: str
    zh: str
    en: str
    on: tuple[str, ...] = ("payment",)
    also: str = ""


def drafts(signal: Signal) -> list[Draft]:
    """What might stop it; none where no rule fits."""
    return [make(signal.evidence) for make in AGAINST.get((signal.kind, signal.about_kind), ())]


def to_watch(signal: Signal) -> str | None:
    """The merchant whose payouts a remedy holds: a rule names nobody, it knows the merchant by the watch list of customers."""
    return signal.about if _its_payouts in AGAINST.get((signal.kind, signal.about_kind), ()) else None


def rule_name(signal: Signal) -> str:
    """The same trouble of a day has the same name."""
    text = "/".join((*signal.key, signal.begun_at.strftime("%Y%m%d%H")))
    return f"watch_{signal.kind}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def as_text(name: str, made: Sequence[Draft], until: datetime) -> str:
    """The text of [[rule]] tables with their end."""
    return "\n".join(_rule(f"{name}{each.also}", each, until) for each in made)


def _rule(name: str, made: Draft, until: datetime) -> str:
    kinds = ", ".join(f'"{each}"' for each in made.on)
    on = f"on = [{kinds}]\n" if made.on != ("payment",) else ""
    return (
        f'[[rule]]\nname = "{name}"\nversion = 1\noutcome = "{made.outcome}"\n{on}when = "{made.when}"\n'
        f"until = {until:%Y-%m-%dT%H:%M:%SZ}\n"
        f'reason.zh = "{made.zh}"\nreason.en = "{made.en}"\n'
    )


def _many_at_device(found: Mapping[str, Any]) -> Draft:
    return Draft(
        "deny",
        f"(device_customers_1h >= 2) & (amount <= {2 * int(found['largest'])})",
        "短期规则（试卡攻击）：该设备一小时内替 {device_customers_1h} 人付款，本笔 {amount}",
        "short-lived rule (card testing): the device paid for {device_customers_1h} people within an hour, now {amount}",
    )


def _new_devices_at_address(found: Mapping[str, Any]) -> Draft:
    least = max(3, int(found["customers"]) // 2)
    return Draft(
        "challenge",
        f"(ip_customers_1h >= {least}) & (device_new == 1) & (amount <= {2 * int(found['largest'])})",
        "短期规则（试卡攻击）：同一地址一小时内 {ip_customers_1h} 位付款人，且设备为首次使用",
        "short-lived rule (card testing): {ip_customers_1h} customers from this address within an hour, on a new device",
    )


def _new_devices_at_merchant(found: Mapping[str, Any]) -> Draft:
    least = max(4, int(found["customers"]) // 2)
    return Draft(
        "challenge",
        f"(payee_customers_1h >= {least}) & (device_new == 1) & (payee_new == 1) & (amount <= {2 * int(found['largest'])})",
        "短期规则（试卡攻击）：该商户一小时内 {payee_customers_1h} 位付款人，本笔设备与收款方均为首次",
        "short-lived rule (card testing): {payee_customers_1h} customers here within an hour, on a new device at a new payee",
    )


def _sales_on_few_phones(found: Mapping[str, Any]) -> Draft:
    share = min(max(int(found["devices"]) / max(int(found["customers"]), 1) * 1.5, 0.3), 0.8)
    return Draft(
        "hold",
        f"(payee_customers_1h >= {max(3, int(found['customers']) // 2)})"
        f" & (payee_devices_1h <= {share:.2f} * payee_customers_1h)",
        "短期规则（商户跑路）：该商户一小时内 {payee_customers_1h} 位付款人共用 {payee_devices_1h} 台设备",
        "short-lived rule (bust-out): {payee_customers_1h} customers paid here within an hour on {payee_devices_1h} devices",
    )


def _its_payouts(found: Mapping[str, Any]) -> Draft:
    # Whom so many pay is a merchant: people who are watched for reasons of their own shall not wait for it.
    return Draft(
        "hold",
        f"(customer_watched == 1) & (received_customers_7d >= {max(3, int(found['customers']) // 2)})",
        "短期规则（商户跑路）：受观察的商户请求出款 {amount}，七天内 {received_customers_7d} 位付款人向其付款",
        "short-lived rule (bust-out): a watched merchant that {received_customers_7d} customers paid within 7 days"
        " wants {amount} paid out",
        on=("withdrawal",),
        also="_payouts",
    )


def _money_passed_on(found: Mapping[str, Any]) -> Draft:
    least = max(30_000, int(found.get("smallest", 0)) // 2)
    return Draft(
        "hold",
        f"((is_send == 1) | (is_withdrawal == 1)) & (received_sum_1h >= {least})"
        " & (customer_sum_1h >= 0.7 * received_sum_1h) & (customer_count_30d <= 12)",
        "短期规则（跑分网络）：几无往来的账户一小时内收到 {received_sum_1h}，随即转出或提现 {customer_sum_1h}",
        "short-lived rule (mule network): an account that does little else received {received_sum_1h} within an hour,"
        " and {customer_sum_1h} leaves it",
        on=("payment", "withdrawal"),
    )


def _new_devices(_: Mapping[str, Any]) -> Draft:
    return Draft(
        "challenge",
        "(device_new == 1) & (payee_new == 1) & (customer_devices_30d >= 2)",
        "短期规则（新设备激增）：付款人以新设备向新收款方付款",
        "short-lived rule (many new devices): a customer pays a new payee on a new device",
    )


def _logins_fail(found: Mapping[str, Any]) -> Draft:
    least = max(5, int(found["failed"]) // 2)
    return Draft(
        "block",
        f"ip_logins_failed_1h >= {least}",
        "短期规则（撞库）：该地址一小时内登录失败 {ip_logins_failed_1h} 次",
        "short-lived rule (credential stuffing): {ip_logins_failed_1h} failed logins from this address within an hour",
        on=("login",),
    )


AGAINST: Final[Mapping[tuple[str, str], tuple[Callable[[Mapping[str, Any]], Draft], ...]]] = {
    ("card_testing", "device"): (_many_at_device,),
    ("card_testing", "ip"): (_new_devices_at_address,),
    ("card_testing", "merchant"): (_new_devices_at_merchant,),
    ("merchant_bust_out", "merchant"): (_sales_on_few_phones, _its_payouts),
    ("mule_network", "customer"): (_money_passed_on,),
    ("new_device_share", ""): (_new_devices,),
    ("credential_stuffing", "ip"): (_logins_fail,),
}
