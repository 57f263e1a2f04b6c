"""Drafts a notice from the plan: what, when, what will be noticed, what is not affected, what to do about retries.

A plan's goal and its steps are for the team; customers are told only what kind of work it is. What the author wrote takes
the draft's place.
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

from tillkeeper.base import limits
from tillkeeper.maintenance.notices.types import Notice, Words
from tillkeeper.maintenance.plans import Filed, NoticeText, Plan, Step, Window

_WORKS: Final = {
    "backup": "backup",
    "sql": "database",
    "index": "database",
    "table": "database",
    "rows": "database",
    "setting": "setting",
    "workers": "workers",
    "keys": "keys",
}
"""Kinds of work as customers may know them, by the first word of a step's kind."""


def drafted(filed: Filed, begun_at: datetime | None = None) -> Notice:
    """The notice of a plan: of its window, or, without one, of what it is expected to take once it has begun."""
    plan, text = filed.plan, filed.plan.notice or NoticeText()
    window = plan.window
    if window is None:
        assert begun_at is not None  # nobody announces what has no window
        expected = timedelta(seconds=plan.expected_seconds or limits.NOTICE_EXPECTED_SECONDS)
        window = Window(begun_at, begun_at + expected)
    spare_until = window.end + timedelta(minutes=text.spare_minutes)
    words = {language: _words(plan, text, language, window, spare_until) for language in _texts()}
    return Notice(filed.id, text.expect, words, window.begin, window.end, spare_until)


def _words(plan: Plan, text: NoticeText, language: str, window: Window, spare_until: datetime) -> Words:
    said = _texts()[language]
    works = dict.fromkeys(said["works"][_work(step)] for step in plan.steps)
    minutes = -(-int((window.end - window.begin).total_seconds()) // 60)
    paragraphs = (
        said["what"].format(works=said["joiner"].join(works)),
        said["when"].format(**_times(window.begin, window.end, spare_until)),
        said[text.expect].format(minutes=minutes),
        said["unaffected"],
        said["retries"],
    )
    return Words(
        text.title.get(language) or said["title"][text.expect],
        text.text.get(language) or "\n\n".join(paragraphs),
    )


def _work(step: Step) -> str:
    return _WORKS.get(step.kind.partition(".")[0], "other")


def _times(begins: datetime, ends: datetime, spare: datetime) -> dict[str, str]:
    """Only the first names its day, unless a later one is on another."""
    form = "%Y-%m-%d %H:%M"
    return {
        "begins": begins.strftime(form),
        "ends": ends.strftime("%H:%M" if ends.date() == begins.date() else form),
        "spare": spare.strftime("%H:%M" if spare.date() == begins.date() else form),
    }


@cache
def _texts() -> Mapping[str, Any]:
    return tomllib.loads(files(__package__).joinpath("words.toml").read_text("utf-8"))
