"""What DuckDB and Spark say differently: windows over time, sets of values, the business's clock."""

from typing import Final

import msgspec

TIE_BITS: Final = 12
"""Up to 4096 events of one profile at the same microsecond."""
BASE_US: Final = 1_500_000_000_000_000
"""Times are counted from here where they share 64 bits with ties."""
SECOND: Final = 1_000_000


class Aggregate(msgspec.Struct, frozen=True):
    """What is computed over a window. `kind`: count, sum, max, min, distinct, last, first. `of`: SQL, NULL where not a member."""

    kind: str
    of: str


class Dialect:
    """SQL that is written the same everywhere; what is not is in the subclasses.

    A timeline has the columns key, seq, role, t (the key's time), tie (its number among those of the same t, from 0).
    """

    name = ""
    wide = ""

    def local(self, at: str, zone: str) -> str:
        """UTC microseconds as local time without a zone."""
        raise NotImplementedError

    def weekday(self, local: str) -> str:
        """The day of the week of a local time, Monday being 0."""
        raise NotImplementedError

    def latest(self, of: str, order: str) -> str:
        """The last known value before this row, in an order within each key."""
        raise NotImplementedError

    def within(self, one: Aggregate, span: int, *, past: bool) -> str:
        """An aggregate over (t - span, t], with all that arrived before this row, and the row unless `past`."""
        raise NotImplementedError

    def settled(self, one: Aggregate, span: int, delay: int) -> str:
        """An aggregate over (t - delay - span, t - delay]."""
        frame = (
            f"PARTITION BY key ORDER BY t RANGE BETWEEN {delay + span - 1} PRECEDING AND {delay} PRECEDING"
        )
        return self._finished(one, self._over(one, frame))

    def _over(self, one: Aggregate, frame: str) -> str:
        raise NotImplementedError

    def _finished(self, one: Aggregate, sql: str) -> str:
        return f"coalesce({sql}, 0)" if one.kind == "sum" else sql


class DuckDB(Dialect):
    """One frame a window: time and the number among equals are one number, and the frame may begin where the row says."""

    name = "duckdb"
    wide = "HUGEINT"

    def local(self, at: str, zone: str) -> str:
        return f"timezone('{zone}', timezone('UTC', make_timestamp({at})))"

    def weekday(self, local: str) -> str:
        return f"isodow({local}) - 1"

    def latest(self, of: str, order: str) -> str:
        frame = f"PARTITION BY key ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
        return f"last_value({of} IGNORE NULLS) OVER ({frame})"

    def within(self, one: Aggregate, span: int, *, past: bool) -> str:
        place = f"((t - {BASE_US}) << {TIE_BITS}) + tie"
        begin = f"{(span - 1) << TIE_BITS} + tie"
        end = "1 PRECEDING" if past else "CURRENT ROW"
        frame = f"PARTITION BY key ORDER BY {place} RANGE BETWEEN {begin} PRECEDING AND {end}"
        return self._finished(one, self._over(one, frame))

    def _over(self, one: Aggregate, frame: str) -> str:
        call = {
            "distinct": f"count(DISTINCT {one.of})",
            "last": f"last_value({one.of} IGNORE NULLS)",
            "first": f"first_value({one.of} IGNORE NULLS)",
        }.get(one.kind, f"{one.kind}({one.of})")
        return f"{call} OVER ({frame})"


class Spark(Dialect):
    """Frames begin at a fixed distance: what is older than this microsecond, and this microsecond's up to the row."""

    name = "spark"
    wide = "DECIMAL(13, 0)"

    def local(self, at: str, zone: str) -> str:
        return f"from_utc_timestamp(timestamp_micros({at}), '{zone}')"

    def weekday(self, local: str) -> str:
        return f"weekday({local})"

    def latest(self, of: str, order: str) -> str:
        frame = f"PARTITION BY key ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
        return f"last({of}, true) OVER ({frame})"

    def within(self, one: Aggregate, span: int, *, past: bool) -> str:
        end = "1 PRECEDING" if past else "CURRENT ROW"
        peers = self._over(
            one, f"PARTITION BY key, t ORDER BY tie ROWS BETWEEN UNBOUNDED PRECEDING AND {end}"
        )
        if span == 1:
            return self._finished(one, peers)
        older = self._over(
            one, f"PARTITION BY key ORDER BY t RANGE BETWEEN {span - 1} PRECEDING AND 1 PRECEDING"
        )
        return {
            "count": f"({older} + {peers})",
            "sum": f"(coalesce({older}, 0) + coalesce({peers}, 0))",
            "max": f"greatest({older}, {peers})",
            "min": f"least({older}, {peers})",
            "last": f"coalesce({peers}, {older})",
            "first": f"coalesce({older}, {peers})",
            "distinct": f"size(array_union({older}, {peers}))",
        }[one.kind]

    def settled(self, one: Aggregate, span: int, delay: int) -> str:
        found = super().settled(one, span, delay)
        return f"size({found})" if one.kind == "distinct" else found

    def _over(self, one: Aggregate, frame: str) -> str:
        call = {
            "distinct": f"collect_set({one.of})",
            "last": f"last({one.of}, true)",
            "first": f"first({one.of}, true)",
        }.get(one.kind, f"{one.kind}({one.of})")
        return f"{call} OVER ({frame})"


DUCKDB: Final = DuckDB()
SPARK: Final = Spark()
