"""A plan as a form and back: what nobody touched stays the same plan, to the hash."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tillkeeper.faces.console import planform
from tillkeeper.maintenance.plans import Mistake, read_plan, templates
from tillkeeper.maintenance.steps import KINDS

ZONE = ZoneInfo("Asia/Shanghai")
WINDOW = """
[window]
begin = 2026-12-01T03:00:00
end = 2026-12-01T05:00:00
overrun = "undo"

[notice]
expect = "slower"
lead_hours = 24.0
text = { en = "Slower\\nfor a while", "zh-CN" = "变慢" }
"""


@pytest.mark.parametrize("name", sorted(templates()))
def test_what_nobody_touched_is_the_same_plan(name: str) -> None:
    text = templates()[name]
    made = read_plan(text if "[notice]" in text else text + WINDOW, ZONE)
    given, mistakes = planform.read_form(planform.fill_form(made, KINDS, ZONE), KINDS, ZONE)
    assert (planform.plan_of(given), mistakes) == (made, [])


def test_every_kind_has_a_form() -> None:
    for name, kind in KINDS.items():
        fields = planform.fields_of(kind)
        assert {each.name for each in fields} == set(kind.parameters.__struct_fields__), name
        assert planform.purpose_of(kind), name


def test_numbers_lists_and_boxes_are_read_as_what_they_are() -> None:
    form = {
        "steps.0.kind": "index.create",
        "steps.0.parameters.table": " payments.refunds ",
        "steps.0.parameters.columns": "state\r\n\r\nid DESC\r\n",
        "steps.0.parameters.unique": "on",
        "steps.3.kind": "rows.archive",
        "steps.3.parameters.batch": "20",
        "steps.3.parameters.older_than_days": "many",
        "steps.3.tries": "2",
    }
    given, mistakes = planform.read_form(form, KINDS, ZONE)
    assert mistakes == []
    assert given["steps"] == [
        {
            "kind": "index.create",
            "parameters": {"table": "payments.refunds", "columns": ["state", "id DESC"], "unique": True},
        },
        {"kind": "rows.archive", "tries": 2, "parameters": {"older_than_days": "many", "batch": 20}},
    ]


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"plan_window.begin": "2026-12-01T03:00"}, "window.end"),
        ({"plan_window.end": "soon"}, "window.end"),
        ({"expected_minutes": "long"}, "expected_minutes"),
        ({"steps.0.kind": "none"}, "steps[0].kind"),
        ({"guardrails.2.measure": "payments.rate", "guardrails.2.limit": "x"}, "guardrails[2].limit"),
    ],
)
def test_what_cannot_be_read_names_its_field(form: dict[str, str], field: str) -> None:
    _, mistakes = planform.read_form(form, KINDS, ZONE)
    assert field in [each.field for each in mistakes]


def test_a_mistake_finds_its_input() -> None:
    cases: dict[str, Any] = {
        "steps[1].parameters.table": "steps.4.parameters.table",
        "steps[0].kind": "steps.2.kind",
        "steps[0].parameters.columns[3]": "steps.2.parameters.columns",
        "guardrails[0]": "guardrails.7",
        "window.end": "plan_window.end",
        "goal": "goal",
    }
    assert {each: planform.input_of(each, [2, 4], [7]) for each in cases} == cases


def test_what_no_plan_can_hold_is_a_mistake() -> None:
    made = planform.plan_of({"goal": 3, "reason": "", "owner": "", "steps": []})
    assert isinstance(made, Mistake)
    assert made.field == "goal"
