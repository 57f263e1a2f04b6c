"""`till customer`: hold, release, erase, and what a restore brought back."""

from pathlib import Path

import pytest

from tests.db.test_cli import base, till  # noqa: F401 - fixtures
from tests.support.command import Till
from tests.support.postgres import Database
from tillkeeper import parties
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.parties import Newcomer
from tillkeeper.store import Store
from tillkeeper.vault import FileRoot, Vault

pytestmark = pytest.mark.usefixtures("base")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TILL_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


@pytest.fixture
async def who(database: Database, clock: ManualClock, keys: Path) -> str:
    newcomer = Newcomer(new_id(), "王小明", None, "+8613812345678")
    async with (
        Store.opened(database.app_url) as store,
        Vault.opened(store, FileRoot(keys / "root.key"), clock) as vault,
        store.tx("test") as tx,
    ):
        await parties.add_customer(tx, vault, newcomer, clock.now())
    return to_typeid("cus", newcomer.id)


def test_a_life_with_a_hold_in_it(till: Till, who: str, keys: Path) -> None:  # noqa: F811
    assert till("customer", "hold", who, "--reason", "order 12").out == f"{who} is held.\n"
    refused = till("customer", "erase", who, "--reason", "ticket 4")
    assert refused.code == 2
    assert "under legal hold" in refused.err
    assert "order 12" in refused.err
    assert till("customer", "release-hold", who, "--reason", "closed", "--json").json == {
        "id": who,
        "state": "released",
    }
    assert till("customer", "erase", who, "--reason", "ticket 4").out == f"{who} is erased.\n"
    assert who in (keys / "erasures.jsonl").read_text()
    again = till("customer", "erase", who, "--reason", "ticket 4")
    assert (again.code, "was erased" in again.err) == (2, True)
    assert till("customer", "erase", "--replay", "--json").json == {"erased_again": []}


def test_a_restored_copy_is_told_by_migrate(till: Till, who: str, keys: Path) -> None:  # noqa: F811
    line = f'{{"customer":"{who}","erased_at":"2026-04-15T12:00:00Z","actor":"anna","reason":"ticket 4"}}\n'
    (keys / "erasures.jsonl").write_text(line)
    (keys / "erasures.jsonl").chmod(0o600)
    assert f"erased {who} again" in till("migrate").out
    assert till("migrate", "--json").json["erased_again"] == []
    (keys / "erasures.jsonl").write_text("{}\n" + line)
    damaged = till("migrate")
    assert damaged.code == 2
    assert "line 1: damaged" in damaged.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("erase", "cus_nobody", "--reason", "x"), "no customer's id"),
        (("erase", "cus_01h455vb4pex5vsknk084sn02q", "--reason", "x"), "no such customer"),
        (("erase", "cus_01h455vb4pex5vsknk084sn02q"), "say why"),
        (("erase",), "name one customer"),
        (("erase", "cus_01h455vb4pex5vsknk084sn02q", "--replay"), "name one customer"),
        (("hold", "cus_01h455vb4pex5vsknk084sn02q", "--reason", "call 13812345678"), "phone or id number"),
        (("hold", "cus_01h455vb4pex5vsknk084sn02q", "--reason", "PIN 1234"), "security code or PIN"),
        (("release-hold", "cus_01h455vb4pex5vsknk084sn02q", "--reason", "x"), "not under legal hold"),
    ],
)
@pytest.mark.usefixtures("keys")
def test_what_cannot_be_done(till: Till, arguments: tuple[str, ...], said: str) -> None:  # noqa: F811
    refused = till("customer", *arguments)
    assert refused.code == 2
    assert said in refused.err
    assert "1234" not in refused.err
