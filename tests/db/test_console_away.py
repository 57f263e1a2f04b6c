"""The database is away: pages say so soon, in the browser's language and theme; payments go on waiting for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.desk import Colleague, console
from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.faces.console.desk import LANGUAGE_COOKIE, THEME_COOKIE
from tillkeeper.store import Store
from tillkeeper.vault import FileRoot, Vault

HANGS_SECONDS = 60.0
"""Far above what a page waits, and far below what a store waits here: only who waits by the store meets it."""


@pytest.fixture
async def patient(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store that waits ten minutes."""
    monkeypatch.setattr(limits, "POOL_WAIT_SECONDS", 600.0)
    async with Store.opened(database.app_url) as opened:
        yield opened


@asynccontextmanager
async def away(admin: psycopg.AsyncConnection) -> AsyncIterator[None]:
    """The database takes nobody but its superuser for the length of the block, and those that there were are gone."""
    name = admin.info.dbname
    await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0'.encode())
    await admin.execute(
        b"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
        b" WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    try:
        yield
    finally:
        await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1'.encode())


async def pay(store: Store) -> int:
    """As the turn does: a transaction by the store itself."""
    async with store.tx("test") as tx:
        return int(await tx.value(b"SELECT 1"))


async def refused(store: Store) -> None:
    """Until no connection is left of those that broke: from then on whoever asks waits."""
    for _ in range(2 * limits.POOL_MAX):
        with pytest.raises(psycopg.OperationalError):
            await pay(store.hasty(0.05))


async def test_pages_say_at_once_what_is_wrong_while_payments_wait(
    patient: Store, admin: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    async with (
        Vault.opened(patient, FileRoot(tmp_path / "root.key"), SystemClock()) as vault,
        console(patient, vault) as here,
    ):
        anna = await here.sign_in("anna")
        assert (await anna.get("/")).status_code == 200
        async with away(admin):
            await refused(patient)
            paying = asyncio.create_task(pay(patient))
            async with asyncio.timeout(HANGS_SECONDS):
                await says_so(anna)
            assert not paying.done()
        assert await paying == 1


async def test_the_pool_looks_again_every_second_however_long_it_was_away(
    patient: Store, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Payments too are refused for as long as nobody here looks whether the database is back."""
    pool, pauses, enough = patient._pool, list[float](), asyncio.Event()
    plan = pool.schedule_task

    async def planned(task: Any, pause: float) -> None:
        pauses.append(pause)
        if len(pauses) > limits.POOL_MAX:  # each connection's first pause, and the second of one
            enough.set()
        await plan(task, pause)

    async with away(admin):
        monkeypatch.setattr(pool, "schedule_task", planned)
        await refused(patient)
        async with asyncio.timeout(HANGS_SECONDS):
            await enough.wait()
    assert max(pauses) < 1.5
    assert await pay(patient) == 1


async def says_so(anna: Colleague) -> None:
    """The page in both languages and themes, after a look and after a form."""
    answer = await anna.get("/payments?state=declined&note=%22", **browser(anna, "en", "dark"))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "set-cookie" not in answer.headers, "whoever was signed in stays so"
    assert 'lang="en" data-theme="dark"' in answer.text
    assert "PostgreSQL does not answer" in answer.text
    assert "till doctor" in answer.text
    assert 'href="/payments?state=declined&amp;note=%22">Try again</a>' in answer.text
    form = await anna.post("/lists", browser(anna, "zh-CN", "light"), reason="x")
    assert form.status_code == 503
    assert 'lang="zh-CN" data-theme="light"' in form.text
    assert "PostgreSQL 没有应答" in form.text
    assert 'href="/">重试</a>' in form.text


def browser(anna: Colleague, language: str, theme: str) -> dict[str, str]:
    """The cookies of a browser that was set to a language and a theme."""
    kept = f"{LANGUAGE_COOKIE}={language}; {THEME_COOKIE}={theme}"
    return {"cookie": f"{anna._headers['cookie']}; {kept}"}
