"""Both languages say everything, with the same places to fill, and nothing that no page asks for."""

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

from tillkeeper import access
from tillkeeper.base.results import PROBLEMS
from tillkeeper.faces import console
from tillkeeper.faces.console.pages import errors
from tillkeeper.faces.console.texts import DEFAULT, LANGUAGES, Texts, choose, read_texts
from tillkeeper.monitoring import METRICS
from tillkeeper.payments.render import PAYER_PREFIX
from tillkeeper.payments.states import MOVES
from tillkeeper.risk import OUTCOMES

FOLDER = Path(console.__file__).parent
SOURCES = [*FOLDER.rglob("*.py"), *FOLDER.rglob("*.html")]
_KEY = re.compile(r"""["']([a-z_]+(?:\.[a-z_0-9]+)+)["']""")
_COMPOSED = re.compile(r"""["']([a-z_.]+\.)["']\s*(?:\+|~)|f["']([a-z_.]+\.)\{|named\(["']([a-z_]+)["']""")
# Named through variables: units by Renderer.ago, errors by their status, the two kinds of parties by their section.
_GROUPS_BY_CODE = {"unit", "error", "customers", "merchants"}


@pytest.fixture(scope="module")
def texts() -> dict[str, Texts]:
    return read_texts()


def asked() -> set[str]:
    """Every key that stands as a literal in a page or module."""
    words = {found for source in SOURCES for found in _KEY.findall(source.read_text("utf-8"))}
    return {word for word in words if not word.endswith((".html", ".css", ".js", ".svg", ".toml"))}


def groups() -> set[str]:
    """Every group whose keys are put together from a code."""
    found = {
        next(filter(None, match)).rstrip(".")
        for s in SOURCES
        for match in _COMPOSED.findall(s.read_text("utf-8"))
    }
    chips = {g for s in SOURCES for g in re.findall(r'chip\("([a-z]+)"', s.read_text("utf-8"))}
    choices = {
        g for s in SOURCES for g in re.findall(r'choices\("[a-z]+", [a-z]+, "([a-z]+)"', s.read_text("utf-8"))
    }
    return found | chips | choices | _GROUPS_BY_CODE


def test_the_languages_have_the_same_keys(texts: dict[str, Texts]) -> None:
    english = set(texts["en"].all_keys())
    for language in LANGUAGES:
        assert set(texts[language].all_keys()) == english, language


def test_the_languages_fill_the_same_places(texts: dict[str, Texts]) -> None:
    def places(words: Texts, key: str) -> set[str | None]:
        return {field for _, field, _, _ in Formatter().parse(words._words[key]) if field}

    for key in texts["en"].all_keys():
        assert places(texts["en"], key) == places(texts["zh-CN"], key), key


def test_every_key_asked_for_exists(texts: dict[str, Texts]) -> None:
    known = set(texts["en"].all_keys())
    known_groups = {key.rpartition(".")[0] for key in known} | {key.partition(".")[0] for key in known}
    missing = {key for key in asked() - known if key.partition(".")[0] in known_groups}
    # actions of the audit, of the policies, deeds and metrics look like keys and are none
    deeds = {key.removeprefix("deed.") for key in known if key.startswith("deed.")}
    done = {key.removeprefix("act.") for key in known if key.startswith("act.")}
    assert missing <= done | deeds | access.policies().actions.keys() | METRICS.keys()


def test_no_text_lies_unused(texts: dict[str, Texts]) -> None:
    used, composed = asked(), groups()
    unused = {
        key for key in texts["en"].all_keys() if key not in used and key.rpartition(".")[0] not in composed
    }
    assert {key for key in unused if key.partition(".")[0] not in composed} == set()


def test_every_code_that_data_may_bring_has_words(texts: dict[str, Texts]) -> None:
    for words in texts.values():
        known = set(words.all_keys())
        assert {f"state.{state}" for state in MOVES} <= known
        assert {f"became.{state}" for state in MOVES} <= known
        assert {f"kind.{kind}" for kind in PAYER_PREFIX} <= known
        assert {f"risk.{outcome}" for outcome in OUTCOMES} <= known
        assert {f"story.decided.{outcome}" for outcome in OUTCOMES} <= known
        assert {
            f"error.{status}.{part}" for status in errors._KNOWN | {500, 503} for part in ("title", "text")
        } <= known
        declined = {"insufficient_funds", "daily_limit_exceeded", "denied_by_risk", "refused_by_reviewer",
                    "rejected_by_bank", "challenge_exhausted", "expired"}  # fmt: skip
        assert declined <= set(PROBLEMS)
        assert {f"failure.{code}" for code in declined} <= known


def test_every_act_on_record_has_words(texts: dict[str, Texts]) -> None:
    """Acts that are put together from a code (an approval's state) are listed by hand."""
    house = FOLDER.parents[1]
    acts = {
        str(call.args[2].value)
        for source in house.rglob("*.py")
        for call in ast.walk(ast.parse(source.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in {"audit.append", "append", "_note"}
        and len(call.args) > 3
        and isinstance(call.args[2], ast.Constant)
    }
    assert len(acts) > 30
    states = {f"approval.{state}" for state in ("given", "refused", "withdrawn", "stale")}
    for words in texts.values():
        assert {f"act.{act}" for act in acts | states} <= set(words.all_keys())


def test_a_code_without_words_is_shown_as_it_is(texts: dict[str, Texts]) -> None:
    assert texts["zh-CN"].named("failure", "brand_new") == "brand_new"
    with pytest.raises(KeyError):
        texts["en"]("no.such")


@pytest.mark.parametrize(
    ("wanted", "accepted", "chosen"),
    [
        ("zh-CN", "en", "zh-CN"),
        ("xx", "zh;q=0.9,en", "zh-CN"),
        (None, "de,zh-TW;q=0.8,en;q=0.5", "zh-CN"),
        (None, "en-GB,zh", "en"),
        (None, "", DEFAULT),
        (None, ";;,,=", DEFAULT),
    ],
)
def test_the_language_is_the_cookies_then_the_browsers(
    wanted: str | None, accepted: str, chosen: str
) -> None:
    assert choose(wanted, accepted) == chosen
