"""Plans and calendars as text: what is wrong is named with its field and the remedy; what is right comes back the same."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillkeeper.maintenance.plans import (
    Guardrail,
    NoticeText,
    Plan,
    ReadingError,
    Step,
    Window,
    check,
    read_calendar,
    read_plan,
    templates,
    write_plan,
)
from tillkeeper.maintenance.steps import KINDS

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
HEAD = 'goal = "g"\nreason = "r"\nowner = "anna"\n'
STEP = '[[steps]]\nkind = "table.analyze"\n[steps.parameters]\ntable = "payments.payments"\n'

RAIL = '[[guardrails]]\nmeasure = "payments.success_rate"\n'

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts.filter(bool), inner, max_size=3),
    max_leaves=5,
)
seconds = st.none() | st.floats(0, 1e6)
words = st.dictionaries(st.sampled_from(["en", "zh-CN"]), texts, max_size=2)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
plans = st.builds(
    Plan,
    texts,
    texts,
    texts,
    st.lists(
        st.builds(Step, texts, st.dictionaries(texts.filter(bool), values, max_size=3), texts, seconds),
        max_size=2,
    ).map(tuple),
    st.lists(texts, max_size=2).map(tuple),
    st.none()
    | st.builds(
        Window, instants, instants, st.sampled_from(["finish", "pause", "undo"]), st.none() | instants
    ),
    st.lists(st.builds(Guardrail, texts, seconds, seconds), max_size=2).map(tuple),
    st.none()
    | st.builds(
        NoticeText, st.sampled_from(["nothing", "slower"]), st.floats(0, 100), title=words, text=words
    ),
    seconds,
)


@settings(max_examples=50)
@given(plans)
def test_what_is_written_is_read_back_with_the_same_hash(plan: Plan) -> None:
    read = read_plan(write_plan(plan), ZONE)
    assert read == plan
    assert read.digest == plan.digest
    assert msgspec.json.decode(plan.content, type=Plan).digest == plan.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("goal = ", "plan is no TOML"),
        ('goal = "g"', "missing required field `reason`: add it"),
        (HEAD + 'steps = []\nwindows = "x"', "unknown field `windows`: take it away"),
        (HEAD + "steps = 3", "steps: Expected `array`, got `int`: give it that type"),
        (HEAD + "[[steps]]\ntitle = 'x'", "steps[0]: missing required field `kind`: add it"),
        (HEAD + STEP + "[window]\nbegin = 2026-11-23T01:00:00\nend = 5", "window.end: Expected `datetime`"),
        (HEAD + STEP + '[notice]\nexpect = "doom"', "notice.expect: Invalid enum value 'doom'"),
        ("x" * 300_000, "longer than"),
    ],
)
def test_what_is_no_plan_is_said_plainly(text: str, said: str) -> None:
    with pytest.raises(ReadingError) as caught:
        read_plan(text, ZONE)
    assert said in str(caught.value)


def test_times_without_a_zone_are_the_business_zones_and_one_moment_has_one_hash() -> None:
    window = "[window]\nbegin = {}\nend = 2026-11-24T00:00:00Z\n"
    texts = [
        window.format(each)
        for each in ("2026-11-23T01:00:00", "2026-11-23T01:00:00+08:00", "2026-11-22T17:00:00Z")
    ]
    read = [read_plan(HEAD + STEP + text, ZONE) for text in texts]
    assert {each.digest for each in read} == {read[0].digest}
    assert read[0].window is not None
    assert read[0].window.begin == datetime(2026, 11, 22, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        (HEAD.replace('"g"', '" "') + STEP, "goal", "say it in a sentence"),
        (HEAD.replace('"r"', '"ask 13800138000"') + STEP, "reason", "name a ticket"),
        (HEAD + "steps = []", "steps", "1 to 50"),
        (
            HEAD + STEP.replace("table.analyze", "table.analyse"),
            "steps[0].kind",
            "did you mean table.analyze?",
        ),
        (HEAD + STEP.replace("table.analyze", "zzz"), "steps[0].kind", "there are: "),
        (HEAD + STEP.replace("table =", "tabel ="), "steps[0].parameters", "takes table"),
        (HEAD + STEP.replace('"payments.payments"', "3"), "steps[0].parameters.table", "Expected `str`"),
        (
            HEAD + STEP.replace("payments.payments", "payments"),
            "steps[0].parameters.table",
            "another form, as in payments.payments",
        ),
        (HEAD + STEP.replace("table = ", "# "), "steps[0].parameters.table", "it is missing"),
        (HEAD + STEP.replace("[steps.p", "tries = 9\n[steps.p"), "steps[0].tries", "1 to 5"),
        (
            HEAD + STEP.replace("[steps.p", "timeout_seconds = 0\n[steps.p"),
            "steps[0].timeout_seconds",
            "more than 0",
        ),
        (
            HEAD + STEP + "[window]\nbegin = 2026-12-02T01:00:00\nend = 2026-12-02T00:00:00",
            "window.end",
            "after",
        ),
        (
            HEAD + STEP + "[window]\nbegin = 2026-11-01T01:00:00\nend = 2026-11-02T00:00:00",
            "window.end",
            "past",
        ),
        (
            HEAD
            + STEP
            + "[window]\nbegin = 2026-12-01T01:00:00\nend = 2026-12-02T00:00:00\nlast_start = 2026-12-03T00:00:00",
            "window.last_start",
            "within",
        ),
        (
            HEAD + STEP + '[[guardrails]]\nmeasure = "payments.rates"\nlimit = 1.0',
            "guardrails[0].measure",
            "did you mean payments.rate?",
        ),
        (HEAD + STEP + '[[guardrails]]\nmeasure = "payments.rate"', "guardrails[0]", "worse_by"),
        (
            HEAD + STEP + '[[guardrails]]\nmeasure = "payments.rate"\nlimit = 1.0\nseconds = 0.0',
            "guardrails[0].seconds",
            "up to",
        ),
        (HEAD + STEP + RAIL + "limit = nan", "guardrails[0].limit", "a number"),
        (HEAD + STEP + RAIL + "limit = -inf", "guardrails[0].limit", "a number"),
        (HEAD + STEP + RAIL + "worse_by = inf", "guardrails[0].worse_by", "0 or more"),
        (HEAD + "expected_seconds = inf\n" + STEP, "expected_seconds", "up to"),
        # Nobody could reckon with such moments, and notices of other plans would not be told either.
        (HEAD + STEP + "[notice]\nlead_hours = 1e300", "notice.lead_hours", "0 to"),
        (HEAD + STEP + "[notice]\nspare_minutes = 1000000000000", "notice.spare_minutes", "0 to"),
        (HEAD + STEP + '[notice.title]\nzh = "x"', "notice.title.zh", "zh-CN"),
    ],
)
def test_each_mistake_names_its_field_and_the_remedy(text: str, field: str, said: str) -> None:
    mistakes = check(read_plan(text, ZONE), KINDS, NOW)
    assert mistakes
    assert mistakes[0].field.startswith(field)
    assert said in mistakes[0].said


def test_every_template_is_a_plan_that_can_be_carried_out() -> None:
    found = templates()
    assert len(found) >= 7
    for name, text in found.items():
        assert check(read_plan(text, ZONE), KINDS, NOW) == [], name
        assert text.startswith("# "), f"{name} says what it is for"


def test_a_calendar_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "calendar.toml"
    for text, said in {
        'country = "XX"': "no public holidays are known for 'XX'",
        "pay_days = [40]": "pay_days[0]: Expected `int` <= 31",
        '[[windows]]\nname = "n"\nbegin = "25:00"\nend = "02:00"': "windows[0].begin",
        '[[windows]]\nname = "n"\nbegin = "01:00"': "windows[0]: missing required field `end`: add it",
    }.items():
        file.write_text(text, "utf-8")
        with pytest.raises(ReadingError) as caught:
            read_calendar(file)
        assert said in str(caught.value)
    with pytest.raises(ReadingError, match="calendar_file"):
        read_calendar(tmp_path / "none.toml")
    assert read_calendar(None).country == "CN"
