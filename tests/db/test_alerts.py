"""The look at what is watched on a real database: objectives, alerts, silences, news, notices and components."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refusal
from tillkeeper.monitoring import alerting
from tillkeeper.monitoring.alerting import browse, rows
from tillkeeper.monitoring.alerting.channels import Channel, ChannelError, read_channels
from tillkeeper.monitoring.alerting.types import Silence, Standing
from tillkeeper.monitoring.types import Measured, MoneyFault, MoneyLook
from tillkeeper.store import Store, Tx

BOOK = """
[[objective]]
name = "succeed"
measure = "success"
target = 99.9
owner = "operator"
title = { en = "They succeed", zh = "成功" }
component = "payments"
public = { en = "Some fail.", zh = "部分失败。" }

[[rule]]
kind = "threshold"
name = "waiting"
measure = "lag"
over = 60
severity = "page"
owner = "operator"
for_seconds = 10
title = { en = "It waits", zh = "等待" }
component = "webhooks"
public = { en = "Late.", zh = "延迟。" }

[[rule]]
kind = "running"
name = "api_down"
process = "api"
severity = "page"
owner = "operator"
title = { en = "No api", zh = "没有 api" }
component = "payments"
effect = "down"
public = { en = "No payments.", zh = "无法支付。" }

[[rule]]
kind = "money"
name = "books_differ"
severity = "page"
owner = "operator"
title = { en = "Books", zh = "账目" }

