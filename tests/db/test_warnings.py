"""Early warning over a database: nothing that commits late is missed, each trouble is one signal, people decide about rules."""

import asyncio
import struct
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
import pytest

from tests.support.command import Said, Till, calling
from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.base.ids import NIL, new_id
from tillkeeper.base.results import Refusal
from tillkeeper.monitoring import MEASURES, alerting
from tillkeeper.monitoring.alerting import rows as alert_rows
from tillkeeper.monitoring.alerting.types import Warned
from tillkeeper.monitoring.alerting.words import body_of
from tillkeeper.risk import activate, add_rule_set, proposals, read_rules, warning
from tillkeeper.risk.warning import rows
from tillkeeper.risk.warning.rhythm import Hour
from tillkeeper.store import Store

RULES = """
reference = "CNY"
other = 100
[worth]
CNY = 100
USD = 14
[analysts]
alerts_a_day = 3
[[rule]]
name = "large"
version = 1
outcome = "hold"
when = "amount >= 5_000"
reason.zh = "金额 {amount}"
reason.en = "{amount}"
"""

_INSERT = """
INSERT INTO risk.decisions (id, at, kind, customer, payee, amount, currency, device, ip, outcome, reasons, rule_set, features,
                            configuration)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 1, %s, %s)
"""


class Paid(msgspec.Struct):
    """A decision to be stored."""

    customer: UUID
    payee: UUID
    device: str | None = None
    amount: int = 1000
    outcome: str = "allow"
    reasons: Sequence[str] = ()
    kind: str = "payment"
    currency: str = "CNY"
    id: UUID = msgspec.field(default_factory=new_id)


@pytest.fixture
async def clock() -> ManualClock:
    """Ids are made by the machine's clock, so the watch must live at the same time."""
    return ManualClock(SystemClock().now())


async def began(store: Store, clock: ManualClock) -> warning.Watchman:
    async with store.tx("test") as tx:
        version = await add_rule_set(tx, read_rules(RULES, "test"), clock.now())
        await activate(tx, version, clock.now(), "file")
    made = warning.Watchman(store, clock)
    await made.begin()
    return made


@pytest.fixture
async def watchman(store: Store, clock: ManualClock) -> warning.Watchman:
    return await began(store, clock)


async def stored(
    admin: psycopg.AsyncConnection, clock: ManualClock, paid: Iterable[Paid], features: bytes = b"",
    configuration: int | None = None,
) -> None:  # fmt: skip
    for each in paid:
        row = (
            each.id, clock.now(), each.kind, each.customer, each.payee, each.amount, each.currency, each.device, None,
            each.outcome, list(each.reasons), features, configuration,
        )  # fmt: skip
        await admin.execute(_INSERT, row)


async def lasting(store: Store) -> list[warning.Signal]:
    async with store.tx("test") as tx:
        return await warning.open_signals(tx)


async def of_device(store: Store) -> list[warning.Signal]:
    return [each for each in await lasting(store) if each.about_kind == "device"]


async def alerts(store: Store, clock: ManualClock, *, queued: bool = True) -> list[warning.Alert]:
    async with store.tx("test") as tx:
        return await warning.alerts_ranked(tx, clock.now() - timedelta(days=1), queued=queued, limit=100)


def tried_out(count: int, device: str = "thief") -> list[Paid]:
    """Each at another shop: no shop is suspicious."""
    return [Paid(new_id(), new_id(), device, 300 + n) for n in range(count)]


