"""How money, shares, times and addresses are written."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tillkeeper.faces.console.desk import own_path
from tillkeeper.faces.console.pages.sign_in import _token
from tillkeeper.faces.console.render import Renderer
from tillkeeper.faces.console.texts import read_texts

NOON = datetime(2026, 4, 15, 12, 0, 1, 234_000, tzinfo=UTC)


@pytest.fixture(scope="module")
def english() -> Renderer:
    return Renderer(read_texts()["en"], ZoneInfo("Asia/Shanghai"), {})


@pytest.fixture(scope="module")
def chinese() -> Renderer:
    return Renderer(read_texts()["zh-CN"], ZoneInfo("Asia/Shanghai"), {})


def test_money_is_written_as_its_people_read_it(english: Renderer, chinese: Renderer) -> None:
    assert english.money(123_456, "USD") == "$1,234.56"
    assert chinese.money(123_456, "CNY") == "¥1,234.56"
    assert english.money(5, "JPY") == "¥5"
    assert chinese.compact(151_576_033, "CNY") == "¥151.58万"
    assert english.compact(151_576_033, "USD") == "$1.52M"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 7, "0.0 %"), (1, 3, "33.3 %"), (9_999, 10_000, "99.9 %"), (1, 1, "100.0 %"), (1, 5_000, "<0.1 %")],
)
def test_a_share_is_never_all_nor_nothing_by_rounding(
    english: Renderer, part: int, whole: int, text: str
) -> None:
    assert english.percent(part, whole) == text


def test_times_are_the_businesss_with_utc_beside(english: Renderer) -> None:
    written = english.time(NOON)
    assert ">2026-04-15 20:00:01<" in written
    assert 'title="2026-04-15 12:00:01.234 UTC"' in written
    assert ">20:00:01<" in english.after(NOON, NOON - timedelta(hours=2))
    assert ">2026-04-15 20:00:01<" in english.after(NOON, NOON - timedelta(hours=21))


def test_durations(english: Renderer, chinese: Renderer) -> None:
    assert [english.milliseconds(us) for us in (0, 1_840, 9_999, 10_000, 1_205_300)] == [
        "0.0 ms", "1.8 ms", "9.9 ms", "10 ms", "1,205 ms",
    ]  # fmt: skip
    spans = [timedelta(seconds=-3), timedelta(seconds=59), timedelta(minutes=90), timedelta(days=3)]
    assert [english.ago(NOON - span, NOON) for span in spans] == ["0 s", "59 s", "1 h", "3 d"]
    assert chinese.ago(NOON - timedelta(minutes=5), NOON) == "5 分钟"
    assert english.basis_points(60) == "0.60 %"


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example", "", "a", "/a\nb"]
)
def test_no_path_leads_away(path: str) -> None:
    assert own_path(path) == "/"


def test_a_path_of_ours_stays() -> None:
    assert own_path("/payments?state=declined") == "/payments?state=declined"


def test_a_token_is_found_in_a_pasted_link() -> None:
    assert _token(" abc ") == "abc"
    assert _token("http://127.0.0.1:8081/sign-in?token=abc&next=/") == "abc"
