"""Declared features as SQL over history, in DuckDB's words or Spark's.

History is three tables, with `seq` as the order of arrival over all of them:

    payments (seq, at_us, kind, customer, payee, device, ip, amount, latitude, longitude, fraud)
    logins (seq, at_us, customer, device, ip, network, country, succeeded, score)
    settings (seq, at_us, customer, device, ip, kind)

`at_us` is event time in microseconds, `amount` in minor units of the reference currency. `fraud` says what was known by
the time the label delay had passed: whoever fills the table decides that by the labels' known_at, and leaks otherwise.

`compile_to` gives steps, each a table to be made from those before it; the last one is called `features`: seq and a DOUBLE
for every feature, NULL where it is not known. The steps for one entity are its timeline (whatever moves its time, in order
of arrival), then a query with all windows over it.
"""

# ruff: noqa: S608 - what is put into a query comes from declarations, whose names and expressions are checked

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, NamedTuple

from tillkeeper.risk.declarations import FOUND, KEYS, NUMBERS, SCORE_SCALE, THIS, Declaration
from tillkeeper.risk.declared.dialects import SECOND, Aggregate, Dialect
from tillkeeper.risk.features import Catalogue

TABLES: Final = {"payment": "payments", "login": "logins", "setting": "settings"}
AGE_LIMIT_US: Final = 7 * 86_400 * SECOND
MIN_TRAVEL_SECONDS: Final = 60
EARTH_KM: Final = 6371.0088
_ROLES: Final = {"look": 0, "payment": 1, "login": 2, "setting": 3}
_COLUMNS: Final = {
    "kind": "STRING", "customer": "", "payee": "", "device": "", "ip": "", "network": "", "country": "STRING",
    "amount": "BIGINT", "hour": "BIGINT", "weekday": "BIGINT", "succeeded": "BIGINT", "score": "BIGINT",
    "latitude": "DOUBLE", "longitude": "DOUBLE", "fraud": "BOOLEAN", "ratio": "DOUBLE",
}  # fmt: skip
_HAS: Final = {
    "payment": ("kind", "customer", "payee", "device", "ip", "amount", "hour", "weekday", "latitude", "longitude", "fraud", "ratio"),
    "login": ("customer", "device", "ip", "network", "country", "hour", "weekday", "succeeded", "score"),
    "setting": ("customer", "device", "ip", "kind", "hour", "weekday"),
}  # fmt: skip


class Step(NamedTuple):
    """A table to be made, and the query that gives it."""

    table: str
    query: str


def compile_to(dialect: Dialect, catalogue: Catalogue, wanted: Iterable[str], zone: str) -> list[Step]:
    """The steps that give these features, and those they are computed from. `zone`: the business's, IANA."""
    names = catalogue.reading(wanted)
    asked = [one for one in catalogue.declarations if one.name in names]
    events = sorted({one.event for one in asked if one.aggregate} | {"payment"}, key=list(TABLES).index)
    steps = [Step(f"{event}_events", _event_query(dialect, event, zone)) for event in events]
    if any(set(one.reads()) & set(FOUND[one.event]) for one in asked if one.where):
        steps = [*_with_ratio(dialect, steps[0].query, catalogue), *steps[1:]]
    counted = sorted((one for one in asked if one.aggregate), key=_timeline)
    groups = {name: list(found) for name, found in groupby(counted, _timeline)}
    groups.setdefault("customer_payments", [])  # this_late_s is of its clock
    for timeline, features in sorted(groups.items()):
        steps += _timeline_steps(dialect, timeline, features, events)
    return [*steps, *_together(asked, sorted(groups), events)]


def create(steps: Iterable[Step]) -> Iterator[str]:
    """DuckDB's statements that make the tables."""
    for step in steps:
        yield f"CREATE OR REPLACE TABLE {step.table} AS {step.query}"


def _event_query(dialect: Dialect, event: str, zone: str) -> str:
    local = dialect.local("at_us", zone)
    own = {
        "hour": f"CAST(hour({local}) AS BIGINT)",
        "weekday": f"CAST({dialect.weekday(local)} AS BIGINT)",
        "score": f"CAST(round(score * {SCORE_SCALE}) AS BIGINT)",
        "succeeded": "CAST(succeeded AS BIGINT)",
        "ratio": "CAST(NULL AS DOUBLE)",  # until somebody asks: _with_ratio
    }
    columns = [f"{own.get(name, name)} AS {name}" for name in _HAS[event]]
    return f"SELECT seq, at_us, {', '.join(columns)} FROM {TABLES[event]}"


