"""`till risk logins` and `till risk timeline`: what people and programs are told."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.command import Till, calling
from tests.support.postgres import Database, apart
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.risk import logins
from tillkeeper.store import Answer, Store, Tx


@pytest.fixture
def till(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Till:
    monkeypatch.setenv("TILL_HOME", str(tmp_path))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)
    return calling(capsys)


@pytest.fixture
def ada(database: Database) -> str:
    """A customer who logged in with a wrong password, then the right one, and changed the password."""
    customer = new_id()

    async def anybody(_: Tx, customers: Sequence[UUID]) -> Mapping[UUID, Refusal | None]:
        return dict.fromkeys(customers)

    async def live() -> None:
        async with Store.opened(database.app_url, size=1) as store:
            desk = logins.Desk(store, SystemClock(), "Asia/Shanghai", anybody)
            how: dict[str, Any] = {"ip": "45.9.1.2", "device": "laptop"}
            for command in (
                logins.NewLogin(customer, succeeded=False, **how),
                logins.NewLogin(customer, succeeded=True, **how),
                logins.NewChange(customer, "password", **how),
            ):
                await desk.submit(command, None, lambda _: Answer(201, b""))

    apart(live())
    return to_typeid("cus", customer)


def test_one_customers_timeline(till: Till, ada: str) -> None:
    found = till("risk", "timeline", ada, "--json").json
    assert [(each["kind"], each["what"]) for each in found["data"]] == [
        ("setting", "password"), ("login", "succeeded"), ("login", "failed"),
    ]  # fmt: skip
    assert [each["new_device"] for each in found["data"]] == [False, False, True]
    assert found["next"] is None
    first = till("risk", "timeline", ada, "--limit", "2")
    following = first.out.split("--before ")[1].strip()
    rest = till("risk", "timeline", ada, "--before", following)
    assert (rest.code, rest.out.count("failed"), "(new)" in rest.out) == (0, 1, True)
    assert "没有可比较的登录" in till("risk", "timeline", ada, "--zh").out.replace("\n", "").replace(" ", "")


def test_what_is_no_customer_is_said(till: Till) -> None:
    said = till("risk", "timeline", "ada")
    assert (said.code, "customers look like cus_" in said.err) == (2, True)


def test_the_riskiest_and_the_networks_that_fail(till: Till, ada: str) -> None:
    found = till("risk", "logins", "riskiest", "--json").json
    assert {each["customer"] for each in found["logins"]} == {ada}
    assert found["asked_again"] == {"passed": 0, "failed": 0, "never": 1}
    assert "asked again: 0 passed, 0 failed, 1 never answered" in till("risk", "logins", "riskiest").out
    (network,) = till("risk", "logins", "networks", "--json").json
    assert (network["country"], network["logins"], network["failed"]) == ("DE", 2, 1)
    assert "Hivelocity LLC" in till("risk", "logins", "networks").out
