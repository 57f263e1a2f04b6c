"""The log is archived while it is read for a restore: a file listed as not full may be whole, under another name, a moment later."""

from typing import Any, cast

import pytest

from tillkeeper.maintenance.backups.chest import Chest
from tillkeeper.maintenance.backups.repository import AbsentError
from tillkeeper.maintenance.backups.restore import _log_file


class Shelf:
    """A chest with these files."""

    def __init__(self, **files: bytes) -> None:
        self._files = files

    async def read_small(self, name: str) -> bytes:
        try:
            return self._files[name.removeprefix("wal/")]
        except KeyError:
            raise AbsentError(name) from None


async def test_a_file_that_became_whole_meanwhile_is_fetched_whole() -> None:
    shelf: Any = Shelf(**{"0A": b"whole", "0B.partial": b"part"})
    assert await _log_file(cast("Chest", shelf), "0A.partial") == b"whole"
    assert await _log_file(cast("Chest", shelf), "0B.partial") == b"part"
    for name in ("0B", "0C", "0C.partial"):
        with pytest.raises(AbsentError):
            await _log_file(cast("Chest", shelf), name)
