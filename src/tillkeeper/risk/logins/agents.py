"""What a User-Agent says: browser, system and kind of device, by the tables of ua-parser."""

import hashlib
from functools import lru_cache
from typing import Final

from ua_parser import parse

from tillkeeper.base import limits
from tillkeeper.risk.logins.types import Agent

NONE: Final = Agent()
_DESKTOPS: Final = ("Windows", "Mac OS X", "Linux", "Ubuntu", "Chrome OS", "Fedora", "Debian", "FreeBSD")
_TABLETS: Final = ("iPad", "Tablet", "Tab ", "Kindle")


def agent_of(text: str | None) -> Agent:
    """The program behind a User-Agent; NONE where none was given."""
    return _agent_of(text) if text else NONE


@lru_cache(maxsize=limits.AGENTS_REMEMBERED)
def _agent_of(text: str) -> Agent:
    found = parse(text[: limits.MAX_USER_AGENT])
    browser = found.user_agent.family if found.user_agent else "unknown"
    system = found.os.family if found.os else "unknown"
    device = found.device.family if found.device else ""
    digest = hashlib.sha256(text.encode()).digest()[:8]
    return Agent(digest, browser, system, _kind(text, system, device))


def _kind(text: str, system: str, device: str) -> str:
    if device == "Spider":
        return "robot"
    if any(word in device or word in text for word in _TABLETS):
        return "tablet"
    if system in _DESKTOPS:
        return "desktop"
    if "Mobile" in text or system in ("Android", "iOS", "HarmonyOS"):
        return "phone"
    return "other"
