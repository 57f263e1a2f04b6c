"""A sealed value as it travels through the program."""

from typing import Final, Self

from tillkeeper.vault.cells import RowId

ERASED: Final = ""


class Sealed(str):
    """A text that IS its mask: whatever prints, logs, joins or renders it shows the mask.

    What it stands for is opened only by `Vault.open`. `column` is "schema.table.column"; `erased`: nothing opens it any
    more. Two sealed values with the same mask are equal as texts: compare rows, not these.
    """

    __slots__ = ("cell", "column", "erased", "row", "wrapped_key")

    cell: bytes
    column: str
    erased: bool
    row: RowId
    wrapped_key: bytes | None

    def __new__(
        cls, mask: str, column: str, row: RowId, cell: bytes, wrapped_key: bytes | None = None
    ) -> Self:
        """`mask` is what the world sees; an empty cell is an erased one."""
        made = super().__new__(cls, mask)
        made.column = column
        made.row = row
        made.cell = cell
        made.wrapped_key = wrapped_key
        made.erased = not cell
        return made

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Copied or pickled, it is only the mask: what leaves the process cannot be opened."""
        return str, (str(self),)
