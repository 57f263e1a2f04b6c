"""What is kept, what is due, which of the log is needed: pure decisions."""

import hashlib
import io
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillkeeper.base import limits
from tillkeeper.maintenance.backups import retention, walnames
from tillkeeper.maintenance.backups.chest import Manifest
from tillkeeper.maintenance.backups.files import FileList, ListSeeker
from tillkeeper.maintenance.backups.schedule import due
from tillkeeper.maintenance.backups.types import Backup, BackupError, Drill, Order, OrderKind

NOON = datetime(2026, 4, 15, 12, tzinfo=UTC)
ZONE = "Asia/Shanghai"  # its quiet hour, 03:00, is 19:00 UTC


def manifest(number: int, parent: int | None, days_ago: float) -> Manifest:
    at = NOON - timedelta(days=days_ago)
    kind = "full" if parent is None else "incremental"
    lsn = f"0/{number:X}000028"
    return Manifest(
        UUID(int=number),
        kind,  # type: ignore[arg-type]
        UUID(int=parent) if parent else None,
        at,
        at,
        "7",
        1,
        lsn,
        lsn,
        1,
        1,
        UUID(int=number),
    )


def week(first: int, days_ago: float, length: int = 7) -> list[Manifest]:
    """A full backup and its incremental ones, a day apart."""
    return [manifest(first + n, first + n - 1 if n else None, days_ago - n) for n in range(length)]


# -- what is kept


def test_chains_are_kept_whole_and_the_old_ones_go_whole() -> None:
    weeks = [week(1 + 10 * n, 70 - 7 * n) for n in range(10)]
    there = [each for chain in weeks for each in chain]
    gone = retention.late(there, set(), NOON)
    kept = [chain for chain in weeks if not set(chain) & set(gone)]
    assert [each for chain in weeks if chain not in kept for each in chain] == gone
    assert kept == [chain for chain in weeks if NOON - chain[-1].ended_at <= timedelta(days=28)]


def test_the_newest_chains_stay_whatever_their_age() -> None:
    there = week(1, 300) + week(11, 200) + week(21, 100)
    assert retention.late(there, set(), NOON) == week(1, 300)


def test_the_last_proven_backup_stays_until_a_younger_one_is_proven() -> None:
    there = week(1, 300) + week(11, 200) + week(21, 100)
    assert retention.late(there, {there[3].id}, NOON) == []
    assert retention.late(there, {there[3].id, there[-1].id}, NOON) == week(1, 300)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 7)), max_size=12), st.data())
def test_pruning_never_leaves_less_than_there_must_be(
    weeks: list[tuple[int, int]], data: st.DataObject
) -> None:
    there = [each for n, (ago, length) in enumerate(weeks) for each in week(1 + 10 * n, ago, length)]
    good = (
        set(data.draw(st.lists(st.sampled_from([each.id for each in there]), max_size=3))) if there else set()
    )
    kept = [each for each in there if each not in retention.late(there, good, NOON)]
    ids = {each.id for each in kept}
    assert all(each.parent is None or each.parent in ids for each in kept)
    assert len([each for each in kept if each.kind == "full"]) >= min(len(weeks), limits.BACKUP_KEEP_CHAINS)
    if good:
        assert good & ids


def test_what_an_incremental_builds_on() -> None:
    assert retention.parent([]) is None
    there = week(1, 20) + week(11, 3, length=2)
    assert retention.parent(there) == there[-1]
    assert retention.parent(week(1, 8, length=limits.BACKUP_CHAIN)) is None, "a long chain ends"
    assert retention.parent([manifest(2, 1, 1)]) is None, "its full backup is gone"


def test_a_backup_that_a_wrong_clock_dated_is_built_on_like_any_other() -> None:
    there = [manifest(1, None, -365), manifest(2, 1, 3), manifest(3, 2, 2)]
    assert retention.chains(there) == [there]
    assert retention.parent(there) == there[-1]
    assert retention.late(there, set(), NOON + timedelta(days=60)) == []


# -- what is due


def backup(kind: str, hours_ago: float, state: str = "done") -> Backup:
    at = NOON - timedelta(hours=hours_ago)
    parent = None if kind == "full" else UUID(int=1)
    return Backup(UUID(int=2), kind, parent, state, "", at, at, 1, 1, 1, "0/1", "0/2", "", None)  # type: ignore[arg-type]


def tried(hours_ago: float, *, passed: bool = True) -> Drill:
    at = NOON - timedelta(hours=hours_ago)
    return Drill(UUID(int=3), UUID(int=2), at, passed, 1.0, 1.0, (), "", at, at)


def asked(kind: OrderKind, state: str, minutes_ago: float = 10) -> Order:
    at = NOON - timedelta(minutes=minutes_ago)
    return Order(UUID(int=4), kind, "schedule", at, state, at if state != "running" else None, "")  # type: ignore[arg-type]


LONG_AGO = NOON - timedelta(days=30)


