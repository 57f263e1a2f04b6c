"""Lengths of time as people write them: 90s, 30m, 24h, 7d."""

import re
from typing import Final

SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FORM: Final = re.compile(r"(0|[1-9][0-9]{0,5})([smhd])")


def span_seconds(text: str) -> int | None:
    """How many seconds "90s", "30m", "24h" or "7d" are; None of anything else."""
    found = _FORM.fullmatch(text)
    return int(found[1]) * SECONDS[found[2]] if found else None
