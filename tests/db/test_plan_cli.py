"""`till plan` from the outside: a file checked, filed, found, taken back; the calendar and windows; what stands in the way."""

from pathlib import Path

import pytest

from tests.db.test_cli import base, till  # noqa: F401 - fixtures
from tests.support.command import Till
from tests.support.plans import a_plan
from tillkeeper.maintenance.plans import write_plan

pytestmark = pytest.mark.usefixtures("base")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TILL_KEYS", str(tmp_path / "keys"))
    found = tmp_path / "plan.toml"
    found.write_text(write_plan(a_plan()), "utf-8")
    return found


def test_a_file_is_checked_filed_shown_and_taken_back(till: Till, file: Path) -> None:  # noqa: F811
    checked = till("plan", "check", str(file), "--json")
    assert (checked.code, checked.json["mistakes"]) == (0, [])
    filed = till("plan", "submit", str(file), "--json").json
    assert (filed["state"], filed["digest"]) == ("submitted", checked.json["digest"])
    assert [each["id"] for each in till("plan", "list", "--json").json] == [filed["id"]]
    assert filed["id"] in till("plan", "list").out
    shown = till("plan", "show", filed["id"])
    assert "Step 1    table.analyze  Look at the payments" in shown.out
    assert "none of exactly this plan" in shown.out
    again = file.with_name("again.toml")
    again.write_text(till("plan", "show", filed["id"], "--toml").out, "utf-8")
    assert till("plan", "check", str(again), "--json").json["digest"] == filed["digest"]
    started = till("plan", "start", filed["id"])
    assert (started.code, "Nobody has agreed" in started.err) == (2, True)
    assert till("plan", "withdraw", filed["id"]).out == f"{filed['id']} is withdrawn.\n"
    assert till("plan", "withdraw", filed["id"]).code == 2
    assert till("plan", "list", "--json").json == []
    assert [each["state"] for each in till("plan", "list", "--all", "--json").json] == ["withdrawn"]


def test_what_is_wrong_is_said_with_a_remedy(till: Till, file: Path) -> None:  # noqa: F811
    file.write_text(file.read_text("utf-8").replace("table.analyze", "table.analyse"), "utf-8")
    checked = till("plan", "check", str(file))
    assert (checked.code, "did you mean table.analyze?" in checked.out) == (1, True)
    filed = till("plan", "submit", str(file))
    assert (filed.code, "steps[0].kind" in filed.err, "did you mean" in filed.err) == (2, True, True)
    file.write_text("goal = 3", "utf-8")
    assert "goal: Expected `str`" in till("plan", "check", str(file)).err
    assert "cannot read" in till("plan", "check", str(file.with_name("none.toml"))).err
    assert "they begin with pln_" in till("plan", "show", "run_1").err
    assert "There is no such plan" in till("plan", "show", "pln_00000000000000000000000001").err


def test_templates_are_where_one_begins(till: Till, tmp_path: Path) -> None:  # noqa: F811
    names = till("plan", "template", "--json").json
    assert {"index", "setting", "rolling-restart", "key-rotation", "archive"} <= names.keys()
    file = tmp_path / "index.toml"
    file.write_text(till("plan", "template", "index").out, "utf-8")
    assert till("plan", "check", str(file)).code == 0
    assert "there are: " in till("plan", "template", "none").err


def test_windows_are_proposed_and_the_calendar_is_shown(
    till: Till,  # noqa: F811
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proposed = till("plan", "suggest-window", str(file), "--json").json
    assert len(proposed["suggestions"]) == 3
    assert len(proposed["traffic"]["rates"]) == 168
    said = till("plan", "suggest-window", str(file)).out
    assert "Mon  " in said
    assert "traffic at that hour is not known yet" in said
    calendar = till("plan", "calendar", "--days", "30", "--json").json
    assert {each["kind"] for each in calendar["denied"]} >= {"pay_day", "cut_off"}
    assert "pay day" in till("plan", "calendar", "--days", "30").out
    own = file.with_name("calendar.toml")
    own.write_text("[[window]]", "utf-8")
    monkeypatch.setenv("TILL_CALENDAR_FILE", str(own))
    assert "unknown field `window`" in till("plan", "calendar").err


def test_preflight_names_what_stands_in_the_way(till: Till, file: Path) -> None:  # noqa: F811
    filed = till("plan", "submit", str(file), "--json").json
    looked = till("plan", "preflight", filed["id"], "--json")
    found = {each["code"]: each["ok"] for each in looked.json["findings"]}
    assert looked.code == 1
    assert not any(found[each] for each in ("not_rehearsed", "no_backup", "nobody_there", "alerts_unseen"))
    assert all(found[each] for each in ("long_transactions", "connections", "replicas", "keys", "alone"))
    assert "STOP  there is no backup: till backup now" in till("plan", "preflight", filed["id"]).out
