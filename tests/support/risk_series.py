"""The simpler judge of declared features: by definition, from a plain list of everything that happened."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from tillkeeper.risk import Attempt, Declaration, Event

SECOND = 1_000_000


class Happened(NamedTuple):
    """A payment or an event as one key saw it, at time `t`."""

    t: int
    what: Attempt | Event


def key_of(what: Attempt | Event, entity: str) -> Any:
    """Whose list it stands in."""
    return getattr(what, "payee" if entity == "received" else entity, None)


class Everything:
    """Remembers everything, forgets nothing, scans all of it each time."""

    def __init__(self) -> None:
        self._clocks: dict[tuple[str, str, Any], int] = {}
        self._lists: dict[tuple[str, str, Any], list[Happened]] = {}
        self.frauds: set[UUID] = set()

    def take(self, what: Attempt | Event, declarations: tuple[Declaration, ...]) -> dict[str, float]:
        """What the declarations say of a payment or an event, which is then part of the past."""
        payment = isinstance(what, Attempt)
        found = {}
        for one in declarations:
            found[one.name] = self._before(what, one) if payment or one.event != "payment" else math.nan
        self._append(what, "payment" if isinstance(what, Attempt) else what.event)
        for one in declarations:
            if not one.past and one.entity != "received" and (payment or one.event != "payment"):
                found[one.name] = self._before(what, one)
        return found

    def _append(self, what: Attempt | Event, event: str) -> None:
        for entity in ("customer", "payee", "device", "ip", "network"):
            key = key_of(what, entity)
            if key is not None:
                for clock in ("payment", "all") if event == "payment" else ("all",):
                    t = self._time(what, entity, key, clock)
                    self._clocks[clock, entity, key] = t
                    self._lists.setdefault((clock, entity, key), []).append(Happened(t, what))

    def _time(self, what: Attempt | Event, entity: str, key: Any, clock: str) -> int:
        t = max(what.at_us, self._clocks.get((clock, entity, key), what.at_us))
        if entity == "payee" and clock == "payment":  # who pays and is paid has one time
            t = max(t, self._clocks.get((clock, "customer", key), t))
        return t

    def _before(self, what: Attempt | Event, one: Declaration) -> float:
        key = what.customer if one.entity == "received" else key_of(what, one.entity)
        if key is None:
            return math.nan
        clock = "payment" if one.event == "payment" else "all"
        entity = "payee" if one.entity == "received" else one.entity
        now = self._time(what, entity, key, clock)
        if entity == "payee" and one.entity == "received":
            now = max(now, self._time(what, "customer", what.customer, clock))
        end = now - one.delay_us
        inside = [
            each
            for each in self._lists.get((clock, entity, key), [])
            if end - one.window_us < each.t <= end and self._passes(each.what, one)
        ]
        return self._value(one, inside, now)

    def _passes(self, what: Attempt | Event, one: Declaration) -> bool:
        if ("payment" if isinstance(what, Attempt) else what.event) != one.event:
            return False
        if one.where is None:
            return True
        columns = {name: getattr(what, name) for name in one.where.names}
        return bool(eval(one.where.source, {}, columns))

    def _value(self, one: Declaration, inside: list[Happened], now: int) -> float:
        frauds = [each for each in inside if each.what.id in self.frauds]
        counted = frauds if one.frauds else inside
        values = [getattr(each.what, one.of) for each in counted] if one.of else []
        run = next(
            (n for n, each in enumerate(reversed(inside)) if each.what.id not in self.frauds), len(inside)
        )
        known: dict[str, Any] = {
            "count": len(counted), "frauds": len(frauds), "sum": sum(values) if one.aggregate == "sum" else 0,
            "rate": len(frauds) / len(inside) if inside else 0.0, "run": run,
            "distinct": len({each for each in values if each is not None}),
        }  # fmt: skip
        if one.aggregate in known:
            return float(known[one.aggregate])
        if not counted:
            return math.nan
        read: dict[str, Callable[[], float]] = {
            "mean": lambda: sum(values) / len(values),
            "max": lambda: max(values),
            "min": lambda: min(values),
            "last": lambda: values[-1],
            "first": lambda: values[0],
            "age": lambda: (now - counted[-1].t) / SECOND,
            "age_of_first": lambda: (now - counted[0].t) / SECOND,
        }
        return float(read[one.aggregate]())
