"""Files that only this user may read: keys, and what is anchored beside them."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


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
