"""Figures with their units, as people read them."""

from typing import Final

from tillkeeper.faces.console.texts import Texts
from tillkeeper.monitoring import alerting

_BYTES: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_TIME: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def written(value: float | None, unit: str, texts: Texts) -> str:
    """A value in the unit that its catalogue names, in the largest that fits; – for what is not known."""
    if value is None:
        return "–"
    if unit == "percent":
        return f"{alerting.figure(value)}{texts('unit.percent')}"
    if unit in ("seconds", "hours"):
        seconds = value * (3600 if unit == "hours" else 1)
        size, name = next((each for each in _TIME if seconds >= each[0]), _TIME[-1])
        return texts(f"unit.{name}", value=alerting.figure(round(seconds / size, 1)))
    if unit == "ms":
        return texts("unit.ms", value=alerting.figure(value))
    if unit == "bytes":
        size, name = next((each for each in _BYTES if value >= each[0]), (1, "B"))
        return f"{alerting.figure(round(value / size, 1))} {name}"
    return alerting.figure(value)
