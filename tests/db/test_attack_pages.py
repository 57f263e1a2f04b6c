"""Who is told of attacks of one kind over hours: the platform's own rule book, on a database, with signals as the test says."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.monitoring import MEASURES, alerting
from tillkeeper.monitoring.alerting import rows
from tillkeeper.monitoring.alerting.types import Warned
from tillkeeper.monitoring.alerting.words import body_of
from tillkeeper.monitoring.types import Measured, MoneyLook
from tillkeeper.risk import warning
from tillkeeper.store import Store, Tx

HOUR = limits.ALERT_AGAIN_SECONDS


@dataclass
class Night:
    """Signals that last, and what people were told while hours went by."""

    store: Store
    clock: ManualClock
    lasting: list[warning.Signal] = field(default_factory=list)

    def __post_init__(self) -> None:
        whole = alerting.parse(alerting.own_text(), "own", MEASURES)
        self.book = alerting.RuleBook((), tuple(each for each in whole.rules if isinstance(each, Warned)))
        sources = alerting.Sources(_unmeasured, _no_history, _no_money, self._signals)
        self.watch = alerting.Watch(self.store, self.book, sources, self.clock)

    async def _signals(self, _: Tx) -> Sequence[warning.Signal]:
        return self.lasting

    def begins(self, kind: str, about: str) -> warning.Signal:
        """A signal that is found now."""
        now = self.clock.now()
        made = warning.Signal(
            new_id(), kind, "merchant", about, "page", "up", now, now, now, None, 1.0, None, 20.0, 9.2, 9, 900, "CNY", {}
        )  # fmt: skip
        self.lasting.append(made)
        return made

    async def passes(self, seconds: float, every: float = 60.0) -> list[str]:
        """What people were told while so long went by."""
        told = []
        for _ in range(int(seconds / every)):
            self.clock.advance(every)
            told += [
                f"{line.alert.names['kind']} {line.kind} {line.alert.value or 0:.0f}"
                for line in await self.watch.look()
            ]
        return told

    async def acknowledges(self) -> None:
        async with self.store.tx("test") as tx:
            for each in await rows.show_alerts(tx):
                await alerting.acknowledge(tx, each.id, "anna", self.clock)


async def _unmeasured(*_: object) -> Measured:
    return Measured(None, 0, "")


async def _no_history(*_: object) -> Sequence[float]:
    return ()


async def _no_money() -> MoneyLook | None:
    return None


@pytest.fixture
def night(store: Store, clock: ManualClock) -> Night:
    return Night(store, clock)


async def test_a_second_merchant_that_busts_out_hours_later_is_told_at_once(night: Night) -> None:
    night.begins("merchant_bust_out", "first")
    assert await night.passes(60) == ["merchant_bust_out fired 1"]
    await night.acknowledges()
    assert await night.passes(3 * HOUR) == []
    night.begins("merchant_bust_out", "second")
    assert await night.passes(60) == ["merchant_bust_out refired 2"]
    async with night.store.tx("test") as tx:
        (alert,) = await rows.show_alerts(tx)
        events = [each.kind for each in (await rows.events_of(tx, [alert.id]))[alert.id]]
    assert (alert.state, alert.acknowledged_by) == ("firing", None)
    assert events == ["fired", "acknowledged", "refired"]
    said = body_of(night.book, [rows.Line("refired", alert)], "")
    assert "fires again: there is more of it" in said
    assert "2 last · 2 起未结束" in said
    assert "second" not in said  # channels are no place for anybody's id


async def test_a_storm_of_one_kind_is_told_once_an_hour_and_hides_no_other_kind(night: Night) -> None:
    told = []
    for n in range(5 * 12):  # five hours, a new place every five minutes
        night.begins("card_testing", f"place-{n}")
        del night.lasting[:-10]
        if n == 30:
            night.begins("mule_network", "ring")
        told += await night.passes(300)
        await night.acknowledges()
    assert told.count("card_testing fired 1") == 1
    assert [each for each in told if each.startswith("mule")] == [
        "mule_network fired 1",
        "mule_network resolved 0",
    ]
    assert sum(each.startswith("card_testing refired") for each in told) == 4


async def test_after_a_restart_of_the_agent_nobody_is_told_of_the_same_again(night: Night) -> None:
    night.begins("card_testing", "shop")
    assert await night.passes(60) == ["card_testing fired 1"]
    await night.acknowledges()
    again = Night(night.store, night.clock, night.lasting)
    assert await again.passes(3 * HOUR) == []
    again.begins("card_testing", "another")
    assert await again.passes(60) == ["card_testing refired 2"]


async def test_a_silenced_kind_stays_silent_whatever_begins(night: Night) -> None:
    night.begins("card_testing", "shop")
    assert len(await night.passes(60)) == 1
    async with night.store.tx("test") as tx:
        said = await alerting.silence(
            tx, night.book, "attack_seen", None, 3 * HOUR, "a known botnet", "anna", night.clock
        )
    assert isinstance(said, alerting.Silence)
    assert await night.passes(HOUR) == []
    night.begins("card_testing", "another")
    assert await night.passes(HOUR) == []
    assert await night.passes(HOUR + 60) == ["card_testing refired 2"]


async def test_a_share_that_left_its_band_is_not_told_again_for_being_found_anew(night: Night) -> None:
    """Somebody closed it and it goes on: that is the same trouble."""
    night.begins("decline_rate", "")
    assert await night.passes(60) == ["decline_rate fired 1"]
    await night.acknowledges()
    await night.passes(2 * HOUR)
    night.lasting.clear()
    night.begins("decline_rate", "")
    assert await night.passes(60) == []