def _with_ratio(dialect: Dialect, payments: str, catalogue: Catalogue) -> Iterator[Step]:
    """Payments with what filters read of each: how much it was beside its customer's past."""
    ratio = catalogue["ratio"].declaration
    assert ratio
    past = "PARTITION BY customer ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    yield Step("payments_timed", f"SELECT *, max(at_us) OVER ({past}) AS t FROM ({payments}) p")
    tie = "row_number() OVER (PARTITION BY customer, t ORDER BY seq) - 1 AS tie"
    yield Step("payments_placed", f"SELECT *, customer AS key, 'payment' AS role, {tie} FROM payments_timed")
    found = {"ratio": f"CAST({_ratio(dialect, ratio)} AS DOUBLE)"}
    own = ", ".join(f"{found.get(name, name)} AS {name}" for name in ("seq", "at_us", *_HAS["payment"]))
    yield Step("payment_events", f"SELECT {own} FROM payments_placed")


def _timeline(one: Declaration) -> str:
    """Which events move the time: payments alone for what is counted over them, everything for the rest."""
    if one.event == "payment":
        return f"{'payee' if one.entity == 'received' else one.entity}_payments"
    return f"{one.entity}_everything"


def _timeline_steps(
    dialect: Dialect, timeline: str, features: list[Declaration], events: list[str]
) -> Iterator[Step]:
    entity, clock = timeline.split("_")
    parts = [_part("payment", entity)] if entity in KEYS["payment"] else []
    if timeline == "payee_payments":
        parts.append(_part("look", "customer"))
    if clock == "everything":
        parts += [_part(event, entity) for event in events if event != "payment" and entity in KEYS[event]]
    union = " UNION ALL ".join(parts)
    order = "PARTITION BY key ORDER BY seq, role_order"
    yield Step(
        f"{timeline}_timed",
        f"SELECT *, max(at_us) OVER ({order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS t FROM ({union}) u",
    )
    pairs = [one for one in features if one.aggregate in {"known_for", "new"}]
    extra = [f", lag(t) OVER (PARTITION BY key, {of} ORDER BY seq) AS {of}_before" for of in _others(pairs)]
    tie = "row_number() OVER (PARTITION BY key, t ORDER BY seq, role_order) - 1 AS tie"
    extra += [f", {_numbered(one, order)}" for one in features if one.aggregate == "run"]
    yield Step(f"{timeline}_placed", f"SELECT *, {tie}{''.join(extra)} FROM {timeline}_timed")
    own = [one for one in features if one.entity != "received"]
    # A look, by who pays, moves the time of the payee that they are too, and is where what they received is counted.
    members = " WHERE role = 'payment'" if timeline == "payee_payments" else ""
    yield Step(timeline, f"{_windows(dialect, timeline, own)}{members}")
    if received := [one for one in features if one.entity == "received"]:
        looks = _windows(dialect, timeline, received)
        yield Step("received_payments", f"SELECT * FROM ({looks}) w WHERE role = 'look'")


def _part(role: str, key: str) -> str:
    """One kind of event on a timeline, with every column that any kind has."""
    event = "payment" if role == "look" else role
    columns = [
        name if name in _HAS[event] else f"CAST(NULL AS {kind or 'STRING'}) AS {name}"
        for name, kind in _COLUMNS.items()
    ]
    return (
        f"SELECT seq, '{role}' AS role, {_ROLES[role]} AS role_order, at_us, {key} AS key, {', '.join(columns)}"
        f" FROM {event}_events WHERE {key} IS NOT NULL"
    )


def _others(pairs: list[Declaration]) -> list[str]:
    return sorted({one.of for one in pairs})


def _windows(dialect: Dialect, timeline: str, features: list[Declaration]) -> str:
    columns = [f"CAST({_measure(dialect, one)} AS DOUBLE) AS {one.name}" for one in features]
    late = (
        [f"CAST((t - at_us) / {SECOND}.0 AS DOUBLE) AS this_late_s"]
        if timeline == "customer_payments"
        else []
    )
    return f"SELECT {', '.join(['seq', 'role', *late, *columns])} FROM {timeline}_placed"