async def test_a_device_that_tries_wallets_is_one_signal_with_alerts_and_a_rule(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, watchman: warning.Watchman
) -> None:
    await stored(admin, clock, [Paid(new_id(), new_id())])
    await watchman.look()
    clock.advance(60)
    attack = tried_out(8)
    await stored(admin, clock, attack)
    await watchman.look()
    (signal,) = await of_device(store)
    assert (signal.kind, signal.about, signal.currency) == ("card_testing", "thief", "CNY")
    assert signal.money == sum(each.amount for each in attack)
    assert signal.log_e > signal.log_bound
    assert "8 customers" in warning.said(signal, "en")
    assert "8 位付款人" in warning.said(signal, "zh")
    found = await alerts(store, clock) + await alerts(store, clock, queued=False)
    assert {each.subject for each in found} == {each.customer for each in attack}
    assert {each.signal for each in found} == {signal.id}
    # Three a day can be looked into; what is below is kept, and can be drawn up.
    assert len(await alerts(store, clock)) == 3
    async with store.tx("test") as tx:
        assert await warning.alerts_counted(tx, clock.now() - timedelta(days=1)) == (3, 5)
        below = await warning.alerts_ranked(tx, clock.now() - timedelta(days=1), queued=False, limit=2)
        assert await warning.draw_up(tx, [each.id for each in below], "li.na") == 2
    async with store.tx("test") as tx:
        shown = await warning.show(tx, signal.id)
    assert shown is not None
    assert shown.remedy is not None
    assert "device_customers_1h >= 2" in shown.remedy.rule
    # Nobody need ask what it would have done: it is being tried on history.
    assert shown.backtest is not None
    assert (shown.backtest.author, shown.backtest.state) == ("watch", "asked")
    assert shown.remedy.rule.strip() in shown.backtest.rules
    # Looking again finds nothing new.
    await watchman.look()
    assert len(await of_device(store)) == 1
    # Half an hour of quiet, and it is over.
    clock.advance(limits.SIGNAL_QUIET_SECONDS + 1)
    await watchman.look()
    assert await lasting(store) == []


async def test_a_turn_that_commits_late_is_not_missed_and_none_counts_twice(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, watchman: warning.Watchman
) -> None:
    early, late = tried_out(1)[0], tried_out(1)[0]
    slow = await psycopg.AsyncConnection.connect(admin.info.dsn, password=admin.info.password)
    held = Paid(late.customer, late.payee, "slow", 9000, "hold", ["large"])
    row = (
        held.id,
        clock.now(),
        "payment",
        held.customer,
        held.payee,
        9000,
        "CNY",
        "slow",
        None,
        "hold",
        ["large"],
        b"",
        None,
    )
    await slow.execute(_INSERT, row)
    await stored(admin, clock, [Paid(early.customer, early.payee, "quick", 8000, "hold", ["large"])])
    await watchman.look()
    assert [each.amount for each in await alerts(store, clock)] == [8000]
    await slow.commit()
    await slow.close()
    await watchman.look()
    await watchman.look()
    assert [each.amount for each in await alerts(store, clock)] == [9000, 8000]