@pytest.mark.parametrize(
    ("backups", "drills", "orders", "wanted"),
    [
        ([], [], [], "full"),
        ([], [], [asked("full", "failed")], None),
        ([], [], [asked("full", "failed", 61)], "full"),
        ([], [], [asked("full", "running")], None),
        ([backup("full", 1, "failed")], [], [], "full"),
        ([backup("full", 1)], [], [], "drill"),
        ([backup("full", 1)], [tried(1, passed=False)], [], "drill"),
        ([backup("full", 1)], [tried(1, passed=False)], [asked("drill", "failed")], None),
        ([backup("full", 1)], [tried(1)], [], None),
        ([backup("full", 16)], [tried(1)], [], None),  # the night was 17 hours ago
        ([backup("full", 18)], [tried(1)], [], "incremental"),
        ([backup("full", 18)], [tried(1)], [asked("drill", "failed")], "incremental"),
        ([backup("incremental", 18), backup("full", 17 + 24 * 7)], [tried(1)], [], "full"),
        ([backup("incremental", 1), backup("full", 90)], [tried(24 * 8)], [], "drill"),
        ([backup("incremental", 1), backup("full", 90)], [tried(24 * 5)], [], None),
    ],
)
def test_what_is_due(
    backups: list[Backup], drills: list[Drill], orders: list[Order], wanted: OrderKind | None
) -> None:
    assert due(NOON, LONG_AGO, ZONE, backups, drills, orders) == wanted


def test_what_a_clock_dated_into_the_future_keeps_nothing_from_being_due() -> None:
    year = -24 * 365.0
    ahead = [backup("full", year)]
    assert due(NOON, LONG_AGO, ZONE, ahead, [tried(year)], []) == "full"
    there = [*ahead, backup("full", 18)]
    assert due(NOON, LONG_AGO, ZONE, there, [tried(year), tried(1)], []) == "incremental"
    failed = asked("full", "failed", year * 60)
    assert due(NOON, LONG_AGO, ZONE, there, [tried(1)], [failed]) == "incremental"


def test_a_new_platform_starts_first() -> None:
    soon = NOON - timedelta(seconds=limits.BACKUP_FIRST_SECONDS - 1)
    assert due(NOON, soon, ZONE, [], [], []) is None
    assert due(NOON + timedelta(seconds=1), soon, ZONE, [], [], []) == "full"


# -- the log


def name(number: int, timeline: int = 1) -> str:
    return f"{timeline:08X}{number // 256:08X}{number % 256:08X}"


def test_places_and_names_of_segments() -> None:
    assert walnames.segment_of("0/2000028") == 2
    assert walnames.segment_of("1/0") == 256
    assert walnames.number_of(name(258)) == 258
    assert walnames.number_of(name(258) + ".partial") == 258
    assert walnames.number_of("00000002.history") is None


def test_what_a_restore_needs_of_the_log() -> None:
    there = [name(1), name(2), name(3), name(4) + ".partial", "00000002.history"]
    assert walnames.needed(there, "0/2000120") == ["00000002.history", *there[1:4]]


def test_a_restore_stops_before_a_gap() -> None:
    assert walnames.needed([name(2), name(4)], "0/2000120") == [name(2)]
    assert walnames.needed([name(3)], "0/2000120") == []


def test_a_whole_segment_stands_for_its_partial_one() -> None:
    assert walnames.needed([name(2), name(2) + ".partial"], "0/2000120") == [name(2)]


def test_both_timelines_of_a_fork_are_brought() -> None:
    there = [name(2), name(3), name(3, 2), name(4, 2)]
    assert walnames.needed(there, "0/2000120") == there


def test_how_far_the_log_reaches_is_asked_of_every_timeline() -> None:
    there = ["00000002.history", name(2), name(7), name(3, 2), name(4, 2) + ".partial"]
    assert walnames.newest(there) == [name(7), name(4, 2) + ".partial"]


def test_the_log_goes_with_the_oldest_backup() -> None:
    there = [name(1), name(2), name(2, 2), name(3), "00000002.history"]
    assert walnames.outlived(there, "0/2000028") == [name(1)]


# -- PostgreSQL's list of files


LIST = (
    b'{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": 7,\n"Files": [\n'
    b'{ "Path": "base/1", "Size": 3, "Last-Modified": "x", "Checksum-Algorithm": "SHA256", "Checksum": "%s" }\n],\n'
    b'"WAL-Ranges": [\n{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000120" }\n],\n'
)


def listed(content: bytes = b"abc") -> bytes:
    body = LIST % hashlib.sha256(content).hexdigest().encode()
    return body + b'"Manifest-Checksum": "' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def test_the_list_is_read_and_a_folder_compared(tmp_path: Path) -> None:
    files = FileList.read(listed())
    assert (files.timeline, files.start_lsn, files.end_lsn) == (1, "0/2000028", "0/2000120")
    assert list(files.faults(tmp_path)) == ["base/1 is missing"]
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "1").write_bytes(b"abc")
    (tmp_path / "pg_wal").mkdir()
    (tmp_path / "pg_wal" / name(2)).write_bytes(b"")
    assert list(files.faults(tmp_path)) == []
    (tmp_path / "base" / "1").write_bytes(b"abd")
    (tmp_path / "base" / "2").write_bytes(b"")
    assert list(files.faults(tmp_path)) == [
        "base/2 should not be there",
        "base/1 has other bytes than were backed up",
    ]
    (tmp_path / "base" / "1").write_bytes(b"abcd")
    assert "base/1 has 4 bytes instead of 3" in list(files.faults(tmp_path))


def test_a_changed_list_is_found() -> None:
    with pytest.raises(BackupError, match="damaged"):
        FileList.read(listed().replace(b'"Size": 3', b'"Size": 4'))


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=2000), max_size=4), st.integers(1, 3000))
def test_the_list_is_found_in_the_stream(members: list[bytes], step: int) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for place, content in enumerate([*members, listed()]):
            info = tarfile.TarInfo("backup_manifest" if place == len(members) else f"base/{place}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    seeker, stream = ListSeeker(), whole.getvalue()
    for at in range(0, len(stream), step):
        seeker.feed(stream[at : at + step])
    assert seeker.found == listed()
