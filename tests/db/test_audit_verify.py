"""Verification against whoever rules the database: edit, deletion, insertion, reorder, tail cut, complete rewrite.

Each attack is planted by the superuser. The best informed attacker also mends what he can reach: the leaves, the heads, the
public keys in the database. What he cannot reach is the signing key, and the anchors.
"""

import errno
import os
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import psycopg
import pytest

from tests.support.postgres import fresh_database
from tests.support.trail import Trail, states
from tillkeeper import audit
from tillkeeper.audit import Fault
from tillkeeper.audit.anchors import FileAnchor
from tillkeeper.audit.form import event_form
from tillkeeper.audit.keys import Ring, new_key
from tillkeeper.audit.tree import Frontier, leaf_hash
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.store import Store
from tillkeeper.store.embedded import EmbeddedServer

Admin = psycopg.AsyncConnection
FILE = "file audit-anchors.jsonl"
ACTS = [f"act.{n}" for n in range(8)]

# The attacker's tools.
FORM = b"""
SELECT id::text, trunc(extract(epoch FROM at) * 1000000)::text, actor, action, subject, reason, origin, result, xid::text
FROM audit.events JOIN audit.leaves ON event = id ORDER BY seq
"""


@pytest.fixture
async def trail(store: Store, tmp_path: Path, admin: Admin) -> AsyncIterator[Trail]:
    """Eight events, each under a head of its own, all anchored."""
    made = Trail(store, tmp_path / "keys", SystemClock())
    for act in ACTS:
        await made.seal(act)
    assert (await made.verify()).state == "holds"
    await admin.execute("SET session_replication_role = replica")
    yield made
    await made.sealer.stop()


async def event_at(admin: Admin, seq: int) -> str:
    cursor = await admin.execute("SELECT event::text FROM audit.leaves WHERE seq = %s", (seq,))
    row = await cursor.fetchone()
    assert row is not None
    found: str = row[0]
    return found


async def mend_leaves(admin: Admin) -> None:
    """Hash the events anew, as they are now."""
    cursor = await admin.execute(FORM)
    for row in await cursor.fetchall():
        await admin.execute(
            "UPDATE audit.leaves SET hash = %s WHERE event = %s", (leaf_hash(event_form(row)), row[0])
        )


async def mend_heads(admin: Admin, *, forge: bool = False) -> None:
    """Compute the roots anew, as the leaves are now; with `forge` also signatures, by a key of the attacker's own."""
    ring = Ring(
        (await (await admin.execute("SELECT trail FROM audit.heads")).fetchall())[0][0],
        (new_key(SystemClock()),),
    )
    leaves = [
        bytes(each)
        for (each,) in await (await admin.execute("SELECT hash FROM audit.leaves ORDER BY seq")).fetchall()
    ]
    await admin.execute("DELETE FROM audit.heads WHERE size > %s", (len(leaves),))
    frontier, now = Frontier(), SystemClock().now()
    for size, each in enumerate(leaves, 1):
        frontier.append(each)
        params: dict[str, object] = {"root": frontier.root(), "frontier": frontier.written(), "size": size}
        await admin.execute(
            "UPDATE audit.heads SET root = %(root)s, frontier = %(frontier)s WHERE size = %(size)s", params
        )
        if forge:
            head = audit.Head(ring.trail, size, frontier.root(), now, ring.current.id, b"")
            params |= {"signature": ring.sign(head.form()), "at": now, "key": head.key}
            await admin.execute(
                "UPDATE audit.heads SET signature = %(signature)s, at = %(at)s, key = %(key)s WHERE size = %(size)s",
                params,
            )
    if forge:
        await admin.execute("DELETE FROM audit.keys")
        public = bytes.fromhex(ring.current.public)
        await admin.execute("INSERT INTO audit.keys VALUES (%s, %s, now())", (ring.current.id, public))


