"""The embedded server: shared by its users, stopped by the last, back after a SIGKILL, clear when it cannot."""

import asyncio
import multiprocessing
import os
import pwd
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import apart
from tillkeeper.base import limits
from tillkeeper.store import embedded
from tillkeeper.store.embedded import EmbeddedError, EmbeddedServer
from tillkeeper.store.programs import Account


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home whose database was made once. Tests leave it as it was: stopped and usable."""
    home = Path(tempfile.mkdtemp(prefix="till-embedded-"))

    async def make() -> None:
        async with EmbeddedServer(home, durable=False).running():
            pass

    apart(make())
    yield home
    shutil.rmtree(home)


@pytest.fixture
def spoilt(home: Path) -> Iterator[Path]:
    """A copy of it, to be spoilt."""
    copy = Path(tempfile.mkdtemp(prefix="till-embedded-"))
    shutil.copytree(home / "postgres", copy / "postgres", copy_function=_copy_with_owner)
    for folder, _, _ in os.walk(home / "postgres"):
        _copy_owner(Path(folder), copy / Path(folder).relative_to(home))
    yield copy
    shutil.rmtree(copy)


def _copy_with_owner(source: str, target: str) -> None:
    shutil.copy2(source, target)
    _copy_owner(Path(source), Path(target))


def _copy_owner(source: Path, target: Path) -> None:
    found = source.stat()
    os.chown(target, found.st_uid, found.st_gid)
    target.chmod(stat.S_IMODE(found.st_mode))


@pytest.fixture
async def server(home: Path) -> AsyncIterator[EmbeddedServer]:
    async with EmbeddedServer(home, durable=False).running() as started:
        yield started


async def ask(url: str, question: str) -> object:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(question.encode())
        row = await cursor.fetchone() if cursor.description else None
        return row[0] if row else None


async def complaint(url: str) -> str:
    """What the server has against a connection; nothing if it lets it in."""
    try:
        await ask(url, "SELECT 1")
    except psycopg.OperationalError as error:
        return str(error)
    return ""


async def test_both_roles_come_in_and_the_application_owns_nothing(server: EmbeddedServer) -> None:
    assert await ask(server.admin_url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is True
    assert await ask(server.app_url, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles"
                     " WHERE rolname = current_user") is False  # fmt: skip


async def test_safe_by_default_and_no_port_open(home: Path) -> None:
    async with EmbeddedServer(home).running() as server:
        settings = ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "jit")
        found = [await ask(server.app_url, f"SHOW {name}") for name in settings]
    assert found == ["on", "on", "on", "", "off"]


async def test_socket_lets_nobody_else_in(server: EmbeddedServer) -> None:
    socket = server.home / "socket"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    # The kernel's word counts, not the claimed name: a person missing in pg_ident.conf is refused.
    (server.data / "pg_ident.conf").write_text("till somebody_else postgres\n")
    os.kill(server.pid or 0, signal.SIGHUP)
    said = ""
    for _ in range(200):
        said = said or await complaint(server.admin_url)
        await asyncio.sleep(0 if said else 0.05)
    assert "peer authentication failed" in said.lower()


async def test_last_user_stops_it(home: Path) -> None:
    first, second = EmbeddedServer(home, durable=False), EmbeddedServer(home, durable=False)
    await first.start()
    pid = first.pid
    await second.start()
    assert second.pid == pid
    await first.stop()
    assert second.pid == pid
    assert await ask(second.app_url, "SELECT 1") == 1
    await second.stop()
    assert second.pid is None
    with pytest.raises(EmbeddedError, match="not started"):
        _ = first.app_url


async def test_two_that_start_together_share_one(home: Path) -> None:
    servers = [EmbeddedServer(home, durable=False) for _ in range(3)]
    await asyncio.gather(*(server.start() for server in servers))
    assert len({server.pid for server in servers}) == 1
    await asyncio.gather(*(server.stop() for server in servers))
    assert servers[0].pid is None


async def test_comes_back_after_sigkill_with_what_was_committed(home: Path) -> None:
    async with EmbeddedServer(home).running() as server:
        await ask(server.admin_url, "CREATE TABLE kept (x integer)")
        await ask(server.admin_url, "INSERT INTO kept VALUES (7) RETURNING x")
        # A client holds a backend: PostgreSQL must wait for it to notice that the server is gone.
        async with await psycopg.AsyncConnection.connect(server.app_url):
            os.kill(server.pid or 0, signal.SIGKILL)
            async with EmbeddedServer(home).running() as again:
                assert await ask(again.admin_url, "SELECT x FROM kept") == 7


async def test_pid_file_of_a_killed_server_may_name_another_program(home: Path) -> None:
    server = EmbeddedServer(home, durable=False)
    await server.start()
    pid_file = server.data / "postmaster.pid"
    left = pid_file.read_text()
    await server.stop()
    # As after a container was restarted: the number is now that of this very process.
    pid_file.write_text("\n".join([str(os.getpid()), *left.split("\n")[1:]]))
    assert server.pid is None
    async with server.running():
        assert await ask(server.app_url, "SELECT 1") == 1


async def test_cancelled_start_leaves_no_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedServer(home, durable=False)
    begin, begun, cancelled = server._ensure_running, threading.Event(), threading.Event()

    def slowly(account: Account) -> Path:
        begun.set()
        assert cancelled.wait(60)
        return begin(account)

    monkeypatch.setattr(server, "_ensure_running", slowly)
    starting = asyncio.create_task(server.start())
    await asyncio.to_thread(begun.wait)
    starting.cancel()
    await asyncio.sleep(0)
    cancelled.set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert server.pid is None


async def test_long_home_gets_a_short_socket(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 30)
    home.mkdir()
    (home / "postgres.new").mkdir()  # what a killed initdb left behind
    async with EmbeddedServer(home, durable=False).running() as server:
        assert await ask(server.app_url, "SELECT 1") == 1
        socket_dir = embedded._choose_socket_dir(home)
        assert (socket_dir / ".s.PGSQL.5432").is_socket()
    assert not socket_dir.exists()


async def test_full_disk_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EMBEDDED_FREE_BYTES", 1 << 62)
    with pytest.raises(EmbeddedError, match=r"MiB free .* make room, or set TILL_HOME"):
        await EmbeddedServer(tmp_path).start()
    assert not (tmp_path / "postgres").exists()


async def test_home_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match=r"TILL_HOME .* cannot be used"):
        await EmbeddedServer(tmp_path / "file" / "home").start()


async def test_broken_settings_are_explained(spoilt: Path) -> None:
    with (spoilt / "postgres/postgresql.auto.conf").open("a") as file:
        file.write("shared_buffers = 'much'\n")
    with pytest.raises(EmbeddedError, match="shared_buffers"):
        await EmbeddedServer(spoilt, durable=False).start()


async def test_socket_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    home = tmp_path / ("deep" * 30)
    planted = embedded._choose_socket_dir(home)
    planted.symlink_to(tmp_path)
    with pytest.raises(EmbeddedError, match="belongs to somebody else"):
        await EmbeddedServer(home, durable=False).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_ordinary_user() -> None:
    nobody = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="till-embedded-"))
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    child = multiprocessing.get_context("fork").Process(target=_as_nobody, args=(nobody.pw_uid, home))
    child.start()
    child.join(60)
    owner = (home / "postgres").stat().st_uid
    shutil.rmtree(home)
    assert (child.exitcode, owner) == (0, nobody.pw_uid)


def _as_nobody(uid: int, home: Path) -> None:
    os.setgroups([])
    os.setuid(uid)

    async def work() -> None:
        async with EmbeddedServer(home, durable=False).running() as server:
            assert await ask(server.app_url, "SELECT 1") == 1
            assert await ask(server.admin_url, "SELECT 1") == 1

    asyncio.run(work())


@pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user nothing needs to be opened")
async def test_root_opens_the_way_but_no_more(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    async with EmbeddedServer(private / "home", durable=False).running() as server:
        assert await ask(server.app_url, "SELECT 1") == 1
    assert stat.S_IMODE(private.stat().st_mode) == 0o701


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
async def test_folder_of_another_owner_is_explained(spoilt: Path) -> None:
    os.chown(spoilt / "postgres", 0, 0)
    with pytest.raises(EmbeddedError, match=r"ermission denied .*give it back to the user that made it"):
        await EmbeddedServer(spoilt, durable=False).start()
