"""What another rule set would change: rules that come, go, or are written differently."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import msgspec

from tillkeeper.base.clock import from_us
from tillkeeper.risk import Rule, RuleSet

_FIELDS: Final = ("outcome", "when", "on", "shadow", "until_us", "at_most", "version", "zh", "en")
_TIMES: Final[dict[str, Callable[[int], str]]] = {
    "until_us": lambda moment: f"{from_us(moment):%Y-%m-%dT%H:%M:%SZ}",
    "within_us": lambda span: str(timedelta(microseconds=span)),
}


class Change(msgspec.Struct, frozen=True):
    """One rule that differs. `kind`: added, removed or changed; `parts`: (field, before, after) of a changed one."""

    kind: str
    name: str
    before: Rule | None = None
    after: Rule | None = None
    parts: tuple[tuple[str, str, str], ...] = ()


def changes(before: RuleSet, after: RuleSet) -> list[Change]:
    """Removed and changed rules in their old order, then new ones in theirs."""
    old, new = ({rule.name: rule for rule in each.rules} for each in (before, after))
    return [*_of_old(old, new), *(_added(new[name]) for name in new if name not in old)]


def heads(before: RuleSet, after: RuleSet) -> tuple[tuple[str, str, str], ...]:
    """What differs before the rules: (field, before, after)."""
    names = [
        name
        for name in RuleSet.__struct_fields__
        if name not in {"source", "rules", "features", "login_features"}
    ]
    return _differing(names, before, after)


def _added(rule: Rule) -> Change:
    """A new rule, with what it says beyond outcome and condition."""
    plain = msgspec.structs.replace(rule, on=("payment",), shadow=False, until_us=None, at_most=None)
    return Change("added", rule.name, None, rule, _differing(_FIELDS, plain, rule))


def _of_old(old: dict[str, Rule], new: dict[str, Rule]) -> Iterator[Change]:
    for name, rule in old.items():
        if name not in new:
            yield Change("removed", name, rule)
        elif parts := _differing(_FIELDS, rule, new[name]):
            yield Change("changed", name, rule, new[name], parts)


def _differing(
    names: Iterator[str] | list[str] | tuple[str, ...], before: object, after: object
) -> tuple[tuple[str, str, str], ...]:
    pairs = [(name, getattr(before, name, None), getattr(after, name, None)) for name in names]
    return tuple((name, _written(name, old), _written(name, new)) for name, old, new in pairs if old != new)


def _written(name: str, value: Any) -> str:
    """A value as a rules file has it: moments and spans are kept in microseconds, and written as people read them."""
    if value is None:
        return "–"
    if name in _TIMES:
        return _TIMES[name](value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return ", ".join(
            f"{each.removesuffix('_us')} {_written(each, inner)}" for each, inner in value.items()
        )
    return str(value)
