"""The vault: sealed columns, their keys, blind indexes and masks. What every column is stands in the packages' columns.toml.

field = vault.field("parties.customers", "name")
key = vault.new_key()                              # its `wrapped` is kept in the customer's row
row.name = field.seal(key, row.id, "王小明")        # bytea
row.name_tag = field.tag("王小明")                  # bytea, if searched; looked for with IN (field.tags(text))
name = field.load(vault.subject_key(row.sealing_key), row.id, row.name)     # Sealed: the text "王**"
await vault.open(name)                             # the plaintext
"""

from tillkeeper.vault.cells import RowId
from tillkeeper.vault.choice import root_of
from tillkeeper.vault.datamap import Treatment, treatments
from tillkeeper.vault.declarations import Catalogue, SealedColumn, Table, UnsealedColumn, catalogue
from tillkeeper.vault.erasure import erase_subjects
from tillkeeper.vault.errors import (
    BrokenCellError,
    CellError,
    DeclarationError,
    DestroyedVersionError,
    ErasedError,
    RootKeyError,
    StaleKeysError,
    UnknownVersionError,
    VaultError,
)
from tillkeeper.vault.keyset import KeyInfo, keys
from tillkeeper.vault.masks import MASKS, mask
from tillkeeper.vault.retention import empty_overdue, overdue
from tillkeeper.vault.roots import FileRoot, RootKey, Wrapped
from tillkeeper.vault.rotation import JOB, NewRoot, Pace, Progress, Proof, Rotation, StuckError, rotate_root
from tillkeeper.vault.sealed import Sealed
from tillkeeper.vault.split import SplitRoot
from tillkeeper.vault.sweeping import Sweep, Sweeper, Swept, past, sweep, sweeps, swept_tables
from tillkeeper.vault.transit import TransitRoot
from tillkeeper.vault.vault import Field, SubjectKey, Vault
from tillkeeper.vault.walk import by_version

__all__ = [
    "JOB",
    "MASKS",
    "BrokenCellError",
    "Catalogue",
    "CellError",
    "DeclarationError",
    "DestroyedVersionError",
    "ErasedError",
    "Field",
    "FileRoot",
    "KeyInfo",
    "NewRoot",
    "Pace",
    "Progress",
    "Proof",
    "RootKey",
    "RootKeyError",
    "Rotation",
    "RowId",
    "Sealed",
    "SealedColumn",
    "SplitRoot",
    "StaleKeysError",
    "StuckError",
    "SubjectKey",
    "Sweep",
    "Sweeper",
    "Swept",
    "Table",
    "TransitRoot",
    "Treatment",
    "UnknownVersionError",
    "UnsealedColumn",
    "Vault",
    "VaultError",
    "Wrapped",
    "by_version",
    "catalogue",
    "empty_overdue",
    "erase_subjects",
    "keys",
    "mask",
    "overdue",
    "past",
    "root_of",
    "rotate_root",
    "sweep",
    "sweeps",
    "swept_tables",
    "treatments",
]
