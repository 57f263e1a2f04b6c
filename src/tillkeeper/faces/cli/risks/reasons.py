"""What several commands of risk are told: a reason, an end, whom it is about."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tillkeeper.base import limits
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.faces.cli.output import CliError

ENTITIES: Final = ("customer", "payee", "device", "ip")
_SPANS: Final = {"m": 60, "h": 3600, "d": 86_400}


def reason_of(text: str, *, needed: bool = False) -> str:
    """A reason as given. Raises CliError for one that must not be kept, or is missing."""
    if needed and not text.strip():
        raise CliError("say why: --reason", f"1 to {limits.MAX_TEXT} characters, without personal data")
    if len(text) > limits.MAX_TEXT:
        raise CliError(f"--reason is longer than {limits.MAX_TEXT} characters", "ids and dates say enough")
    if refusal := gossip(text):
        raise CliError(refusal.title, refusal.detail)
    return text.strip()


def end_of(text: str | None, now: datetime) -> datetime | None:
    """When "90m", "24h", "7d" or an ISO 8601 moment is; None for none. Raises CliError."""
    if text is None:
        return None
    if text[:-1].isdecimal() and text[-1:] in _SPANS and len(text) < 8:
        return now + timedelta(seconds=int(text[:-1]) * _SPANS[text[-1]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(f"{text[:40]!r} is no end", "write 90m, 24h, 7d or 2026-12-01T00:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def key_of(entity: str, text: str) -> str:
    """What a list keeps of an entity that was named. Raises CliError."""
    if entity not in ENTITIES:
        raise CliError(f"{entity[:40]!r} is no entity", f"one of {', '.join(ENTITIES)}")
    if entity in ("device", "ip"):
        return text
    for prefix in ("cus", "mer"):
        try:
            return str(from_typeid(prefix, text))
        except BadIdError:
            continue
    raise CliError(f"{text[:60]!r} is no customer's or merchant's id", "they begin with cus_ or mer_")
