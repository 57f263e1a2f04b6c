"""`till people` and `till console link` over a database: the team by shell."""

from typing import Any

import psycopg
import pytest

from tests.support.command import Till, calling
from tests.support.postgres import Database
from tillkeeper import access
from tillkeeper.faces.cli import links


@pytest.fixture
def till(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any, database: Database
) -> Till:
    monkeypatch.setenv("TILL_HOME", str(tmp_path))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)
    monkeypatch.setattr("tillkeeper.faces.cli.links.user_name", lambda: "Newcomer")

    return calling(capsys)


def team(till: Till) -> dict[str, dict[str, Any]]:
    return {each["person"]: each for each in till("people", "list", "--json").json["data"]}


def test_the_first_of_all_needs_no_role(till: Till) -> None:
    url = till("console", "link", "--json").json["url"]
    assert url.startswith("http://localhost:8081/sign-in?token=")
    (newcomer,) = team(till).values()
    assert newcomer["person"] == "newcomer"
    assert newcomer["roles"] == list(access.WORKING_ROLES)
    assert newcomer["second_factor"] is False
    assert till("console", "link").out.startswith("http://localhost:8081/sign-in?token=")


def test_after_that_nobody_is_made_by_mistake(till: Till) -> None:
    till("people", "invite", "anna", "--role", "support")
    for arguments in ((), ("--person", "ana")):
        said = till("console", "link", *arguments)
        assert said.code == 2
        assert "nobody here" in said.err
        assert "--role" in said.err
    assert list(team(till)) == ["anna"]
    assert till("console", "link", "--person", "carl", "--role", "auditor").code == 0
    assert team(till)["carl"]["roles"] == ["auditor"]
    other = till("console", "link", "--person", "carl", "--role", "operator")
    assert (other.code, "till people roles carl" in other.err) == (2, True)
    assert till("console", "link", "--person", "carl", "--role", "auditor").code == 0
    unknown = till("console", "link", "--person", "dora", "--role", "king")
    assert (unknown.code, "risk_analyst" in unknown.err) == (2, True)


def test_invite_roles_suspend_and_sessions(till: Till) -> None:
    said = till("people", "invite", "anna", "--role", "risk_analyst", "--name", "Anna Schmidt")
    assert said.out.startswith("http://localhost:8081/sign-in?token=")
    assert "Anna Schmidt" in said.out
    assert till("people", "invite", "anna", "--json").code == 2
    changed = till("people", "roles", "anna", "--role", "support", "--role", "operator", "--json").json
    assert changed["roles"] == ["operator", "support"]
    assert (
        "operator, support" in till("people", "roles", "anna", "--role", "operator", "--role", "support").out
    )
    assert till("people", "roles", "ghost", "--role", "operator").code == 2
    two = till("people", "roles", "anna", "--role", "system_admin", "--role", "audit_admin")
    assert (two.code, "at most one of" in two.err) == (2, True)
    assert till("people", "suspend", "anna", "--reason", "left", "--json").json["state"] == "suspended"
    assert team(till)["anna"]["state"] == "suspended"
    refused = till("console", "link", "--person", "anna")
    assert (refused.code, "--lift" in refused.err) == (2, True)
    assert "active" in till("people", "suspend", "anna", "--lift").out
    assert till("console", "link", "--person", "anna").code == 0
    assert "Anna Schmidt" in till("people", "list").out
    assert till("people", "sessions", "--json").json == {"data": [], "ended": 0}
    assert "0 sessions ended" in till("people", "sessions", "anna", "--end").out
    assert till("people", "sessions", "--end").code == 2


def test_a_setting_chooses_the_address_in_links(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILL_CONSOLE_URL", "https://console.example/")
    assert till("console", "link").out.startswith("https://console.example/sign-in?token=")
    for wrong in (
        "console.example",
        "https://console.example/path",
        "https://user@console.example",
        "ftp://x",
    ):
        monkeypatch.setenv("TILL_CONSOLE_URL", wrong)
        said = till("console", "link")
        assert (said.code, "console_url" in said.err) == (2, True), wrong


def test_the_secret_of_the_identity_provider_is_not_shown(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILL_OIDC_ISSUER", "https://login.example")
    said = till("people", "list")
    assert (said.code, "oidc_client_id" in said.err) == (2, True)
    monkeypatch.setenv("TILL_OIDC_CLIENT_ID", "till")
    monkeypatch.setenv("TILL_OIDC_CLIENT_SECRET", "geheim")
    out = till("doctor", "--json").out
    assert "geheim" not in out
    assert '"oidc_client_secret","value":"***"' in out


@pytest.mark.parametrize(
    ("user", "handle"),
    [
        ("root", "root"),
        ("Anna Schmidt", "annaschmidt"),
        ("HOUSE\\anna", "houseanna"),
        ("_www", "www"),
        ("王", "owner"),
    ],
)
def test_the_systems_user_becomes_a_handle(monkeypatch: pytest.MonkeyPatch, user: str, handle: str) -> None:
    monkeypatch.setattr("tillkeeper.faces.cli.links.user_name", lambda: user)
    assert links.own_handle() == handle


async def test_up_prints_a_link_only_while_nothing_else_lets_one_in(
    till: Till, database: Database, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tillkeeper.base.settings import read_settings
    from tillkeeper.store import Store

    chosen = read_settings({"TILL_DATABASE_URL": database.app_url})
    async with Store.opened(database.app_url, size=1) as store:
        assert await links.first_link(store, chosen)
        assert await links.first_link(store, chosen)
        await admin.execute(
            "INSERT INTO access.passkeys VALUES ('\\x01', 'newcomer', 'phone', '\\x02', 0, now(), NULL)"
        )
        assert await links.first_link(store, chosen) is None
        monkeypatch.setattr("tillkeeper.faces.cli.links.user_name", lambda: "stranger")
        assert await links.first_link(store, chosen) is None