async def first(trail: Trail, part: str) -> Fault:
    """The first fault; it must be of this part, and the whole broken."""
    report = await trail.verify()
    assert report.state == "broken"
    assert states(report)[part] == "broken"
    return next(fault for fault in report.faults if fault.part == part)


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'nobody'",
        "action = action || '.'",
        "subject = ''",
        "reason = 'other'",
        "origin = ''",
        "result = 'failed'",
        "at = at + interval '1 microsecond'",
        "at = 'infinity'",
        "xid = '7'",
    ],
)
async def test_an_edited_event_is_named(trail: Trail, admin: Admin, change: str) -> None:
    event = await event_at(admin, 3)
    await admin.execute(f"UPDATE audit.events SET {change} WHERE id = %s".encode(), (event,))
    report = await trail.verify()
    assert [(fault.seq, fault.event) for fault in report.faults] == [(3, event)]
    assert report.first is not None
    assert "not as it was sealed" in report.first.what
    assert states(report) == {"events": "broken", "signatures": "holds", "waiting": "holds", FILE: "holds"}


async def test_an_edited_event_with_its_leaf_mended_is_named_by_the_root(trail: Trail, admin: Admin) -> None:
    event = await event_at(admin, 3)
    await admin.execute("UPDATE audit.events SET actor = 'nobody' WHERE id = %s", (event,))
    await mend_leaves(admin)
    report = await trail.verify()
    assert [(fault.part, fault.seq, fault.event) for fault in report.faults] == [("events", 3, event)]


async def test_an_edit_with_leaves_and_roots_mended_lacks_our_signature_and_contradicts_the_anchor(
    trail: Trail, admin: Admin
) -> None:
    event = await event_at(admin, 3)
    await admin.execute("UPDATE audit.events SET actor = 'nobody' WHERE id = %s", (event,))
    await mend_leaves(admin)
    await mend_heads(admin)
    fault = await first(trail, "signatures")
    assert (fault.seq, fault.event) == (3, event)
    fault = await first(trail, FILE)
    assert (fault.seq, fault.event) == (3, event)
    assert "rewritten" in fault.what


async def test_a_complete_rewrite_with_the_attackers_own_key_is_found(trail: Trail, admin: Admin) -> None:
    await admin.execute("UPDATE audit.events SET actor = 'nobody'")
    await mend_leaves(admin)
    await mend_heads(admin, forge=True)
    report = await trail.verify()
    assert states(report) == {"events": "holds", "signatures": "broken", "waiting": "holds", FILE: "broken"}
    assert report.first is not None
    assert (report.first.seq, report.first.event) == (0, await event_at(admin, 0))


async def test_a_rewrite_that_the_sealer_went_on_from_is_found_by_the_anchor(
    trail: Trail, admin: Admin
) -> None:
    """He deletes everything but some events of his own, and waits for the agent to seal and sign those."""
    await admin.execute("TRUNCATE audit.leaves, audit.heads, audit.keys")
    await admin.execute("DELETE FROM audit.events WHERE action NOT IN ('act.0', 'act.1', 'act.2')")
    await admin.execute("UPDATE audit.events SET actor = 'nobody' WHERE action = 'act.1'")
    await trail.restart()
    await trail.seal("after")
    report = await trail.verify()
    assert states(report) == {"events": "holds", "signatures": "holds", "waiting": "holds", FILE: "broken"}
    fault = await first(trail, FILE)
    assert fault.seq == 0


@pytest.mark.parametrize("mended", [(), ("leaf",)])
async def test_a_deleted_event_is_named(trail: Trail, admin: Admin, mended: Sequence[str]) -> None:
    event = await event_at(admin, 5)
    await admin.execute("DELETE FROM audit.events WHERE id = %s", (event,))
    if mended:
        await admin.execute("DELETE FROM audit.leaves WHERE seq = 5")
    fault = await first(trail, "events")
    assert fault.seq == 5
    assert fault.event == (None if mended else event)
    assert "gone" in fault.what


async def test_a_deleted_event_with_the_rest_moved_up_is_found(trail: Trail, admin: Admin) -> None:
    await admin.execute("DELETE FROM audit.events WHERE id = %s", (await event_at(admin, 5),))
    await admin.execute("DELETE FROM audit.leaves WHERE seq = 5")
    for seq in (6, 7):
        await admin.execute("UPDATE audit.leaves SET seq = seq - 1 WHERE seq = %s", (seq,))
    fault = await first(trail, "events")
    assert (fault.seq, fault.event) == (5, await event_at(admin, 5))


