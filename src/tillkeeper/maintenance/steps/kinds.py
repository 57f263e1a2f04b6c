"""Every kind of step. A new one is a file beside this and a name in the list below."""

from types import MappingProxyType
from typing import Final

from tillkeeper.maintenance.steps.index_create import IndexCreate
from tillkeeper.maintenance.steps.index_drop import IndexDrop
from tillkeeper.maintenance.steps.keys_rotate import KeysRotate
from tillkeeper.maintenance.steps.setting_change import SettingChange
from tillkeeper.maintenance.steps.table_tend import TableAnalyze, TableVacuum
from tillkeeper.maintenance.steps.types import Kind, Kinds

_ALL: Final[tuple[Kind, ...]] = (
    IndexCreate(),
    IndexDrop(),
    TableVacuum(),
    TableAnalyze(),
    SettingChange(),
    KeysRotate(),
)

KINDS: Final[Kinds] = MappingProxyType({kind.name: kind for kind in _ALL})
