"""Declared features against the simpler judge, whatever happens in whatever order; and what may be declared."""

import math
import random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.support.risk_series import Everything
from tillkeeper.base.limits import MAX_AMOUNT
from tillkeeper.risk import FEATURES, Attempt, BadDeclarationsError, Catalogue, Declaration, Event, load_rules
from tillkeeper.risk import profiles as profiles_module
from tillkeeper.risk.declarations import as_json, from_json, read_declarations
from tillkeeper.risk.expressions import BadExpressionError, read
from tillkeeper.risk.profiles import Profiles

ZONE = ZoneInfo("Asia/Shanghai")
RULES = load_rules(None)
START = 1_700_000_000_000_000
SECOND = 1_000_000
HOUR = 3600 * SECOND


def table(**fields: Any) -> str:
    """A [[feature]] of these fields."""
    fields = {"unit": "count", "zh": "甲", "en": "a"} | fields
    return "[[feature]]\n" + "".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n"
        for key, value in fields.items()
    )


OF = {"distinct": {"of": "customer"}, "count": {}, "age": {}, "age_of_first": {}}
AGGREGATES = ("count", "sum", "mean", "max", "min", "distinct", "last", "first", "age", "age_of_first")
WAYS: list[dict[str, Any]] = [
    {}, {"past": True}, {"delay": "2h"}, {"delay": "2h", "frauds": True}, {"where": "amount > 50"},
]  # fmt: skip
LOGINS: list[dict[str, Any]] = [
    {"aggregate": "count"}, {"aggregate": "distinct", "of": "country"}, {"aggregate": "age"},
    {"aggregate": "last", "of": "score"}, {"aggregate": "sum", "of": "succeeded"},
]  # fmt: skip


def everything() -> tuple[Declaration, ...]:
    """Every aggregate over payments, with and without delay, past and frauds; and over logins and settings."""
    tables = [
        table(
            name=f"{entity}_{one}_{n}",
            entity=entity,
            aggregate=one,
            window="5h",
            **OF.get(one, {"of": "amount"}),
            **way,
        )
        for entity in ("customer", "payee", "device", "received")
        for n, way in enumerate(WAYS)
        for one in AGGREGATES
        if entity != "received" or "past" not in way
    ]
    tables += [
        table(name=f"{entity}_{one}", entity=entity, aggregate=one, window="5h", delay="2h")
        for entity in ("customer", "payee", "device", "received")
        for one in ("frauds", "rate", "run")
    ]
    tables += [
        table(name=f"{entity}_login_{way['aggregate']}", entity=entity, event="login", window="4h", **way)
        for entity in ("customer", "device", "ip", "network")
        for way in LOGINS
    ]
    where = "(succeeded == 0) | (score >= 0.5)"
    tables.append(
        table(name="doubtful", entity="customer", event="login", aggregate="count", window="4h", where=where)
    )
    where = "kind == 'password'"
    tables.append(
        table(name="password", entity="customer", event="setting", aggregate="age", window="4h", where=where)
    )
    return read_declarations("\n".join(tables), "test")


def story(rng: random.Random, count: int) -> list[Attempt | Event]:
    """Few people, few devices, much at the same time, some of it late, some clocks ahead, amounts of any size."""
    now, found = START, list[Attempt | Event]()
    for n in range(count):
        now += rng.choice((0, 0, SECOND, 10 * 60 * SECOND, HOUR, 3 * HOUR if rng.random() < 0.2 else 0))
        at = now - rng.choice((0,) * 8 + (HOUR, -HOUR))
        device, ip = rng.choice((None, "a", "b")), rng.choice((None, "1.1.1.1"))
        if rng.random() < 0.7:
            amount = rng.choice((0, 1, rng.randrange(100), rng.randrange(100), MAX_AMOUNT))
            payer, paid = rng.sample(range(1, 6), 2)
            found.append(
                Attempt(
                    UUID(int=n + 1), "payment", at, UUID(int=payer), UUID(int=paid), amount, "CNY", device, ip
                )
            )
        else:
            found.append(
                Event(
                    id=UUID(int=n + 1), event=rng.choice(("login", "setting")), at_us=at, customer=UUID(int=rng.randrange(1, 6)),
                    device=device, ip=ip, network=rng.choice((None, "AS1", "AS2")), country=rng.choice(("CN", "FR")),
                    succeeded=rng.random() < 0.5, score=rng.randrange(100) / 100, kind=rng.choice(("password", "phone")),
                )
            )  # fmt: skip
    return found


