"""The columns of the decision matrix: their order, names, units, and what they say in words.

Money is in minor units of the rule set's reference currency. A value that cannot be known (no device was given, the
customer has no past) is NaN: every comparison with it is false, so a rule asks for what it needs to be known.

What there is stands in declared/*.toml; declarations.py says how it is written. An installation declares more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tillkeeper.risk import windows
from tillkeeper.risk.declarations import Declaration, Unit, read_declarations

__all__ = [
    "DELAYED",
    "FEATURES",
    "KINDS",
    "OTHERS",
    "WINDOWS",
    "Catalogue",
    "Feature",
    "Unit",
    "window_column",
]

WINDOWS: Final = dict(zip(("1m", "1h", "24h", "7d", "30d"), windows.SPANS, strict=True))
"""Name and length in microseconds of each sliding window (t - w, t]; the current payment is inside."""

DELAYED: Final = dict(zip(("1d", "7d", "30d"), windows.DELAYED_SPANS, strict=True))
"""The windows of a payee's fraud rate, shifted back by the label delay: (t - delay - w, t - delay]."""

KINDS: Final = ("customer", "payee", "device", "ip")
OTHERS: Final = {
    "customer": ("payees", "devices"),
    "payee": ("customers", "devices"),
    "device": ("customers", "payees"),
    "ip": ("customers", "devices"),
}
"""Whose distinct counterparties are counted, per kind of profile."""

_SPANS: Final = list(WINDOWS.values())
_DELAYED_SPANS: Final = list(DELAYED.values())
_OF_PAST: Final = {
    ("ratio", "amount"): windows.RATIO,
    ("z_score", "amount"): windows.Z_SCORE,
    ("age", ""): windows.SINCE_LAST,
    ("distance", ""): windows.DISTANCE,
    ("speed", ""): windows.SPEED,
}
_OF_PAIRS: Final = {
    ("known_for", "payee"): windows.AGE,
    ("known_for", "device"): windows.AGE + 1,
    ("new", "payee"): windows.NEW,
    ("new", "device"): windows.NEW + 1,
}
_OF_THIS: Final = {"this_amount": windows.AMOUNT, "this_late_s": windows.LATE}
_SETTLED: Final = ("count", "frauds", "rate")
_RECEIVED: Final = (("count", ""), ("sum", "amount"), ("distinct", "customer"))
_MEASURES: Final = (("count", ""), ("sum", "amount"), ("mean", "amount"), ("max", "amount"))


class Feature(msgspec.Struct, frozen=True):
    """One column: its place in the matrix, its unit, its meaning in Chinese and English, and how it is declared."""

    index: int
    name: str
    unit: Unit
    zh: str
    en: str
    declaration: Declaration | None = None


class Catalogue(Mapping[str, Feature]):
    """Features by name, in the order of the matrix's columns. Never changed: `with_` makes a longer one."""

    def __init__(self, declarations: Iterable[Declaration]) -> None:
        self.declarations = tuple(declarations)
        self._features = {
            one.name: Feature(index, one.name, one.unit, one.zh, one.en, one)
            for index, one in enumerate(self.declarations)
        }
        if len(self._features) != len(self.declarations):
            raise ValueError("two features have one name")

    def __getitem__(self, name: str) -> Feature:
        return self._features[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    def __eq__(self, other: object) -> bool:
        """Two catalogues of the same declarations are the same."""
        return isinstance(other, Catalogue) and self.declarations == other.declarations

    def __hash__(self) -> int:
        """Of the declarations."""
        return hash(self.declarations)

    def with_(self, declarations: Sequence[Declaration]) -> "Catalogue":
        """These features, and on top those that are declared beside them."""
        return Catalogue(self.declarations + tuple(declarations)) if declarations else self

    def reading(self, names: Iterable[str]) -> frozenset[str]:
        """The names, and all features they are computed from."""
        found, asked = set[str](), list(names)
        while asked:
            name = asked.pop()
            if name in self._features and name not in found:
                found.add(name)
                asked += self.declarations[self._features[name].index].reads()
        return frozenset(found)


def window_column(one: Declaration) -> int | None:
    """The column in which the compiled windows keep exactly what is declared; None if they do not."""
    if one.value:
        return _OF_THIS.get(one.value.source)
    if one.event != "payment" or one.where or not one.aggregate:
        return None
    if one.delay_us:
        return _settled_column(one)
    if one.frauds:
        return None
    if one.past or one.aggregate in {"known_for", "new"}:
        held = one.entity == "customer" and one.window_us == _SPANS[-1]
        found = (_OF_PAST if one.past else _OF_PAIRS).get((one.aggregate, one.of))
        return found if held else None
    return _block_column(one)


def _settled_column(one: Declaration) -> int | None:
    held = one.entity == "payee" and not one.of and not one.past and one.delay_us == windows.DELAY
    if not held or one.window_us not in _DELAYED_SPANS or one.aggregate not in _SETTLED:
        return None
    if one.frauds != (one.aggregate != "count"):
        return None
    return windows.SETTLED + 3 * _SETTLED.index(one.aggregate) + _DELAYED_SPANS.index(one.window_us)


def _block_column(one: Declaration) -> int | None:
    if one.window_us not in _SPANS:
        return None
    begin = windows.RECEIVED
    measures: tuple[tuple[str, str], ...] = _RECEIVED
    if one.entity in KINDS:
        begin = KINDS.index(one.entity) * windows.BLOCK
        measures = (*_MEASURES, *(("distinct", other.removesuffix("s")) for other in OTHERS[one.entity]))
    if (one.aggregate, one.of) not in measures:
        return None
    return begin + measures.index((one.aggregate, one.of)) * len(_SPANS) + _SPANS.index(one.window_us)


def _packaged() -> Catalogue:
    found = Catalogue([])
    for name in ("windows.toml", "features.toml"):
        source = (Path(__file__).parent / "declared" / name).read_text("utf-8")
        found = found.with_(read_declarations(source, name, tuple(found)))
    return found


FEATURES: Final = _packaged()
"""Every feature that comes with the package."""

# The compiled windows write columns by number (windows.py says why it cannot import their names).
for _feature in list(FEATURES.values())[: windows.COLUMNS]:
    assert _feature.declaration, _feature
    assert window_column(_feature.declaration) in {_feature.index, None}, _feature
