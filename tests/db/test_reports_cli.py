"""`till report`: what it prints, its exit codes, and that a changed file is found without a database."""

import json
from pathlib import Path

import psycopg
import pytest

from tests.support.command import Till, calling
from tests.support.postgres import Database, apart
from tests.support.upkeep import a_run
from tillkeeper.audit.keys import open_ring
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.reports import Writer, folder_of
from tillkeeper.store import Store


@pytest.fixture
def settings(database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("TILL_HOME", str(tmp_path / "till"))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)
    return Settings(home=tmp_path / "till")


@pytest.fixture
def files(database: Database, settings: Settings, clock: ManualClock) -> list[Path]:
    """The files of one report."""

    async def write() -> None:
        open_ring(settings.key_folder, clock)
        async with (
            await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin,
            Store.opened(database.app_url, size=1) as store,
        ):
            await a_run(admin, clock)
            clock.advance(10)
            assert await Writer(store, settings, clock).beat()

    apart(write())
    return sorted(folder_of(settings).iterdir())


@pytest.fixture
def till(capsys: pytest.CaptureFixture[str]) -> Till:
    return calling(capsys)


def test_a_report_is_listed_shown_and_reviewed(till: Till, files: list[Path]) -> None:
    (listed,) = till("report", "list", "--json").json
    assert (listed["outcome"], listed["owner"], listed["review"]) == ("succeeded", "anna", None)
    assert "nobody; anna is asked" in till("report", "list").out

    shown = till("report", "show", listed["run"])
    assert shown.code == 0
    for words in ("Find payments by reference faster: Done", "40 failed because of it", "The books balance",
                  "Plan more time for: Build the index", *map(str, files)):  # fmt: skip
        assert words in shown.out.replace("\n", "\n"), words
    signed = till("report", "show", listed["report"], "--json").json
    assert signed == json.loads(next(path for path in files if path.suffix == ".json").read_text())

    reviewed = till("report", "review", listed["report"], "--remark", "as planned", "--json").json
    assert reviewed["review"]["remark"] == "as planned"
    again = till("report", "review", listed["report"], "--remark", "me too")
    assert (again.code, "reviewed before" in again.err) == (2, True)
    empty = till("report", "review", listed["report"], "--remark", " ")
    assert (empty.code, "a remark has" in empty.err) == (2, True)
    for wrong in ("rep_x", "run_01h2xcejqtf2nbrexx3vqjhp41"):
        missing = till("report", "show", wrong)
        assert (missing.code, "till report list" in missing.err) == (2, True)


def test_a_changed_file_is_found_without_a_database(
    till: Till, files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TILL_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    for path in files:
        assert till("report", "verify", str(path)).code == 0
    page = next(path for path in files if path.suffix == ".html")
    other = tmp_path / "other.html"
    other.write_text(page.read_text("utf-8").replace("succeeded", "failed"), "utf-8")
    found = till("report", "verify", str(other), "--json")
    assert (found.code, found.json["verdict"]) == (1, "changed")
    other.write_text("<p>anything</p>")
    assert till("report", "verify", str(other)).code == 2
    assert "cannot be read" in till("report", "verify", str(tmp_path / "none")).err
    monkeypatch.setenv("TILL_KEYS", str(tmp_path / "nowhere"))
    assert "no keys to verify with" in till("report", "verify", str(page)).err
