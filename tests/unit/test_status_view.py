"""What the status page says of what was seen; nothing but values."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.faces.status.app import as_json
from tillkeeper.faces.status.seen import Seen
from tillkeeper.faces.status.view import View, incidents, view_of
from tillkeeper.faces.status.words import LANGUAGES, Scribe, language_of, texts, zone_of
from tillkeeper.maintenance.notices import Notice, Told
from tillkeeper.maintenance.notices import Words as Said
from tillkeeper.monitoring import MEASURES
from tillkeeper.monitoring.alerting import COMPONENTS, Alert, Span, days, read_book
from tillkeeper.monitoring.alerting.components import closed, states
from tillkeeper.monitoring.alerting.types import NO_LABELS, Cause, ComponentState, Severity, Standing, State

NOW = datetime(2026, 4, 15, 12, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
BOOK = read_book(None, MEASURES)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def span(component: str, state: ComponentState, begun: float, seen: float = 0) -> Span:
    return Span(component, state, ago(begun), ago(seen))


def alert(
    rule: str, fired: float, resolved: float | None = None, cause: Cause = "bad", severity: Severity = "page"
) -> Alert:
    ended = None if resolved is None else ago(resolved)
    state: State = "firing" if ended is None else "resolved"
    return Alert(new_id(), rule, NO_LABELS, severity, state, cause, 1.0, 2.0, ago(fired), resolved_at=ended)


WELL = tuple(span(name, "works", 3600) for name in COMPONENTS)


def seen(**more: object) -> Seen:
    return msgspec.structs.replace(Seen(NOW, NOW, spans=WELL), **more)


def view(saw: Seen | None, lost: float | None = None, now: datetime = NOW) -> View:
    return view_of(saw, None if lost is None else ago(lost), BOOK, now, ZONE)


def stood(of: View) -> dict[str, str]:
    return {part.name: part.state for part in of.parts}


def test_all_is_well_only_where_all_was_seen_lately() -> None:
    assert view(seen()).state == "works"
    late = view(seen(), now=NOW + timedelta(seconds=limits.ALERT_STALE_SECONDS + 1))
    assert late.state == "unknown"
    assert late.blind
    assert {part.known for part in late.parts} == {"works"}
    nothing = view(None)
    assert set(stood(nothing).values()) == {"unknown"}
    assert nothing.seen_at is None


def test_while_the_database_is_away_nothing_else_is_known_and_what_was_is_said() -> None:
    away = view(seen(), lost=30)
    assert stood(away) == dict.fromkeys(COMPONENTS, "unknown") | {"database": "down"}
    assert away.state == "down"
    page = Scribe("en", "UTC", "UTC").page(away)
    assert "Our database does not answer since <time" in page
    assert page.count("last known: Works") == 4
    assert "The database did not answer." in page
    assert "Payments are probably not possible" in page
    said = as_json(away)
    assert said["measured"] is False
    assert said["components"][0] | {"days": []} == {
        "name": "payments", "state": "unknown", "last_known": "works", "since": None, "days": [],
    }  # fmt: skip


def test_an_alert_makes_its_component_what_its_rule_says() -> None:
    standings = [
        Standing(each.name, NO_LABELS, "fine", NOW, NOW, 1.0, 2.0) for each in BOOK.rules if each.component
    ]
    alerts = [
        alert("api_down", 60),
        alert("news_waiting", 60),
        alert("connections_scarce", 9, cause="unknown"),
    ]
    assert states(BOOK, alerts, standings) == {
        "payments": ("down", "api_down"),
        "wallets": ("works", ""),
        "webhooks": ("degraded", "news_waiting"),
        "console": ("works", ""),
        "database": ("unknown", "connections_scarce"),
    }
    assert set(states(BOOK, [], [])) == set(COMPONENTS)
    assert {state for state, _ in states(BOOK, [], []).values()} == {"unknown"}


def test_what_fails_during_a_maintenance_is_under_maintenance() -> None:
    words = {"en": Said("Index", "First.\n\nSecond."), "zh-CN": Said("索引", "第一。")}
    notice = Notice(
        new_id(),
        "slower",
        words,
        ago(600),
        ago(-600),
        ago(-900),
        (Told("begun", ago(600)),),
    )
    spans = (*WELL[1:], span("payments", "degraded", 60))
    assert stood(view(seen(spans=spans, maintenance=(notice,))))["payments"] == "maintenance"
    assert stood(view(seen(spans=spans)))["payments"] == "degraded"
    page = Scribe("zh-CN", "Asia/Shanghai", "Asia/Shanghai").page(
        view(seen(spans=spans, maintenance=(notice,)))
    )
    assert "索引" in page
    assert "20:10 UTC+8" in page


def test_troubles_of_one_component_that_belong_together_are_one_incident() -> None:
    found = incidents(
        [
            alert("turns_queueing", 7200, 7000),
            alert("api_down", 6900, 6600),
            alert("api_down", 600),
            alert("bank_silent", 500),
            alert("books_differ", 500),
            alert("locks_waiting", 500, 400, cause="unknown"),
        ],
        BOOK,
    )
    assert [(each.component, len(each.words), each.ended_at) for each in found] == [
        ("wallets", 1, None),
        ("payments", 1, None),
        ("payments", 2, ago(6600)),
    ]


def test_a_day_counts_each_second_once_as_the_worst_that_was_seen_of_it() -> None:
    saw = [
        span("payments", "works", 7200, 3600),
        span("payments", "down", 3600, 3000),
        span("payments", "works", 3000, 0),
        span("payments", "degraded", 3100, 2900),
        Span("database", "down", ago(10_000), ago(9_000), "status"),
    ]
    today = days(saw, NOW, ZONE)["payments"][-1]
    assert (today.down, today.degraded, today.works) == (600 + 1000, 100, 3600 + 2900)
    console = days(saw, NOW, ZONE)["console"][-1]
    assert (console.down, console.works) == (1000, 0)


def test_ninety_days_also_where_a_clock_is_changed() -> None:
    found = days([Span("payments", "works", ago(90 * 86400), NOW)], NOW, ZoneInfo("Europe/Berlin"))[
        "payments"
    ]
    assert [each.day.isoformat() for each in (found[0], found[-1])] == ["2026-01-16", "2026-04-15"]
    assert {each.day.isoformat(): each.works for each in found}["2026-03-29"] == 23 * 3600


@given(
    st.lists(
        st.tuples(
            st.sampled_from(COMPONENTS),
            st.sampled_from(["works", "degraded", "down", "unknown"]),
            st.integers(0, 300_000),
            st.integers(0, 90_000),
        ),
        max_size=30,
    )
)
def test_no_day_is_longer_than_itself_and_nothing_unseen_is_counted(
    made: list[tuple[str, ComponentState, int, int]],
) -> None:
    spans = [
        Span(name, state, ago(begun), ago(max(0, begun - lasted))) for name, state, begun, lasted in made
    ]
    for name, found in days(spans, NOW, ZONE, 5).items():
        assert all(0 <= each.seen <= 86400 for each in found)
        there = [each for each in closed(spans) if each.component in (name, "database")]
        own = sum((each.seen_at - each.begun_at).total_seconds() for each in there)
        assert sum(each.seen for each in found) <= own, name


def test_words_and_zones_are_chosen_by_the_visitor() -> None:
    assert texts("en").keys() == texts("zh-CN").keys()
    assert [language_of(wanted, "zh-TW,en") for wanted in ("en", "xx", None)] == ["en", "zh-CN", "zh-CN"]
    assert [zone_of(wanted, "UTC") for wanted in ("Asia/Tokyo", "../../etc/passwd", None)] == [
        "Asia/Tokyo",
        "UTC",
        "UTC",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_everything_that_can_be(language: str) -> None:
    words = {"en": Said("Index", "Text.")}
    ended = Notice(
        new_id(), "slower", words, ago(900), ago(600), ago(500),
        (Told("begun", ago(900)), Told("completed", ago(600), 3.0)),
    )  # fmt: skip
    others = [
        msgspec.structs.replace(ended, told=(Told("failed", ago(600), downtime),))
        for downtime in (None, 0.0, 7200.0)
    ]
    spans = (
        *WELL,
        span("payments", "down", 4000, 3700),
        span("wallets", "degraded", 50 * 86400, 50 * 86400 - 70),
    )
    full = seen(
        spans=spans,
        alerts=(alert("api_down", 100),),
        past=(alert("bank_silent", 90_000, 80_000),),
        maintained=(ended, *others),
    )
    page = Scribe(language, "UTC", "Asia/Shanghai").page(view(full))
    assert page.count("<section") == 5
    assert page.count("<rect") == 5 * limits.STATUS_DAYS
    assert len(page.encode()) < 60_000
    assert "style=" not in page
    assert "<script" not in page
