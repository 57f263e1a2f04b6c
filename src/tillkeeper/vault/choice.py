"""Which root key the settings name."""

from pathlib import Path
from typing import Final

from tillkeeper.base.settings import Settings
from tillkeeper.vault.errors import RootKeyError
from tillkeeper.vault.roots import FileRoot, RootKey
from tillkeeper.vault.split import SplitRoot
from tillkeeper.vault.transit import TransitRoot

FILE: Final = "root.key"
TOKEN: Final = "transit.token"  # noqa: S105 - the name of a file


def root_of(settings: Settings, chosen: str | None = None) -> RootKey:
    """The place of root keys that the settings, or `chosen` in its stead, name. Raises RootKeyError.

    "file", "split:<path>,<path>" or "transit:<url>".
    """
    name = chosen or settings.root_key
    kind, _, where = name.partition(":")
    paths = [Path(each) for each in where.split(",") if each]
    if name == "file":
        return FileRoot(settings.key_folder / FILE)
    if kind == "split" and len(paths) == 2:
        return SplitRoot(*paths)
    if kind == "transit" and where:
        return TransitRoot(where, settings.key_folder / TOKEN)
    raise RootKeyError(f"root key {name!r}: file, split:<path>,<path> or transit:<url>")