[[rule]]
kind = "undelivered"
name = "undelivered"
severity = "page"
owner = "operator"
title = { en = "Undelivered", zh = "未送达" }
"""


@dataclass
class World:
    """What is measured, as the test says."""

    store: Store
    clock: ManualClock
    values: dict[str, Measured] = field(default_factory=dict)
    faults: Sequence[MoneyFault] | None = ()
    broken: set[str] = field(default_factory=set)
    asked: list[tuple[str, float, datetime]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.book = alerting.parse(BOOK, "test", {"success", "lag"})
        self.says(success=100.0, lag=1.0)
        self.watch = alerting.Watch(
            self.store, self.book, alerting.Sources(self.measure, self.history, self.money), self.clock
        )

    def says(self, samples: int = 50, **values: float | None) -> None:
        self.values |= {name: Measured(value, samples, "") for name, value in values.items()}

    async def measure(self, tx: Tx, name: str, seconds: float, until: datetime) -> Measured:
        self.asked.append((name, seconds, until))
        if name in self.broken:
            await tx.value(b"SELECT 1 / 0")
        return self.values[name]

    async def history(self, *_: object) -> Sequence[float]:
        return ()

    async def money(self) -> MoneyLook | None:
        return None if self.faults is None else MoneyLook(tuple(self.faults), 1.0, 1)

    async def looks(self, times: int = 1) -> list[str]:
        """So many looks, ten seconds apart; what people were told."""
        told = []
        for _ in range(times):
            self.clock.advance(10)
            await self.beat()
            told += [f"{line.alert.rule} {line.kind}" for line in await self.watch.look()]
        return told

    async def beat(self, state: str = "serving") -> None:
        async with self.store.tx("beat") as tx:
            await tx.run(
                b"INSERT INTO store.processes (id, kind, host, pid, incarnation, started_at, seen_at, state)"
                b" VALUES ('00000000-0000-7000-8000-000000000001', 'api', 'elsewhere', 1, 'x', now(), clock_timestamp(), %(state)s)"
                b" ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), state = excluded.state",
                {"state": state},
            )

    async def board(self) -> browse.Board:
        async with self.store.tx("board") as tx:
            return await browse.board(tx, self.book, self.clock)

    async def components(self) -> dict[str, str]:
        async with self.store.tx("components") as tx:
            found = await browse.public(tx, self.book, self.clock.now())
        return {span.component: span.state for span in sorted(found.spans, key=lambda span: span.seen_at)}


@pytest.fixture
def world(store: Store, clock: ManualClock) -> World:
    return World(store, clock)


async def test_a_trouble_is_one_alert_from_its_first_notice_to_its_end(world: World) -> None:
    assert await world.looks(3) == []
    world.says(lag=100.0)
    assert await world.looks() == []
    assert await world.looks(5) == ["waiting fired"]
    board = await world.board()
    assert [(each.rule, each.state, each.value, each.bound) for each in board.alerts] == [
        ("waiting", "firing", 100.0, 60.0)
    ]
    assert await world.components() | {"console": ""} == {
        "payments": "works", "wallets": "unknown", "webhooks": "degraded", "console": "", "database": "unknown",
    }  # fmt: skip
    world.says(lag=1.0)
    assert await world.looks(8) == ["waiting resolved"]
    board = await world.board()
    assert board.alerts == []
    assert [each.kind for each in board.events[board.past[0].id]] == ["fired", "resolved"]


async def test_what_cannot_be_read_is_unknown_and_spoils_no_other_look(world: World) -> None:
    world.broken.add("lag")
    world.faults = None
    assert await world.looks(2) == []
    board = await world.board()
    assert {each.rule.name: each.verdict for each in board.rules} == {
        "waiting": "unknown", "api_down": "fine", "books_differ": "unknown", "undelivered": "fine",
    }  # fmt: skip
    assert sorted(await world.looks(35)) == ["books_differ fired", "waiting fired"]
    assert {each.cause for each in (await world.board()).alerts} == {"unknown"}
    assert (await world.components())["webhooks"] == "unknown"


async def test_an_api_that_drains_or_is_silent_is_down(world: World, admin: psycopg.AsyncConnection) -> None:
    await world.looks()
    await world.beat("draining")
    world.clock.advance(10)
    assert [line.alert.rule for line in await world.watch.look()] == ["api_down"]
    assert (await world.components())["payments"] == "down"
    assert await world.looks(8) == ["api_down resolved"]
    await admin.execute("UPDATE store.processes SET seen_at = now() - interval '1 minute'")
    world.clock.advance(10)
    assert [line.alert.rule for line in await world.watch.look()] == ["api_down"]


async def test_each_fault_in_the_books_is_an_alert_and_one_that_is_gone_is_over(world: World) -> None:
    world.faults = [MoneyFault("unbalanced", "CNY", 7, "x"), MoneyFault("unbalanced", "EUR", 3, "y")]
    assert await world.looks(2) == ["books_differ fired"] * 2
    names = [dict(each.names) for each in (await world.board()).alerts]
    assert {"fault": "unbalanced", "currency": "CNY"} in names
    world.faults = [MoneyFault("unbalanced", "EUR", 3, "y")]
    assert await world.looks(9) == ["books_differ resolved"]
    world.faults = None  # nobody looked: it is not over
    assert await world.looks(9) == []
    assert [each.names["currency"] for each in (await world.board()).alerts] == ["EUR"]


async def test_a_fault_in_the_books_is_not_over_because_a_reading_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.faults = [MoneyFault("unbalanced", "CNY", 7, "x")]
    assert await world.looks() == ["books_differ fired"]
    world.faults, read = None, rows.standings
    failing = iter([True])

    async def standings(tx: Tx) -> list[Standing]:
        if next(failing, False):
            await tx.value(b"SELECT 1 / 0")
        return await read(tx)

    monkeypatch.setattr(rows, "standings", standings)
    assert await world.looks(2) == []
    assert len((await world.board()).alerts) == 1


async def test_objectives_count_every_second_once_also_when_looks_were_missed(world: World) -> None:
    await world.looks(6)
    world.clock.advance(95)
    again = alerting.Watch(world.store, world.book, world.watch._sources, world.clock)  # another agent
    await again.look()
    spans = [(until, seconds) for name, seconds, until in world.asked if name == "success"]
    assert sum(seconds for _, seconds in spans) == (spans[-1][0] - spans[0][0]).total_seconds() + spans[0][1]
    (goal,) = (await world.board()).goals
    assert (goal.counted.good, goal.counted.total) == (50 * len(spans), 50 * len(spans))


async def test_a_burning_budget_pages_and_says_what_is_left(world: World) -> None:
    await world.looks(3)
    world.says(success=50.0)
    assert await world.looks(3) == ["succeed fired"] * 3
    assert [each.labels for each in (await world.board()).alerts] == [
        '{"burn":"6x"}',
        '{"burn":"14.4x"}',
        '{"burn":"1x"}',
    ]
    (goal,) = (await world.board()).goals
    assert goal.left is not None
    assert goal.left < -100
    assert goal.burning[0] is not None
    assert goal.burning[0] > 14.4


async def test_news_and_notices_are_grouped_and_delivered_with_bounded_tries(world: World) -> None:
    world.says(lag=100.0)
    world.faults = [MoneyFault("unbalanced", "CNY", 7, "x")]
    assert len(await world.looks(2)) == 2
    async with world.store.tx("news") as tx:
        news = await tx.tuples(
            b"SELECT topic, payload::text FROM store.outbox WHERE topic LIKE 'alert.%%' ORDER BY id", {}
        )
    assert [topic for topic, _ in news] == ["alert.firing"] * 2
    assert {json.loads(payload)["rule"] for _, payload in news} == {"waiting", "books_differ"}
    phone, mail = Heard(), Heard(deaf=True)
    channels = [Channel("a", "phone", phone), Channel("b", "mail", mail)]
    teller = alerting.Teller(world.store, world.book, channels, "https://console/alerts", world.clock)
    world.clock.advance(limits.ALERT_GROUP_SECONDS)
    assert await teller.step()
    assert not await teller.step()
    assert len(phone.heard) == 1
    assert "2 firing" in phone.heard[0]["title"]
    assert "PAGE waiting fires · 触发: It waits · 等待: 100 (bound 60)" in phone.heard[0]["body"]
    assert phone.heard[0]["notify_type"] == "failure"
    for _ in range(limits.CHANNEL_TRIES - 1):
        world.clock.advance(3600)
        assert await teller.step()
    world.clock.advance(3600)
    assert not await teller.step()
    assert (len(phone.heard), len(mail.heard)) == (1, limits.CHANNEL_TRIES)
    assert "undelivered fired" in await world.looks(1)
    assert (await world.board()).notices[-1].said == "mail"


class Heard:
    """A channel of the test's: keeps what it is told; a deaf one never takes it."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.heard: list[dict[str, str]] = []
        self._deaf = deaf

    def notify(self, **told: str) -> bool:
        self.heard.append(told)
        if self._deaf:
            raise RuntimeError("no")
        return True


