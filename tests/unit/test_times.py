"""Lengths of time and moments, as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from tillkeeper.base.spans import span_seconds
from tillkeeper.faces.cli.output import CliError
from tillkeeper.faces.cli.times import end_of, moment_of, span_of

NOW = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800), ("999999s", 999_999)],
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    assert span_seconds(text) == seconds
    assert span_of("--for", text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "-7d", "07d", "7w", "1.5h", "1234567s", "7D", "７d"])
def test_what_is_no_length_of_time(text: str) -> None:
    assert span_seconds(text) is None
    with pytest.raises(CliError, match=r"--for .*is no length of time"):
        span_of("--for", text)


def test_moments_and_ends() -> None:
    assert moment_of("--from", None) is None
    assert moment_of("--from", "2026-10-01") == NOW
    assert moment_of("--to", "2026-10-01T08:00:00+08:00") == NOW
    assert end_of("--until", "36h", NOW) == NOW + timedelta(hours=36)
    assert end_of("--until", "2026-10-02", NOW) == NOW + timedelta(days=1)
    with pytest.raises(CliError, match="--to yesterday is no time"):
        moment_of("--to", "yesterday")
    with pytest.raises(CliError, match="--until yesterday is no time"):
        end_of("--until", "yesterday", NOW)