def taken(profiles: Profiles, some: list[Attempt | Event]) -> np.ndarray:
    """Neighbours of one kind, as one turn."""
    if isinstance(some[0], Attempt):
        return profiles.observe([one for one in some if isinstance(one, Attempt)])
    return profiles.observe_events([one for one in some if isinstance(one, Event)])


def test_every_aggregate_equals_its_definition(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels come before their delay is over, after it, and are taken back; profiles are forgotten meanwhile."""
    monkeypatch.setattr("tillkeeper.risk.kept.FIRST_NODES", 8)
    monkeypatch.setattr("tillkeeper.risk.kept.FIRST_SLOTS", 8)
    monkeypatch.setattr("tillkeeper.risk.kept.FIRST_PLACES", 2)
    monkeypatch.setattr(profiles_module, "FIRST_PROFILES", 4)
    monkeypatch.setattr(profiles_module, "FIRST_EVENTS", 16)
    rng, declarations = random.Random(seed), everything()
    catalogue = FEATURES.with_(declarations)
    columns = [catalogue[one.name].index for one in declarations]
    profiles, judge = (
        Profiles(RULES, ZONE, catalogue, frozenset(one.name for one in declarations)),
        Everything(),
    )
    events = story(rng, 400)
    begin = 0
    while begin < len(events):
        end = begin + 1
        while end < min(len(events), begin + 6) and type(events[end]) is type(events[begin]):
            end += 1
        rows = taken(profiles, events[begin:end])[:, columns]
        for row, what in zip(rows, events[begin:end], strict=True):
            expected = judge.take(what, declarations)
            wrong = {
                name: (got, expected[name])
                for name, got in zip(expected, row.tolist(), strict=True)
                if not (got == expected[name] or (math.isnan(got) and math.isnan(expected[name])))
            }
            assert not wrong, what
        for _ in range(rng.randrange(4)):
            labelled, fraud = events[rng.randrange(max(0, end - 60), end)].id, rng.random() < 0.7
            profiles.learn(labelled, fraud=fraud)
            (judge.frauds.add if fraud else judge.frauds.discard)(labelled)
        begin = end


def test_a_freed_number_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles_module, "WATERMARK_BLOCK", 2)
    profiles = Profiles(RULES, ZONE)
    month = 50 * 24 * HOUR
    for n in range(60):  # strangers every month, each in the place of one who was forgotten
        attempt = Attempt(
            UUID(int=n),
            "payment",
            START + n * month,
            UUID(int=1000 + n),
            UUID(int=2000 + n),
            7,
            "CNY",
            f"d{n}",
        )
        row = profiles.observe([attempt])[0]
        assert math.isnan(row[FEATURES["customer_past_max_30d"].index])
        event = Event(
            UUID(int=n),
            "login",
            START + n * month,
            UUID(int=3000 + n),
            f"d{n}",
            network=f"AS{n}",
            succeeded=False,
        )
        row = profiles.observe_events([event])[0]
        assert row[FEATURES["customer_logins_failed_24h"].index] == 1
        assert row[FEATURES["network_logins_failed_1h"].index] == 1
    assert len(profiles._keys) < 30


def test_who_only_logs_in_is_remembered() -> None:
    """A login makes a profile that no payment keeps alive: it lasts as long as anything may ask for it."""
    profiles = Profiles(RULES, ZONE)
    profiles.observe_events([Event(UUID(int=1), "setting", START, UUID(int=5), kind="password")])
    for n in range(200):
        stranger = Attempt(
            UUID(int=10 + n), "payment", START + n * HOUR, UUID(int=100 + n % 5), UUID(int=7), 1, "CNY"
        )
        profiles.observe([stranger])
    row = profiles.observe(
        [Attempt(UUID(int=999), "payment", START + 200 * HOUR, UUID(int=5), UUID(int=7), 1, "CNY")]
    )[0]
    assert row[FEATURES["password_changed_age_s"].index] == 200 * 3600


def test_the_order_of_what_happens_at_once_does_not_matter(seed: int) -> None:
    """A turn of payments at one moment, in any order: the same features for whoever comes next."""
    rng = random.Random(seed)
    turn = [
        Attempt(
            UUID(int=n), "payment", START, UUID(int=rng.randrange(1, 4)), UUID(int=rng.randrange(10, 13)),
            rng.randrange(1, 1000), "CNY", rng.choice(("a", "b")), "1.1.1.1",
        )
        for n in range(1, 40)
    ]  # fmt: skip
    probes = [
        Attempt(
            UUID(int=100 + n),
            "payment",
            START + SECOND,
            UUID(int=n),
            UUID(int=9 + n),
            50,
            "CNY",
            "a",
            "1.1.1.1",
        )
        for n in range(1, 4)
    ]
    rows = []
    for _ in range(3):
        profiles = Profiles(RULES, ZONE)
        profiles.observe(turn)
        rows.append(profiles.observe(probes))
        rng.shuffle(turn)
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])


def test_a_clock_that_runs_ahead_or_behind_disturbs_only_its_own() -> None:
    profiles = Profiles(RULES, ZONE)
    year = 365 * 24 * HOUR
    ahead = Attempt(UUID(int=1), "payment", START + year, UUID(int=1), UUID(int=10), 5, "CNY", "x", "1.1.1.1")
    profiles.observe([ahead])
    others = [
        Attempt(UUID(int=n), "payment", START + n * HOUR, UUID(int=2), UUID(int=11), 5, "CNY", "y", "2.2.2.2")
        for n in (2, 3)
    ]
    row = profiles.observe(others)[1]
    assert row[FEATURES["customer_count_24h"].index] == 2
    behind = Attempt(
        UUID(int=4), "payment", START - year, UUID(int=2), UUID(int=11), 5, "CNY", "y", "2.2.2.2"
    )
    row = profiles.observe([behind])[0]
    assert row[FEATURES["customer_count_24h"].index] == 3  # it counts at the newest time of its profile
    assert row[FEATURES["late_s"].index] == (year + 3 * HOUR) / SECOND


@pytest.mark.parametrize("amount", [0, 1, MAX_AMOUNT, 2**62, 2**63 - 1])
def test_no_amount_is_too_large_to_be_counted(amount: int) -> None:
    attempt = Attempt(UUID(int=1), "payment", START, UUID(int=1), UUID(int=2), amount, "JPY")
    row = Profiles(RULES, ZONE).observe([attempt, attempt])[1]
    most = min(amount * 100 // 21, 2**40 - 1)
    assert row[FEATURES["amount"].index] == most
    assert row[FEATURES["customer_sum_30d"].index] == 2 * most


def test_without_device_address_and_place_nothing_is_made_up() -> None:
    row = Profiles(RULES, ZONE).observe(
        [Attempt(UUID(int=1), "payment", START, UUID(int=1), UUID(int=2), 5, "CNY")]
    )[0]
    unknown = [name for name, one in FEATURES.items() if math.isnan(row[one.index])]
    assert {"device_count_1h", "ip_sum_30d", "distance_km", "speed_kmh", "device_logins_failed_1h"} < set(
        unknown
    )
    assert not {"customer_count_1h", "payee_risk_7d", "customer_logins_1h", "received_count_1h"} & set(
        unknown
    )


def test_crowds_that_enter_a_delayed_window_at_once_find_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of labels has room for all who wait, not only for those who come."""
    monkeypatch.setattr("tillkeeper.risk.kept.FIRST_PLACES", 2)
    fields = {"entity": "payee", "aggregate": "distinct", "of": "customer", "window": "5h", "delay": "2h"}
    catalogue = FEATURES.with_(
        read_declarations(
            table(name="crowd", **fields) + table(name="thieves", frauds=True, **fields), "test"
        )
    )
    profiles = Profiles(RULES, ZONE, catalogue, frozenset({"crowd", "thieves"}))
    crowd = [
        Attempt(UUID(int=n), "payment", START, UUID(int=n), UUID(int=9999), 5, "CNY") for n in range(1, 101)
    ]
    for attempt in crowd:
        profiles.observe([attempt])
        profiles.learn(attempt.id, fraud=True)
    last = Attempt(UUID(int=777), "payment", START + 3 * HOUR, UUID(int=777), UUID(int=9999), 5, "CNY")
    row = profiles.observe([last])[0]
    assert row[catalogue["crowd"].index] == row[catalogue["thieves"].index] == len(crowd)


def test_what_nobody_asked_for_is_not_kept() -> None:
    profiles = Profiles(RULES, ZONE, wanted=frozenset({"customer_past_mean_7d"}))
    attempts = [
        Attempt(UUID(int=n), "payment", START + n, UUID(int=1), UUID(int=2), n, "CNY") for n in (10, 20)
    ]
    row = profiles.observe(attempts)[1]
    assert profiles._kept.counts()["strands"] == 0
    assert row[FEATURES["customer_past_mean_7d"].index] == 10  # computed from what the windows keep anyway
    assert math.isnan(row[FEATURES["customer_past_max_7d"].index])


# -- the language


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"name": "Bad"}, "name: small letters"),
        ({"name": "amount"}, "there is a feature amount already"),
        ({"name": "this_hour"}, "the decided payment's own column"),
        ({"entity": "shop"}, "entity: 'shop' is none of customer"),
        ({"event": "transfer"}, "event: 'transfer' is none of payment"),
        ({"entity": "payee", "event": "login"}, "a login has no payee"),
        ({"aggregate": "median"}, "aggregate: median is not known"),
        ({"aggregate": "sum"}, "of: '' must be one of amount"),
        ({"of": "amount"}, "of: is not used here"),
        ({"window": "31d"}, "window: '31d' must be a number"),
        ({"window": ""}, "window: ''"),
        ({"delay": "8d"}, "delay: '8d' must be"),
        ({"where": "amount"}, "must be true or false"),
        ({"where": "colour == 'red'"}, "where: colour is not known here"),
        ({"where": "kind > 'a'"}, "kind is a text: compare it by =="),
        ({"where": "amount > 5 and amount < 7"}, "use numbers, + - * /"),
        ({"value": "amount"}, "give one of aggregate, value, by"),
        ({"event": "login", "frauds": True}, "frauds: only payments are labelled"),
        ({"entity": "received", "past": True}, "past: what was received is always the past"),
        ({"unit": "metre"}, "Invalid enum value 'metre'"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"zh": " "}, "say in both languages"),
        ({"version": 0}, "version: counted from 1"),
    ],
)
def test_a_bad_declaration_is_refused_with_its_remedy(fields: dict[str, Any], fault: str) -> None:
    good = {"name": "x", "entity": "customer", "aggregate": "count", "window": "1h"}
    assert read_declarations(table(**good), "test")
    with pytest.raises(BadDeclarationsError) as caught:
        read_declarations(table(**good | fields), "test", tuple(FEATURES))
    assert fault in str(caught.value)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(BadDeclarationsError) as caught:
        read_declarations(table(name="A", aggregate="x") + table(name="B", value="1 +"), "test")
    assert len(caught.value.faults) > 4


