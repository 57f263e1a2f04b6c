"""Every kind of step. A new one is a file beside this and a name in the list below."""

from types import MappingProxyType
from typing import Final

from tillkeeper.maintenance.steps.backup import BackupDrill, BackupTake
from tillkeeper.maintenance.steps.command_run import CommandRun
from tillkeeper.maintenance.steps.index_create import IndexCreate
from tillkeeper.maintenance.steps.index_drop import IndexDrop
from tillkeeper.maintenance.steps.index_rebuild import IndexRebuild
from tillkeeper.maintenance.steps.keys_rotate import KeysRotate
from tillkeeper.maintenance.steps.rows_archive import RowsArchive
from tillkeeper.maintenance.steps.setting_change import SettingChange
from tillkeeper.maintenance.steps.sql_backfill import SqlBackfill
from tillkeeper.maintenance.steps.sql_contract import SqlContract
from tillkeeper.maintenance.steps.sql_expand import SqlExpand
from tillkeeper.maintenance.steps.table_tend import TableAnalyze, TableVacuum
from tillkeeper.maintenance.steps.types import Kind, Kinds
from tillkeeper.maintenance.steps.workers_restart import WorkersRestart

_ALL: Final[tuple[Kind, ...]] = (
    BackupTake(),
    BackupDrill(),
    SqlExpand(),
    SqlBackfill(),
    SqlContract(),
    IndexCreate(),
    IndexDrop(),
    IndexRebuild(),
    TableVacuum(),
    TableAnalyze(),
    SettingChange(),
    WorkersRestart(),
    KeysRotate(),
    RowsArchive(),
    CommandRun(),
)

KINDS: Final[Kinds] = MappingProxyType({kind.name: kind for kind in _ALL})