async def test_an_event_put_in_between_is_found(trail: Trail, admin: Admin) -> None:
    for seq in range(7, 1, -1):
        await admin.execute("UPDATE audit.leaves SET seq = seq + 1 WHERE seq = %s", (seq,))
    cursor = await admin.execute(
        "INSERT INTO audit.events (id, actor, action, subject) VALUES (uuidv7(), 'a', 'planted', 'x') RETURNING id::text"
    )
    row = await cursor.fetchone()
    assert row is not None
    await admin.execute("INSERT INTO audit.leaves VALUES (2, %s, '')", row)
    await mend_leaves(admin)
    fault = await first(trail, "events")
    assert (fault.seq, fault.event) == (2, row[0])


async def test_reordered_events_are_named(trail: Trail, admin: Admin) -> None:
    moved = await event_at(admin, 4)
    for was, becomes in ((2, 100), (4, 2), (100, 4)):
        await admin.execute("UPDATE audit.leaves SET seq = %s WHERE seq = %s", (becomes, was))
    fault = await first(trail, "events")
    assert (fault.seq, fault.event) == (2, moved)


async def test_within_one_batch_the_frontier_narrows_where_it_was(
    store: Store, tmp_path: Path, admin: Admin
) -> None:
    trail = Trail(store, tmp_path / "keys", SystemClock())
    await trail.act(*[f"act.{n}" for n in range(11)])
    await trail.seal()  # one head over 11 = 8 + 2 + 1 leaves
    await admin.execute("UPDATE audit.events SET actor = 'nobody' WHERE action = 'act.9'")
    await mend_leaves(admin)
    fault = await first(trail, "events")
    assert (fault.seq, fault.event) == (8, await event_at(admin, 8))
    assert "one of the events 8 to 9" in fault.what


@pytest.mark.parametrize("heads", ["left", "cut too"])
async def test_a_cut_tail_is_found(trail: Trail, admin: Admin, heads: str) -> None:
    await admin.execute(
        "DELETE FROM audit.events WHERE id IN (SELECT event FROM audit.leaves WHERE seq >= 6)"
    )
    await admin.execute("DELETE FROM audit.leaves WHERE seq >= 6")
    if heads == "left":
        fault = await first(trail, "events")
    else:
        await admin.execute("DELETE FROM audit.heads WHERE size > 6")
        fault = await first(trail, FILE)
    assert fault.seq == 6
    assert "cut" in fault.what


async def test_a_cut_tail_is_still_found_when_the_trail_has_grown_again(trail: Trail, admin: Admin) -> None:
    await admin.execute(
        "DELETE FROM audit.events WHERE id IN (SELECT event FROM audit.leaves WHERE seq >= 6)"
    )
    await admin.execute("DELETE FROM audit.leaves WHERE seq >= 6")
    await admin.execute("DELETE FROM audit.heads WHERE size > 6")
    await trail.restart()
    await trail.seal(*[f"new.{n}" for n in range(5)])
    fault = await first(trail, FILE)
    assert fault.seq == 6
    assert fault.event == await event_at(admin, 6)


async def test_the_sealer_itself_notices_at_its_start_that_the_database_is_not_what_was_anchored(
    trail: Trail, admin: Admin
) -> None:
    await admin.execute("DELETE FROM audit.leaves WHERE seq >= 6")
    await admin.execute("DELETE FROM audit.heads WHERE size > 6")
    await trail.restart()
    await trail.seal("new")
    async with trail.store.tx("test") as tx:
        (event,) = await audit.of(tx, FILE)
    assert (event.actor, event.action, event.reason, event.result) == (
        "system",
        "anchor.contradicted",
        "head of 8 events",
        "failed",
    )


async def test_a_deleted_head_that_was_anchored_is_missed(trail: Trail, admin: Admin) -> None:
    await admin.execute("DELETE FROM audit.heads WHERE size = 4")
    assert "gone" in (await first(trail, FILE)).what


async def test_a_planted_head_or_leaf_is_found_and_does_not_stop_the_sealing(trail: Trail) -> None:
    """Not even the superuser is needed: the application's role may insert."""
    async with trail.store.tx("test") as tx:
        await tx.run(b"INSERT INTO audit.leaves VALUES (8, gen_random_uuid(), '\\x00')")
        await tx.run(
            b"INSERT INTO audit.heads SELECT 9, '\\x00', now(), trail, key, signature, '\\x00', seen FROM audit.heads LIMIT 1"
        )
    await trail.act("after")
    for _ in range(3):
        await trail.seal()
    assert (9, "after") in await trail.sealed()
    report = await trail.verify()
    assert {(fault.part, fault.seq) for fault in report.faults} == {("events", 8), ("signatures", 8)}