def test_a_declaration_is_kept_as_it_was_written() -> None:
    for one in (*FEATURES.declarations, *everything()):
        if one.aggregate or one.value:
            known = tuple(name for name in FEATURES if name != one.name)
            (again,) = from_json(as_json(one), "test", known)
            assert again == one


def test_a_catalogue_grows_and_never_changes() -> None:
    (mine,) = read_declarations(table(name="mine", value="amount / payee_mean_30d"), "test", tuple(FEATURES))
    grown = FEATURES.with_([mine])
    assert grown["mine"].index == len(FEATURES)
    assert "mine" not in FEATURES
    assert grown == Catalogue(grown.declarations)
    assert grown != FEATURES
    assert grown.reading(["mine"]) == {"mine", "amount", "payee_mean_30d"}
    with pytest.raises(ValueError, match="two features"):
        grown.with_([mine])


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("a / b", math.nan), ("b / a", 0.0), ("sqrt(b - 1)", math.nan), ("log(b)", math.nan), ("where(a > 1, a, 7)", 2.0),
        ("where(c > 1, 1, 0)", 0.0), ("where(c != 1, 1, 0)", 1.0), ("-abs(b - 3) * 2", -6.0), ("where(~(a == 2), 1, 0)", 0.0),
        ("where((a > 1) & (b < 1) | (c > 0), 5, 6)", 5.0), ("floor(a / 4) + ceil(a / 4)", 1.0), ("c + 1", math.nan),
    ],
)  # fmt: skip
def test_expressions(source: str, value: float) -> None:
    columns = {"a": np.array([2.0]), "b": np.array([0.0]), "c": np.array([np.nan])}
    found = read(source, tuple(columns)).over(lambda _, __: 0)(columns)
    assert float(np.ravel(found)[0]) == value or (math.isnan(value) and np.isnan(found).all())


@pytest.mark.parametrize(
    "source",
    [
        "",
        "1 < a < 2",
        "a.b",
        "a[0]",
        "f(a)",
        "where(a, 1, 2)",
        "a & b",
        "lambda: 1",
        "'x'",
        "True",
        "a ** 2",
        "x" * 501,
        "(" * 300,
    ],
)
def test_what_is_no_expression_is_refused(source: str) -> None:
    with pytest.raises(BadExpressionError):
        read(source, ("a", "b"))
