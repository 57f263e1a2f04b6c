"""The simpler judge of the risk windows: every feature by its definition, from a plain list of all past attempts."""

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from statistics import stdev
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tillkeeper.risk import Attempt
from tillkeeper.risk.features import DELAYED, OTHERS, WINDOWS

SECOND = 1_000_000
DAY = 86_400 * SECOND
MONTH = 30 * DAY
LABEL_DELAY = 7 * DAY


class Seen(NamedTuple):
    """An attempt as one profile saw it: at time `t`."""

    t: int
    attempt: Attempt


def who(attempt: Attempt, kind: str) -> Any:
    """The profile's key."""
    return getattr(attempt, kind)


class Model:
    """Remembers everything, forgets nothing, scans all of it each time."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self.seen: dict[tuple[str, Any], list[Seen]] = defaultdict(list)
        self.now: dict[tuple[str, Any], int] = {}
        self.frauds: set[Any] = set()

    def observe(self, attempt: Attempt) -> dict[str, float]:
        """The features of one attempt, which is then part of the past."""
        row: dict[str, float] = {}
        row |= self._received(attempt)
        row |= self._past(attempt)
        for kind in ("customer", "payee", "device", "ip"):
            row |= self._windows(attempt, kind)
        row |= self._payee_risk(attempt)
        return row | self._calendar(attempt)

    def learn(self, payment: Any, *, fraud: bool) -> None:
        """A label."""
        (self.frauds.add if fraud else self.frauds.discard)(payment)

    def _time(self, kind: str, key: Any, at: int) -> int:
        """A profile's time never runs back; who pays and is paid has one time."""
        now = max(at, self.now.get((kind, key), at))
        return max(now, self.now.get(("customer", key), now)) if kind == "payee" else now

    def _within(self, kind: str, key: Any, now: int, span: int) -> list[Seen]:
        return [one for one in self.seen[kind, key] if one.t > now - span]

    def _received(self, attempt: Attempt) -> dict[str, float]:
        at = self._time("customer", attempt.customer, attempt.at_us)
        now = self.now["payee", attempt.customer] = self._time("payee", attempt.customer, at)
        row: dict[str, float] = {}
        for window, span in WINDOWS.items():
            inside = [one.attempt for one in self._within("payee", attempt.customer, now, span)]
            row[f"received_count_{window}"] = len(inside)
            row[f"received_sum_{window}"] = sum(one.amount for one in inside)
            row[f"received_customers_{window}"] = len({one.customer for one in inside})
        return row

    def _past(self, attempt: Attempt) -> dict[str, float]:
        now = self._time("customer", attempt.customer, attempt.at_us)
        past = self._within("customer", attempt.customer, now, MONTH)
        amounts = [one.attempt.amount for one in past]
        mean = sum(amounts) / len(amounts) if amounts else math.nan
        deviation = stdev(amounts) if len(amounts) > 1 else 0.0
        row = {
            "amount": attempt.amount,
            "late_s": (now - attempt.at_us) / SECOND,
            "ratio": attempt.amount / mean if mean else math.nan,
            "z_score": (attempt.amount - mean) / deviation if deviation else math.nan,
            "since_last_s": (now - past[-1].t) / SECOND if past else math.nan,
        }
        row |= self._familiarity(attempt, now, "payee") | self._familiarity(attempt, now, "device")
        return row | self._travel(attempt, now, past)

    def _familiarity(self, attempt: Attempt, now: int, kind: str) -> dict[str, float]:
        key = who(attempt, kind)
        if key is None:
            return {f"{kind}_new": math.nan, f"{kind}_age_s": math.nan}
        times = [one.t for one in self.seen["customer", attempt.customer] if who(one.attempt, kind) == key]
        first = now
        for t in reversed(times):
            if t <= first - MONTH:
                break
            first = t
        new = not any(t > now - MONTH for t in times)
        return {f"{kind}_new": float(new), f"{kind}_age_s": min((now - first) / SECOND, 7 * 86_400)}

    def _travel(self, attempt: Attempt, now: int, past: list[Seen]) -> dict[str, float]:
        placed = [one for one in past if one.attempt.latitude is not None]
        if not placed or attempt.latitude is None or attempt.longitude is None:
            return {"distance_km": math.nan, "speed_kmh": math.nan}
        here = _unit_vector(attempt.latitude, attempt.longitude)
        last = placed[-1].attempt
        there = _unit_vector(last.latitude or 0.0, last.longitude or 0.0)
        km = 2 * 6371.0088 * math.asin(min(1.0, math.dist(here, there) / 2))
        hours = max(60.0, (now - placed[-1].t) / SECOND) / 3600
        return {"distance_km": km, "speed_kmh": km / hours}

    def _windows(self, attempt: Attempt, kind: str) -> dict[str, float]:
        key = who(attempt, kind)
        row: dict[str, float] = {}
        now = self._time(kind, key, attempt.at_us)
        if key is not None:
            self.seen[kind, key].append(Seen(now, attempt))
            self.now[kind, key] = now
        for window, span in WINDOWS.items():
            inside = [] if key is None else [one.attempt for one in self._within(kind, key, now, span)]
            amounts = [one.amount for one in inside]
            values: dict[str, float] = {
                "count": len(inside),
                "sum": sum(amounts),
                "mean": sum(amounts) / len(amounts) if amounts else math.nan,
                "max": max(amounts, default=0),
            }
            for other in OTHERS[kind]:
                values[other] = len({found for one in inside if (found := who(one, other[:-1])) is not None})
            for measure, value in values.items():
                row[f"{kind}_{measure}_{window}"] = math.nan if key is None else value
        return row

    def _payee_risk(self, attempt: Attempt) -> dict[str, float]:
        now = self._time("payee", attempt.payee, attempt.at_us)
        row: dict[str, float] = {}
        for window, span in DELAYED.items():
            begin, end = now - LABEL_DELAY - span, now - LABEL_DELAY
            inside = [one.attempt.id for one in self.seen["payee", attempt.payee] if begin < one.t <= end]
            frauds = sum(one in self.frauds for one in inside)
            row[f"payee_settled_{window}"] = len(inside)
            row[f"payee_frauds_{window}"] = frauds
            row[f"payee_risk_{window}"] = frauds / len(inside) if inside else 0.0
        return row

    def _calendar(self, attempt: Attempt) -> dict[str, float]:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=attempt.at_us)
        local = moment.astimezone(self.zone)
        return {
            "hour": local.hour,
            "night": float(local.hour <= 6),
            "weekend": float(local.weekday() >= 5),
            "is_send": float(attempt.kind == "send"),
            "is_withdrawal": float(attempt.kind == "withdrawal"),
            **dict.fromkeys(("customer_watched", "payee_watched", "device_watched", "ip_watched"), 0.0),
        }


def _unit_vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    up, along = math.radians(latitude), math.radians(longitude)
    return (math.cos(up) * math.cos(along), math.cos(up) * math.sin(along), math.sin(up))