def _measure(dialect: Dialect, one: Declaration) -> str:
    special = {"known_for": _known_for, "new": _new, "ratio": _ratio, "z_score": _z_score,
               "distance": _distance, "speed": _speed}.get(one.aggregate)  # fmt: skip
    return special(dialect, one) if special else _general(_Window(dialect, one), one)


class _Window:
    """The aggregates of one declaration's window."""

    def __init__(self, dialect: Dialect, one: Declaration) -> None:
        self._dialect = dialect
        self._one = one
        self._event = _passes(one)

    def __call__(self, kind: str, of: str = "1", *, frauds: bool | None = None) -> str:
        """An aggregate over the members, or over all events (`frauds` false) or the known frauds of them."""
        one = self._one
        member = self._event + (" AND fraud" if (one.frauds if frauds is None else frauds) else "")
        aggregate = Aggregate(kind, f"CASE WHEN {member} THEN {of} END")
        if one.delay_us:
            return self._dialect.settled(aggregate, one.window_us, one.delay_us)
        return self._dialect.within(aggregate, one.window_us, past=one.past)


def _passes(one: Declaration) -> str:
    """Whether a row of a timeline is an event that is counted."""
    event = f"role = '{one.event}'"
    return f"{event} AND {one.where.sql(lambda name: _number(name, one.event))}" if one.where else event


def _numbered(one: Declaration, order: str) -> str:
    """The events that are counted are numbered without gaps."""
    frame = f"{order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    return f"count(CASE WHEN {_passes(one)} THEN 1 END) OVER ({frame}) AS number_{one.name}"


def _number(name: str, event: str) -> str:
    """A column of an event as a filter reads it."""
    if name == "score":
        return f"(CAST(score AS DOUBLE) / {SCORE_SCALE}.0)"
    return f"CAST({name} AS DOUBLE)" if name in NUMBERS[event] + FOUND[event] else name


def _general(window: _Window, one: Declaration) -> str:
    of, scale = one.of, f" / {SCORE_SCALE}.0" if one.of == "score" else ""
    divided = f"CAST({{}} AS DOUBLE) / nullif({window('count')}, 0)"
    return {
        "count": lambda: window("count"),
        "frauds": lambda: window("count"),
        "sum": lambda: f"{window('sum', of)}{scale}",
        "mean": lambda: divided.format(window("sum", of)) + scale,
        "distinct": lambda: window("distinct", of),
        "age": lambda: f"(t - {window('max', 't')}) / {SECOND}.0",
        "age_of_first": lambda: f"(t - {window('min', 't')}) / {SECOND}.0",
        "rate": lambda: (
            f"coalesce(CAST({window('count')} AS DOUBLE) / nullif({window('count', frauds=False)}, 0), 0)"
        ),
        "run": lambda: _run(window, f"number_{one.name}"),
    }.get(one.aggregate, lambda: f"{window(one.aggregate, of)}{scale}")()


def _run(window: _Window, number: str) -> str:
    """Members are numbered without gaps: those after the latest that is no fraud, or all."""
    last, first = window("max", number, frauds=False), window("min", number, frauds=False)
    genuine = window("max", f"CASE WHEN NOT fraud THEN {number} END", frauds=False)
    return f"coalesce({last} - coalesce({genuine}, {first} - 1), 0)"


def _new(_: Dialect, one: Declaration) -> str:
    before = f"{one.of}_before"
    new = f"{before} IS NULL OR {before} <= t - {one.window_us}"
    return f"CASE WHEN {one.of} IS NULL THEN NULL WHEN {new} THEN 1 ELSE 0 END"


def _known_for(_: Dialect, one: Declaration) -> str:
    before = f"{one.of}_before"
    begins = f"CASE WHEN {before} IS NULL OR {before} <= t - {one.window_us} THEN t END"
    frame = f"PARTITION BY key, {one.of} ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    age = f"least(t - max({begins}) OVER ({frame}), {AGE_LIMIT_US}) / {SECOND}.0"
    return f"CASE WHEN {one.of} IS NOT NULL THEN {age} END"


def _ratio(dialect: Dialect, one: Declaration) -> str:
    window = _Window(dialect, one)
    mean = f"(CAST({window('sum', one.of)} AS DOUBLE) / nullif({window('count')}, 0))"
    return f"{one.of} / nullif({mean}, 0)"