async def test_a_leaf_far_away_does_not_stop_the_sealing(trail: Trail) -> None:
    async with trail.store.tx("test") as tx:
        await tx.run(b"INSERT INTO audit.leaves VALUES (9000000000000000000, gen_random_uuid(), '\\x00')")
    await trail.restart()
    await trail.seal("after")
    assert (8, "after") in await trail.sealed()
    assert states(await trail.verify())["waiting"] == "broken"


async def test_what_was_never_sealed_is_said(trail: Trail, admin: Admin, store: Store) -> None:
    await admin.execute(
        "INSERT INTO audit.events (id, at, actor, action, subject) VALUES (uuidv7(), now() - interval '1 day', 'a', 'late', 'x')"
    )
    report = await trail.verify()
    assert states(report)["waiting"] == "not assessed"
    assert report.state == "not assessed"


# -- the anchors and the keys


async def test_without_its_anchor_nothing_is_called_fine(trail: Trail) -> None:
    trail.anchors.unlink()
    report = await trail.verify()
    assert (report.state, states(report)[FILE]) == ("not assessed", "not assessed")
    assert report.faults == ()


async def test_an_anchor_that_is_a_folder_is_not_assessed(trail: Trail) -> None:
    trail.anchors.unlink()
    trail.anchors.mkdir()
    report = await trail.verify()
    assert states(report)[FILE] == "not assessed"
    assert "no ordinary file" in report.parts[-1].detail


async def test_a_truncated_anchor_file_is_not_assessed_and_the_sealer_goes_on_with_it(
    trail: Trail, store: Store, tmp_path: Path
) -> None:
    lines = trail.anchors.read_bytes().splitlines(keepends=True)
    trail.anchors.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    later = ManualClock(SystemClock().now() + timedelta(minutes=1))
    report = await audit.verify(
        store, audit.find_ring(trail.folder), audit.anchors_of(trail.folder, []), later
    )
    assert states(report)[FILE] == "not assessed"
    assert "1 lines cannot be read" in report.parts[-1].detail
    assert "reaches to event 2" in report.parts[-1].detail
    await trail.seal("after")
    report = await trail.verify()
    assert report.state == "holds"
    assert "1 lines cannot be read" in report.parts[-1].detail


async def test_a_line_that_somebody_else_wrote_into_the_anchor_is_found(trail: Trail) -> None:
    text = trail.anchors.read_text()
    trail.anchors.write_text(text.replace('"size":5,', '"size":55,'))
    assert "not signed by our key" in (await first(trail, FILE)).what


async def test_two_anchors_that_disagree_are_both_named(trail: Trail, admin: Admin, tmp_path: Path) -> None:
    """The attacker reaches one of the two, and even has the key."""
    (tmp_path / "worm").mkdir()
    trail.others = [f"dir:{tmp_path / 'worm'}"]
    await trail.restart()
    await trail.seal("nine")
    ring = audit.find_ring(trail.folder)
    assert ring is not None
    forged = audit.Head(ring.trail, 9, sha256(b"other").digest(), SystemClock().now(), ring.current.id, b"")
    forged = msgspec.structs.replace(forged, signature=ring.sign(forged.form()))
    trail.anchors.unlink()
    await FileAnchor(trail.anchors).put(forged)
    report = await trail.verify()
    assert states(report)[FILE] == "broken"
    assert states(report)[f"objects dir:{tmp_path / 'worm'}"] == "holds"


async def test_a_second_database_and_objects_are_anchors_too(
    trail: Trail, admin: Admin, postgres: EmbeddedServer, template: str, tmp_path: Path
) -> None:
    (tmp_path / "worm").mkdir()
    async with fresh_database(postgres, template) as other:
        trail.others = [other.admin_url, f"dir:{tmp_path / 'worm'}"]
        for _ in range(2):  # the table is made once, and each anchor goes on with what it has
            await trail.restart()
            await trail.seal("more")
        report = await trail.verify()
        assert report.state == "holds"
        assert len(report.parts) == 6
        await admin.execute("UPDATE audit.events SET actor = 'nobody'")
        await mend_leaves(admin)
        await mend_heads(admin, forge=True)
        trail.anchors.unlink()
        found = states(await trail.verify())
        assert [found[name] for name in found if name.startswith(("database", "objects"))] == ["broken"] * 2
        await trail.sealer.stop()


