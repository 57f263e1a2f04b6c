"""Another attack of a kind that lasts: people are told again, once an hour at most, and of each that goes on."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.monitoring.alerting.course import acknowledge, follow, is_another, stand
from tillkeeper.monitoring.alerting.types import (
    TOLD,
    Alert,
    EventKind,
    Judged,
    Standing,
    Warned,
    Words,
    labels_of,
)

START = datetime(2026, 4, 15, 12, tzinfo=UTC)
RULE = Warned(
    name="attack_seen", owner="risk_analyst", severity="page", absent="show", title=Words("An attack", "攻击"),
    signals=("card_testing",),
)  # fmt: skip
LABELS = labels_of(kind="card_testing")
HOUR = limits.ALERT_AGAIN_SECONDS
STEP = limits.ALERT_SECONDS


class Night:
    """Attacks of one kind, followed look by look. `told`: when people were told that it fires, in seconds."""

    def __init__(self, step: float = STEP) -> None:
        self.step = step
        self.second = 0.0
        self.alert: Alert | None = None
        self.standing: Standing | None = None
        self.told: list[float] = []
        self.kinds: list[EventKind] = []

    def look(self, found: list[float]) -> None:
        """One look at attacks that last, given when they were found."""
        self.second += self.step
        newest = START + timedelta(seconds=max(found)) if found else None
        judged = Judged(
            RULE.name, LABELS, "page", "bad" if found else "fine", len(found), None, newest if found else None
        )
        self.standing = stand(self.standing, judged, START + timedelta(seconds=self.second))
        step = follow(self.alert, self.standing, judged, RULE, None, new_id())
        self.alert = step.alert if step.alert is not None and step.alert.open else None
        if step.kind is not None:
            self.kinds.append(step.kind)
        if step.kind in TOLD - {"resolved"}:
            self.told.append(self.second)

    def lasts(self, found: list[float], until: float) -> None:
        while self.second < until:
            self.look(found)

    def is_acknowledged(self) -> None:
        assert self.alert is not None
        self.alert = acknowledge(self.alert, "anna").alert


def test_another_attack_of_a_kind_pages_again_though_the_first_is_looked_after() -> None:
    night = Night()
    night.lasts([0.0], 1200.0)
    night.is_acknowledged()
    night.lasts([0.0], 6 * HOUR)
    assert night.kinds == ["fired"]
    night.lasts([0.0, 6 * HOUR + 5], 7 * HOUR)
    assert night.kinds == ["fired", "refired"]
    assert night.told[-1] - 6 * HOUR <= 2 * STEP
    # Nobody looks after that one yet.
    assert night.alert is not None
    assert (night.alert.state, night.alert.acknowledged_by) == ("firing", None)


def test_what_is_found_soon_after_a_page_waits_for_the_hour_and_is_told_then_if_it_goes_on() -> None:
    night = Night()
    night.lasts([0.0], 1200.0)
    night.is_acknowledged()
    night.lasts([0.0, 1200.0], HOUR)
    assert night.kinds == ["fired"]
    night.lasts([0.0, 1200.0], HOUR + 2 * STEP)
    assert night.kinds == ["fired", "refired"]


def test_what_is_over_within_the_hour_wakes_nobody() -> None:
    night = Night()
    night.lasts([0.0], 1200.0)
    night.is_acknowledged()
    night.lasts([0.0, 1200.0], HOUR - 5 * STEP)
    night.lasts([0.0], 5 * HOUR)
    assert night.kinds == ["fired"]


def test_what_began_with_the_page_is_what_people_were_told_of() -> None:
    """A signal may be read before its look's own time, or written a moment after it: neither is another attack."""
    told = START
    late = START + timedelta(hours=2)
    for seconds in (-5.0, 0.0, 0.5, limits.ALERT_TOGETHER_SECONDS):
        assert not is_another(told, told + timedelta(seconds=seconds), late)
    assert is_another(told, told + timedelta(seconds=limits.ALERT_TOGETHER_SECONDS + 1), late)
    assert not is_another(None, late, late)
    assert not is_another(told, None, late)


@given(
    st.lists(
        st.tuples(st.integers(0, 8 * 60), st.integers(1, 3 * 60), st.booleans()), min_size=1, max_size=40
    )
)
def test_a_storm_pages_once_an_hour_and_nothing_that_goes_on_stays_untold(
    attacks: list[tuple[int, int, bool]],
) -> None:
    """A look a minute. Attacks: when found, how many minutes they last, whether somebody then acknowledges what fires."""
    night, minute = Night(60.0), 60
    for place in range(12 * 60):
        night.look([at * 60.0 for at, lasts, _ in attacks if at <= place < at + lasts])
        if night.alert is not None and any(at == place and tired for at, _, tired in attacks):
            night.is_acknowledged()
    firing = [kind for kind in night.kinds if kind in TOLD and kind != "resolved"]
    for before, after, kind in zip(night.told, night.told[1:], firing[1:], strict=False):
        assert kind == "fired" or after - before >= HOUR
    for at, lasts, _ in attacks:
        if lasts * minute > HOUR + 2 * minute:
            since = at * minute - limits.ALERT_TOGETHER_SECONDS
            assert any(since <= told <= at * minute + HOUR + 2 * minute for told in night.told)
