"""Times as commands are told them: a length, a moment, an end."""

from datetime import UTC, datetime, timedelta

from tillkeeper.base.spans import span_seconds
from tillkeeper.faces.cli.output import CliError

_SPANS = "90m, 24h or 7d"
_MOMENTS = "2026-11-22 or 2026-11-22T14:30:00+08:00"


def span_of(option: str, text: str) -> timedelta:
    """A length of time, 7d. Raises CliError."""
    seconds = span_seconds(text)
    if seconds is None:
        raise CliError(f"{option} {text[:40]} is no length of time", f"write it as {_SPANS}")
    return timedelta(seconds=seconds)


def moment_of(option: str, text: str | None) -> datetime | None:
    """A moment, 2026-11-22T14:30:00+08:00; without a zone it is UTC. None of none. Raises CliError."""
    return None if text is None else _moment(option, text, f"write it as {_MOMENTS}")


def end_of(option: str, text: str, now: datetime) -> datetime:
    """An end: so long from now, or a moment. Raises CliError."""
    seconds = span_seconds(text)
    if seconds is not None:
        return now + timedelta(seconds=seconds)
    return _moment(option, text, f"write it as {_SPANS}, or as {_MOMENTS}")


def _moment(option: str, text: str, remedy: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # an hour of another zone may be before the year 1
        raise CliError(f"{option} {text[:40]} is no time", remedy) from error