async def test_a_database_that_does_not_answer_is_not_assessed(trail: Trail) -> None:
    trail.others = ["postgresql://anna:secret@127.0.0.1:1/nowhere"]
    report = await trail.verify()
    assert report.parts[-1].state == "not assessed"
    assert "secret" not in f"{report.parts[-1]}"
    assert report.state == "not assessed"


async def test_without_the_key_the_signatures_are_not_assessed(trail: Trail) -> None:
    (trail.folder / "audit.key").unlink()
    report = await trail.verify()
    assert states(report) == {
        "events": "holds",
        "signatures": "not assessed",
        "waiting": "holds",
        FILE: "holds",
    }


async def test_heads_of_several_keys_are_accepted_in_the_order_of_the_keys(
    trail: Trail, admin: Admin
) -> None:
    rotate(trail)
    await trail.restart()
    await trail.seal("nine", "ten")
    report = await trail.verify()
    assert report.state == "holds"
    old, new = (await (await admin.execute("SELECT array_agg(DISTINCT key) FROM audit.heads")).fetchall())[0][
        0
    ]
    assert old != new
    # The old key, stolen, signs once more.
    ring = audit.find_ring(trail.folder)
    assert ring is not None
    stolen = Ring(ring.trail, (msgspec.structs.replace(ring.keys[0], private=OLD[0]),))
    row = (await (await admin.execute("SELECT root, at FROM audit.heads WHERE size = 11")).fetchall())[0]
    head = audit.Head(ring.trail, 11, bytes(row[0]), row[1], stolen.current.id, b"")
    await admin.execute(
        "UPDATE audit.heads SET key = %s, signature = %s WHERE size = 11",
        (head.key, stolen.sign(head.form())),
    )
    fault = await first(trail, "signatures")
    assert (fault.seq, "had been replaced" in fault.what) == (10, True)


async def test_when_the_key_is_lost_a_new_one_goes_on_with_the_trail(
    trail: Trail, caplog: pytest.LogCaptureFixture
) -> None:
    was = audit.find_ring(trail.folder)
    (trail.folder / "audit.key").unlink()
    await trail.restart()
    await trail.seal("nine")
    assert "lost" in caplog.text
    now = audit.find_ring(trail.folder)
    assert was is not None
    assert now is not None
    assert (now.trail, [key.id for key in now.keys[:-1]]) == (was.trail, [was.current.id])
    assert (await trail.verify()).state == "holds"
    async with trail.store.tx("test") as tx:
        (event,) = await audit.of(tx, now.current.id)
    assert (event.action, event.result) == ("audit_key.changed", "done")


OLD: list[str] = []


def rotate(trail: Trail) -> None:
    """As docs/operating says."""
    path = trail.folder / "audit.key"
    ring = msgspec.json.decode(path.read_bytes(), type=Ring)
    assert ring.current.private is not None
    OLD[:] = [ring.current.private]
    old = msgspec.structs.replace(ring.current, private=None, until=SystemClock().now())
    path.write_bytes(msgspec.json.encode(Ring(ring.trail, (*ring.keys[:-1], old, new_key(SystemClock())))))


async def test_a_full_disk_stops_the_anchor_not_the_seal_and_is_told_once(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ANCHOR_RETRY_SECONDS", 0.0)
    trail, really = Trail(store, tmp_path / "keys", SystemClock()), os.write

    def write(file: int, data: bytes) -> int:
        if b'"trail"' in data:
            really(file, data[:50])
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(file, data)

    with monkeypatch.context() as full:
        full.setattr(os, "write", write)
        for n in range(4):
            await trail.seal(f"act.{n}")
        assert [action for _, action in await trail.sealed()][:2] == ["act.0", "anchor.failed"]
        assert sum("No space left" in record.message for record in caplog.records) == 1
        async with store.tx("test") as tx:
            assert (await audit.standing(tx)).failing == (FILE,)
        assert states(await trail.verify())[FILE] == "not assessed"
    await trail.seal()  # there is room again
    await trail.seal()
    async with store.tx("test") as tx:
        assert (await audit.standing(tx)).failing == ()
    assert (await trail.verify()).state == "holds"
    assert all(line.endswith(b"}") for line in trail.anchors.read_bytes().splitlines()[-2:])