async def test_what_one_notice_has_no_room_for_is_told_by_another(
    world: World, admin: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ALERT_LINES", 2)
    world.faults = [MoneyFault("unbalanced", each, 7, "x") for each in ("CNY", "EUR", "JPY")]
    assert len(await world.looks()) == 3
    found = await (
        await admin.execute(b"SELECT json_array_length(lines) FROM monitoring.alert_notices")
    ).fetchall()
    assert sorted(count for (count,) in found) == [1, 2]


async def test_people_acknowledge_and_silence_and_it_is_on_record(world: World) -> None:
    world.says(lag=100.0)
    await world.looks(2)
    (alert,) = (await world.board()).alerts
    async with world.store.tx("acts") as tx:
        said = await alerting.acknowledge(tx, alert.id, "anna", world.clock)
        assert isinstance(said, alerting.Alert)
        again = await alerting.acknowledge(tx, alert.id, "ben", world.clock)
        assert isinstance(again, Refusal)
        assert again.code == "wrong_alert_state"
        unknown = await alerting.acknowledge(tx, new_id(), "ben", world.clock)
        assert isinstance(unknown, Refusal)
        assert unknown.code == "unknown_alert"
        made = await alerting.silence(
            tx, world.book, "waiting", None, 600, "the line is cut", "anna", world.clock
        )
        assert isinstance(made, Silence)
    board = await world.board()
    assert [(each.state, each.acknowledged_by) for each in board.alerts] == [("silenced", "anna")]
    assert await world.looks(5) == []
    async with world.store.tx("acts") as tx:
        assert await alerting.end_silence(tx, made.id, "ben", world.clock) is None
        over = await alerting.end_silence(tx, made.id, "ben", world.clock)
        assert over is not None
        assert over.code == "unknown_silence"
    assert await world.looks() == ["waiting refired"]
    async with world.store.tx("trail") as tx:
        events = (await audit.search(tx, audit.Filter(), None, 10)).events
        kinds = [each.kind for each in (await rows.events_of(tx, [alert.id]))[alert.id]]
    assert kinds == ["fired", "acknowledged", "silenced", "unsilenced", "refired"]
    assert {each.action for each in events} == {"alert.acknowledged", "alert.silenced", "alert.unsilenced"}


@pytest.mark.parametrize(
    ("rule", "seconds", "reason", "code"),
    [
        ("nothing", 600, "x", "unknown_alert"),
        ("waiting", 0, "x", "invalid_value"),
        ("waiting", limits.SILENCE_SECONDS + 1, "x", "invalid_value"),
        ("waiting", 600, "", "reason_missing"),
        ("waiting", 600, "call 13800138000", "personal_data_refused"),
    ],
)
async def test_a_silence_has_an_end_and_a_reason(
    world: World, rule: str, seconds: float, reason: str, code: str
) -> None:
    async with world.store.tx("silence") as tx:
        said = await alerting.silence(tx, world.book, rule, None, seconds, reason, "anna", world.clock)
    assert isinstance(said, Refusal)
    assert said.code == code


async def test_of_too_many_states_the_newest_are_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A component that comes and goes for weeks must not hide how it is now."""
    for lag in (1.0, 99.0, 1.0, 99.0):
        world.says(lag=lag)
        await world.looks(3)
    monkeypatch.setattr(limits, "STATUS_SPANS", len(await world.components()))
    assert (await world.components())["webhooks"] == "degraded"


async def test_what_the_status_page_saw_is_kept_and_old_rows_go(world: World) -> None:
    await world.looks(2)
    async with world.store.tx("outage") as tx:
        await browse.note_database(tx, world.clock.now(), world.clock.now())
        found = await browse.public(tx, world.book, world.clock.now())
    assert {(each.component, each.state, each.seen_by) for each in found.spans} >= {
        ("database", "down", "status")
    }
    world.clock.advance(limits.ALERT_KEEP_SECONDS + 10)
    await world.looks()
    async with world.store.tx("counted") as tx:
        assert await tx.value(b"SELECT count(*) FROM monitoring.objective_minutes") == 1
        assert await tx.value(b"SELECT count(*) FROM monitoring.component_states") == 5


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # the library's own import
def test_channels_stand_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "channels"
    with pytest.raises(ChannelError, match="is not there"):
        read_channels(path)
    path.write_text("# on duty\njson://user:secret@localhost:9/hook\n\nntfy://localhost/till\n")
    path.chmod(0o600)
    found = read_channels(path)
    assert [each.name for each in found] == ["json://localhost", "ntfy://localhost"]
    path.write_text("json://localhost\nnothing of the kind\n")
    with pytest.raises(ChannelError, match="line 2") as raised:
        read_channels(path)
    assert "nothing of the kind" not in str(raised.value)
    assert read_channels(None) == ()