async def test_what_commits_while_a_look_reads_is_for_the_next_one(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    """The first transaction after a snapshot, and the ones after that: read by the next look, and relived by none."""
    async with store.tx("test") as tx:
        rules, before = read_rules(RULES, "test"), await rows.snapshot(tx, clock.now())
    await stored(admin, clock, [one := tried_out(1)[0]])
    async with store.tx("test") as tx:
        present = await rows.snapshot(tx, clock.now())
    later = [tried_out(1)[0] for _ in range(3)]
    for each in later:
        await stored(admin, clock, [each])
    async with store.tx("test") as tx:
        last = await rows.snapshot(tx, clock.now())
        spans = [(before, present), (rows.BEGINNING, present), (present, last)]
        found = [await rows.decisions(tx, *span, rows.lower(before), rules) for span in spans]
    assert [[each.id for each in some] for some in found] == [[one.id], [one.id], [each.id for each in later]]


async def test_a_storm_of_one_kind_crowds_no_other_out(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, watchman: warning.Watchman,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(limits, "SIGNALS_OF_A_KIND", 2)
    for device in ("one", "two", "three"):
        await stored(admin, clock, tried_out(8, device))
    await watchman.look()
    assert {each.about for each in await of_device(store)} == {"one", "two"}
    await admin.execute(
        "INSERT INTO risk.trips (rule, rule_set, hits, at_most, within_s, at) VALUES ('large', 1, 31, 30, 600, %s)",
        [clock.now()],
    )
    await watchman.look()
    assert "breaker_open" in {each.kind for each in await lasting(store)}


async def test_after_a_restart_it_goes_on_where_it_was(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, watchman: warning.Watchman
) -> None:
    shop, attack = new_id(), tried_out(9)
    before = [Paid(new_id(), shop, "d", 7000, "deny", ["large"])]
    await stored(admin, clock, [*before, *attack[:3]])
    await watchman.look()
    assert await of_device(store) == []
    again = warning.Watchman(store, clock)
    await again.begin()
    # What was read is lived through again without alerting again; the attack goes on and is recognised as one.
    await stored(admin, clock, attack[3:6])
    await again.look()
    (signal,) = await of_device(store)
    assert signal.events == 6
    found = await alerts(store, clock) + await alerts(store, clock, queued=False)
    assert len([each for each in found if each.payment == before[0].id]) == 1
    third = warning.Watchman(store, clock)
    await third.begin()
    await stored(admin, clock, attack[6:])
    await third.look()
    (same,) = await of_device(store)
    assert (same.id, same.events) == (signal.id, 9)


async def test_a_probable_fraud_is_alerted_about_though_it_was_allowed(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, watchman: warning.Watchman
) -> None:
    await admin.execute(
        "INSERT INTO risk.configurations (sha256, rule_set, champion, columns, at) VALUES ('\\x01', 1, 1,"
        " ARRAY['amount', 'model_score', 'device_age_s', 'customer_devices_30d', 'payee_new', 'customer_count_30d',"
        " 'payee_count_30d'], now())"
    )
    likely, unlikely = (
        Paid(new_id(), new_id(), amount=4000, currency="USD"),
        Paid(new_id(), new_id(), amount=4000),
    )
    nan = float("nan")
    await stored(admin, clock, [likely], struct.pack("<7d", 4000, 0.9, 0, 2, 1, 7, 3), 1)
    await stored(admin, clock, [unlikely], struct.pack("<7d", 4000, 0.1, nan, 2, 0, nan, 3), 1)
    async with store.tx("test") as tx:
        present = await rows.snapshot(tx, clock.now())
        known = await rows.decisions(tx, rows.BEGINNING, present, NIL, read_rules(RULES, "test"))
    assert [(each.new_device, each.payee_new, each.count_30d, each.payee_count_30d, each.device_age_s) for each in known] == [
        (True, True, 7, 3, 0), (None, False, None, 3, None)
    ]  # fmt: skip
    await watchman.look()
    (found,) = await alerts(store, clock)
    assert (found.payment, found.probability_ppm, found.outcome) == (likely.id, 900_000, "allow")
    # 14 cents are worth one yuan.
    assert (found.amount, found.expected_loss) == (4000 * 100 // 14, 4000 * 100 // 14 * 9 // 10)


async def test_labels_teach_how_much_a_rule_is_worth(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, watchman: warning.Watchman
) -> None:
    old = [Paid(new_id(), new_id(), None, 6000, "hold", ["large"]) for _ in range(16)]
    await stored(admin, clock, old)
    for each in old:
        await admin.execute(
            "INSERT INTO risk.labels (payment, fraud, source, known_at, written_at) VALUES (%s, false, 'case', now(), now())",
            [each.id],
        )
    await watchman.look()
    new = Paid(new_id(), new_id(), None, 6000, "hold", ["large"])
    await stored(admin, clock, [new])
    await watchman.look()
    found = await alerts(store, clock) + await alerts(store, clock, queued=False)
    chance = {each.payment: each.probability_ppm for each in found}
    assert chance[old[0].id] == 500_000
    assert chance[new.id] == 100_000


async def test_the_rule_against_an_attack_is_proposed_by_a_person(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, watchman: warning.Watchman
) -> None:
    await stored(admin, clock, tried_out(8))
    await watchman.look()
    (signal,) = await of_device(store)
    async with store.tx("test") as tx:
        refused = await warning.propose(tx, signal.id, "li.na", "", clock)
        assert isinstance(refused, Refusal)
        assert refused.code == "reason_missing"
        unknown = await warning.propose(tx, new_id(), "li.na", "now", clock)
        assert isinstance(unknown, Refusal)
        assert unknown.code == "unknown_signal"
        made = await warning.propose(tx, signal.id, "li.na", "it goes on", clock)
        assert not isinstance(made, Refusal)
    async with store.tx("test") as tx:
        (proposal,) = await proposals(tx)
        shown = await warning.show(tx, signal.id)
    assert proposal.author == "li.na"
    assert proposal.source.startswith(RULES.rstrip())
    rules = read_rules(proposal.source, "proposed").rules
    assert rules[0].name == "large"
    assert rules[1].until_us is not None
    assert shown is not None
    assert [(act.act, act.person) for act in shown.acts] == [("proposed", "li.na")]


async def test_a_signal_is_closed_by_a_person_and_found_again_if_it_goes_on(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, watchman: warning.Watchman
) -> None:
    attack = tried_out(12)
    await stored(admin, clock, attack[:8])
    await watchman.look()
    (signal,) = await of_device(store)
    async with store.tx("test") as tx:
        closed = await warning.close(tx, signal.id, "li.na", "a shop's tablet", clock)
        assert not isinstance(closed, Refusal)
    async with store.tx("test") as tx:
        again = await warning.close(tx, signal.id, "li.na", "a shop's tablet", clock)
    assert isinstance(again, Refusal)
    assert again.code == "wrong_signal_state"
    await watchman.look()
    assert await of_device(store) == []
    await stored(admin, clock, attack[8:])
    await watchman.look()
    (second,) = [each for each in await lasting(store) if each.kind == signal.kind]
    assert second.id != signal.id
    assert second.key == signal.key


async def test_a_breaker_that_opened_is_a_signal(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, watchman: warning.Watchman
) -> None:
    await admin.execute(
        "INSERT INTO risk.trips (rule, rule_set, hits, at_most, within_s, at) VALUES ('large', 1, 31, 30, 600, %s)",
        [clock.now()],
    )
    await watchman.look()
    (signal,) = await lasting(store)
    assert (signal.kind, signal.about, signal.value) == ("breaker_open", "large", 31.0)


async def test_monitoring_knows_how_old_the_last_look_is(
    store: Store, clock: ManualClock, watchman: warning.Watchman
) -> None:
    async with store.tx("test") as tx:
        assert await warning.standing(tx) == []
        clock.advance(90)
        assert await warning.lag_seconds(tx, clock.now()) == pytest.approx(90)
        board = await warning.board(tx, clock.now())
    assert (board.open, board.past, board.queued, board.below) == ((), (), 0, 0)


async def test_hours_of_the_past_are_kept_and_forgotten(store: Store, clock: ManualClock) -> None:
    hour = int(clock.now().timestamp()) // 3600
    async with store.tx("test") as tx:
        await rows.add_hours(tx, {"decline_rate": [Hour(hour, 100, 3)]}, clock.now() - timedelta(days=1))
        await rows.add_hours(tx, {"decline_rate": [Hour(hour, 7, 7)]}, clock.now() - timedelta(days=1))
    async with store.tx("test") as tx:
        assert await rows.hours(tx, clock.now() - timedelta(hours=2)) == {
            "decline_rate": [Hour(hour, 100, 3)]
        }
        await rows.add_hours(tx, {"x": [Hour(hour + 1, 1, 0)]}, clock.now() + timedelta(hours=1))
    async with store.tx("test") as tx:
        assert list(await rows.hours(tx, clock.now() - timedelta(hours=2))) in ([], ["x"])


BOOK = """
[[rule]]
kind = "warned"
name = "attack_seen"
signals = ["card_testing", "breaker_open"]
severity = "page"
owner = "risk_analyst"
absent = "show"
clear_seconds = 5
title = { en = "An attack", zh = "攻击" }
"""


async def test_people_are_told_of_a_signal_once_and_of_its_end_and_no_channel_learns_a_device(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, watchman: warning.Watchman
) -> None:
    async def nothing(*_: object) -> None:
        return None

    book = alerting.parse(BOOK, "test", ())
    looks = alerting.Watch(store, book, alerting.sources(clock, nothing), clock)
    assert await looks.look() == []
    await admin.execute(
        "INSERT INTO risk.trips (rule, rule_set, hits, at_most, within_s, at) VALUES ('large', 1, 31, 30, 600, %s)",
        [clock.now()],
    )
    for device in ("thief", "gang"):
        await stored(admin, clock, tried_out(8, device))
    await watchman.look()
    told = {line.alert.names["kind"]: line.alert for line in await looks.look()}
    assert told.keys() == {"card_testing", "breaker_open"}
    assert told["breaker_open"].names["rule"] == "large"
    assert "thief" not in told["card_testing"].labels
    # A storm of attacks pages once, with their number, however many more come.
    assert told["card_testing"].value == 2
    line = alert_rows.Line("fired", told["card_testing"])
    assert "2 last · 2 起未结束" in body_of(book, [line], "")
    await stored(admin, clock, tried_out(8, "third"))
    await watchman.look()
    clock.advance(10)
    assert await looks.look() == []
    async with store.tx("test") as tx:
        assert {
            each.value for each in await alert_rows.show_alerts(tx) if each.names["kind"] == "card_testing"
        } == {3}
    clock.advance(limits.SIGNAL_QUIET_SECONDS + 1)
    await watchman.look()
    await looks.look()
    clock.advance(10)
    over = await looks.look()
    assert {line.kind for line in over} == {"resolved"}
    assert "0 last · 0 起未结束" in body_of(book, over, "")


def test_a_book_with_a_signal_that_does_not_exist_is_refused() -> None:
    with pytest.raises(alerting.BadBookError, match="there is no bad_weather; there are rule_hit_rate"):
        alerting.parse(BOOK.replace("breaker_open", "bad_weather"), "test", ())


def test_the_packages_own_book_watches_every_kind_of_signal() -> None:
    book = alerting.parse(alerting.own_text(), "own", MEASURES)
    watched = [kind for rule in book.rules if isinstance(rule, Warned) for kind in rule.signals]
    assert sorted(watched) == sorted(warning.KINDS)
    for kind in watched:
        assert warning.kind_in_words(kind, "zh") != warning.kind_in_words(kind, "en") != kind


@pytest.fixture
def till(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Till:
    monkeypatch.setenv("TILL_HOME", str(tmp_path))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)
    return calling(capsys)


def test_the_terminal_shows_proposes_and_closes(database: Database, till: Till) -> None:
    def warnings(*words: str) -> Said:
        return till("risk", "warnings", *words)

    assert "NOBODY HAS LOOKED yet" in warnings("list").out

    async def attacked() -> None:
        clock = ManualClock(SystemClock().now())
        async with (
            Store.opened(database.app_url, size=2) as store,
            await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin,
        ):
            watchman = await began(store, clock)
            await stored(admin, clock, tried_out(8))
            await watchman.look()

    asyncio.run(attacked())
    said = warnings("list", "--json")
    (signal,) = said.json["signals"]
    assert (said.code, signal["kind"], signal["remedy"] is not None) == (1, "card_testing", True)
    assert "Card testing" in warnings("list").out
    shown = warnings("show", "card_testing").out
    assert "8 位付款人" in shown
    assert "Proposed by the machine" in shown
    assert len(warnings("show", signal["id"], "--json").json["alerts"]) == 8
    assert len(warnings("alerts", "--below", "--json").json) == 5
    assert "¥900.00" in warnings("alerts").out
    assert warnings("draw-up", "2").out == "2 alerts are queued now.\n"
    assert "rpr_" in warnings("propose", "card_testing", "--reason", "it goes on").out
    assert "closed" in warnings("close", signal["id"], "--reason", "dealt with").out
    assert "0 signals of card_testing last" in warnings("show", "card_testing").err
    assert warnings("list").code == 0
    assert len(warnings("list", "--past", "--json").json["signals"]) == 1
