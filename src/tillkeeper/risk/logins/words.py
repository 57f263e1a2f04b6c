"""What speaks against a login, in words."""

from typing import Final

REASONS: Final[dict[str, tuple[str, str]]] = {
    "no_history": ("该用户还没有可比较的登录", "nothing is known yet of how this customer logs in"),
    "new_address": ("从未用过的 IP 地址", "an address that the customer never came from"),
    "new_network": ("从未用过的网络", "a network that the customer never came from"),
    "new_country": ("从未登录过的国家或地区", "a country that the customer never came from"),
    "new_browser": ("从未用过的浏览器", "a browser that the customer never used"),
    "new_system": ("从未用过的操作系统或设备类型", "a system or kind of device that the customer never used"),
    "new_device": ("从未用过的设备", "a device that the customer never used"),
    "unusual_hour": ("很少登录的时段", "an hour at which the customer hardly ever comes"),
    "new_place": ("从未出现过的地区", "a place far from where the customer ever was"),
}
"""Names of reasons: Chinese and English. Other names are those of rules."""

OUTCOME_WORDS: Final[dict[str, tuple[str, str]]] = {
    "allow": ("放行", "allow"),
    "ask_again": ("再次验证", "ask again"),
    "block": ("拦截", "block"),
}


def reason_words(name: str, language: str = "en") -> str:
    """A reason in words; a rule's name stands for itself. `language`: "zh" or "en"."""
    found = REASONS.get(name)
    if found is None:
        return name
    return found[0] if language == "zh" else found[1]
