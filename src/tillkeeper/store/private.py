"""Files that only this user may read: keys, and what is anchored beside them."""

import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

_LONGEST_LINE: Final = 64 * 1024


class PrivateFileError(Exception):
    """A key file cannot be used. The message names the file and the remedy."""


def read_private(path: Path) -> bytes | None:
    """The content of a private file; None if there is none.

    Raises PrivateFileError when it cannot be read, or when others than its owner may.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise PrivateFileError(f"{path} can be read by others: chmod 600 {path}")
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PrivateFileError(f"{path} cannot be read: {error.strerror}") from error


def make_private(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of a private file, which is made if there is none: of two processes that make it, one wins.

    Raises PrivateFileError.
    """
    if (found := read_private(path)) is not None:
        return found
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, does not replace what somebody else made in between; and it is never half written.
        os.link(draft, path)
        # The database is about to rely on it: a power cut must not leave that without this.
        for folder in (path.parent, path.parent.parent):
            _sync_folder(folder)
    except FileExistsError:
        pass
    except OSError as error:
        raise PrivateFileError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    found = read_private(path)
    if found is None:
        raise PrivateFileError(f"{path} vanished while it was made: look who deletes there")
    return found


def replace_private(path: Path, content: bytes) -> None:
    """Write a private file, in place of another of that name; whoever reads it sees the one or the other, whole.

    Raises PrivateFileError.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise PrivateFileError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def append_private(path: Path, line: bytes) -> None:
    """Add a line to a private file, for good: when this returns it is on the disk. Several processes take turns.

    What a crash left of a line is cut off first. Raises PrivateFileError.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.ftruncate(file, _end_of_lines(file))
            os.lseek(file, 0, os.SEEK_END)
            if os.write(file, line + b"\n") <= len(line):
                raise OSError(0, "the disk took only a part of the line")
            os.fsync(file)
        finally:
            os.close(file)
        _sync_folder(path.parent)
    except OSError as error:
        raise PrivateFileError(f"{path} cannot be written: {error.strerror}") from error


def _end_of_lines(file: int) -> int:
    """Where the last whole line ends. Raises OSError for a file that is not made of lines."""
    size = os.fstat(file).st_size
    start = max(0, size - _LONGEST_LINE)
    end = os.pread(file, size - start, start).rfind(b"\n")
    if end < 0 < start:
        raise OSError(0, "it is not made of lines")
    return start + end + 1


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
