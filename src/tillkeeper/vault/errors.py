"""What can go wrong with keys and cells. The messages name places and versions, never values."""

from tillkeeper.store import StoreUnavailableError


class VaultError(Exception):
    """The vault cannot do what was asked."""


class RootKeyError(VaultError):
    """The root key is missing, wrong, or cannot be reached. The message says what that means and what to do."""


class CellError(VaultError):
    """A cell does not open."""


class BrokenCellError(CellError):
    """A cell was cut, changed, or moved here from another place."""


class UnknownVersionError(CellError):
    """A key version that this process does not know (yet)."""


class DestroyedVersionError(CellError):
    """A key version that was destroyed on purpose: nothing will ever open this cell."""


class ErasedError(CellError):
    """The customer's key was destroyed on purpose: nothing will ever open this cell."""


class StaleKeysError(VaultError, StoreUnavailableError):
    """The keys were not read for so long that nothing may be sealed with them: the database is away."""


class DeclarationError(VaultError):
    """A columns.toml cannot be used. The message names the file, the column and the remedy."""
