"""The doctor on keys, seal and people: what it names, and what it never calls fine."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.support.postgres import Database
from tillkeeper import audit, vault
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.findings import Finding
from tillkeeper.faces.cli.strongroom import (
    OLD_KEY,
    factor_finding,
    folder_finding,
    key_findings,
    seal_finding,
    strongroom_findings,
)
from tillkeeper.store import Store

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def key(version: int, state: str, age: timedelta = timedelta(days=3)) -> vault.KeyInfo:
    return vault.KeyInfo("C2", "data", version, state, "root", NOW - age, NOW - age, None)


@pytest.mark.parametrize(
    ("keys", "state"),
    [
        ([key(1, "active")], "fine"),
        ([key(1, "destroyed"), key(2, "active")], "fine"),
        ([key(1, "active", OLD_KEY + timedelta(days=1))], "notice"),
        ([key(1, "decrypt_only"), key(2, "active")], "notice"),
        ([key(1, "decrypt_only")], "wrong"),
    ],
)
def test_versions_and_ages(keys: list[vault.KeyInfo], state: str) -> None:
    (found,) = key_findings(keys, NOW)
    assert found.state == state
    assert f"version {keys[-1].version}" in found.detail
    assert "days old" in found.detail


def test_the_seal() -> None:
    fine = audit.Standing(None, 0, 0.0, ())
    assert seal_finding(fine).state == "fine"
    late = msgspec.structs.replace(fine, waiting=3, lag=60.0)
    assert (seal_finding(late).state, seal_finding(late, working=False).state) == ("wrong", "notice")
    failing = seal_finding(msgspec.structs.replace(fine, failing=("file audit-anchors.jsonl",)))
    assert failing.state == "wrong"
    assert "audit-anchors.jsonl" in failing.detail


def test_people_without_a_second_factor_are_named() -> None:
    assert factor_finding([]).state == "fine"
    found = factor_finding(["anna", "bela", "carl", "dora", "emil", "fred", "gina"])
    assert found.state == "notice"
    assert found.detail == "without one: anna, bela, carl, dora, emil and 2 more"


def test_the_folder(tmp_path: Path) -> None:
    assert folder_finding(Settings(home=tmp_path / "home")).state == "fine"
    assert folder_finding(Settings(home=tmp_path / "home", keys=tmp_path / "home" / "keys")).state == "wrong"
    open_to_all = tmp_path / "keys"
    open_to_all.mkdir(mode=0o755)
    assert folder_finding(Settings(keys=open_to_all)).state == "wrong"


async def looked_at(store: Store, chosen: Settings) -> dict[str, Finding]:
    return {found.name: found async for found in strongroom_findings(store, chosen, SystemClock())}


async def test_a_database_with_and_without_its_root_key(database: Database, tmp_path: Path) -> None:
    chosen = Settings(home=tmp_path / "home")
    async with Store.opened(database.app_url, size=4) as store:
        before = await looked_at(store, chosen)
        assert before["root key"].state == "not assessed"
        assert not chosen.key_folder.exists()  # a look makes nothing
        async with vault.Vault.opened(store, vault.root_of(chosen), SystemClock()):
            pass
        sealed = await looked_at(store, chosen)
        assert sealed["root key"].state == "fine"
        assert {"key C2 data", "key C2 index", "key C3 data"} <= sealed.keys()
        (chosen.key_folder / "root.key").rename(tmp_path / "away")
        lost = await looked_at(store, chosen)
        assert lost["root key"].state == "wrong"
        assert "root.key" in lost["root key"].detail
        assert lost["key C2 data"].state == "fine"  # the rest is still looked at