def _z_score(dialect: Dialect, one: Declaration) -> str:
    window, wide = _Window(dialect, one), dialect.wide
    n, total = window("count"), window("sum", one.of)
    squares = window("sum", f"CAST({one.of} AS {wide}) * CAST({one.of} AS {wide})")
    exact = f"({n} * {squares} - CAST({total} AS {wide}) * {total})"
    variance = f"(CAST({exact} AS DOUBLE) / nullif(CAST({n} AS DOUBLE) * ({n} - 1), 0))"
    return f"({one.of} - CAST({total} AS DOUBLE) / nullif({n}, 0)) / nullif(sqrt({variance}), 0)"


def _distance(dialect: Dialect, one: Declaration) -> str:
    order = "seq"
    lat, lon = dialect.latest("latitude", order), dialect.latest("longitude", order)
    placed = dialect.latest("CASE WHEN latitude IS NOT NULL THEN t END", order)
    up, along = f"radians(latitude - {lat})", f"radians(longitude - {lon})"
    shrink = f"cos(radians({lat})) * cos(radians(latitude))"
    h = f"pow(sin({up} / 2), 2) + {shrink} * pow(sin({along} / 2), 2)"
    km = f"2 * {EARTH_KM} * asin(sqrt(least(1.0, {h})))"
    return f"CASE WHEN latitude IS NOT NULL AND {placed} > t - {one.window_us} THEN {km} END"


def _speed(dialect: Dialect, one: Declaration) -> str:
    placed = dialect.latest("CASE WHEN latitude IS NOT NULL THEN t END", "seq")
    seconds = f"greatest({MIN_TRAVEL_SECONDS}.0, (t - {placed}) / {SECOND}.0)"
    return f"{_distance(dialect, one)} / {seconds} * 3600"


# -- all of them in one row


def _together(asked: list[Declaration], timelines: list[str], events: list[str]) -> Iterator[Step]:
    """Every payment, login and change of settings with what was counted, then the values over that."""
    rows = " UNION ALL ".join(
        f"SELECT seq, '{event}' AS role, {_this(event)} FROM {event}_events" for event in events
    )
    joins, columns = [], ["r.*"]
    for timeline in timelines:
        joins.append(f"LEFT JOIN {timeline} ON {timeline}.seq = r.seq AND {timeline}.role = r.role")
        if timeline == "customer_payments":
            columns.append("customer_payments.this_late_s")
    if any(one.entity == "received" for one in asked):
        joins.append("LEFT JOIN received_payments ON received_payments.seq = r.seq AND r.role = 'payment'")
    counted = (one for one in asked if one.aggregate)
    columns += [
        f"{'received_payments' if one.entity == 'received' else _timeline(one)}.{one.name}" for one in counted
    ]
    yield Step("counted", f"SELECT {', '.join(columns)} FROM ({rows}) r {' '.join(joins)}")
    table, ready = "counted", {one.name for one in asked if one.aggregate}
    values = [one for one in asked if one.value]
    while values:
        now = [one for one in values if set(one.reads()) <= ready]
        table, before = f"valued_{len(ready)}", table
        yield Step(table, f"SELECT *, {', '.join(_value(one) for one in now)} FROM {before}")
        ready |= {one.name for one in now}
        values = [one for one in values if one.name not in ready]
    names = [
        one.name if one.aggregate or one.value else f"CAST(NULL AS DOUBLE) AS {one.name}" for one in asked
    ]
    yield Step("features", f"SELECT seq, {', '.join(names)} FROM {table}")


def _this(event: str) -> str:
    """The decided event's own columns, as values read them."""
    own = [name.removeprefix("this_") for name in THIS if name != "this_late_s"]
    return ", ".join(
        f"CAST({name if name in _HAS[event] and (event == 'payment' or name != 'kind') else 'NULL'} AS "
        f"{'STRING' if name == 'kind' else 'DOUBLE'}) AS this_{name}"
        for name in own
    ).replace("STRING", "STRING")


def _value(one: Declaration) -> str:
    assert one.value
    sql = one.value.sql(lambda name: name)
    return (
        f"CASE WHEN {sql} THEN 1.0 ELSE 0.0 END AS {one.name}"
        if one.value.logical
        else f"{sql} AS {one.name}"
    )
