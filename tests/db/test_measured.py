"""What is measured of payments is what happened to them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.api import Api, calling
from tests.support.shop import HELD, REFUSED, Shop, open_shop
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.faces.api.meter import Meter
from tillkeeper.monitoring import Payments, measure, seconds
from tillkeeper.payments import Gauge
from tillkeeper.store import Store, StoreUnavailableError


@pytest.fixture
async def api(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Api]:
    async with calling(store, clock, tmp_path) as made:
        yield made


@pytest.fixture
async def shop(store: Store, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(store, tmp_path) as shop:
        yield shop


async def test_a_second_of_the_till(shop: Shop, store: Store) -> None:
    payer, merchant = await shop.customer("王芳"), await shop.merchant("茶馆")
    for amount in (100, 200, HELD, REFUSED):
        await shop.pay(payer, merchant, amount)
    await shop.pay(merchant, payer, 100)  # nobody pays by such ids: refused
    await shop.till.gauge.write()
    now, clock = SystemClock().now(), SystemClock()
    async with store.tx("test") as tx:
        (second,) = await seconds(tx, now - timedelta(seconds=30), now)
        latency = await measure(tx, "payments.latency_p99_ms", 60, clock)
        queueing = await measure(tx, "payments.queueing_p99_ms", 60, clock)
        rate = await measure(tx, "payments.rate", 60, clock)
        assert (await measure(tx, "payments.success_rate", 60, clock)).value is None, (
            "nothing came over the API"
        )
    assert (second.payments, second.succeeded, second.waiting) == (7, 2, 2), "the top-up waited for the bank"
    assert (second.declined, second.refused) == (1, 1)
    assert latency.value is not None
    assert queueing.value is not None
    assert queueing.value <= latency.value  # a bucket may hold both
    assert latency.samples == 7
    assert rate.value == 7
    tally = shop.till.gauge.tally
    assert 0 < tally.queueing_seconds < tally.latency_seconds
    assert (tally.decisions, tally.rules) == (
        {"allow": 2, "hold": 1, "deny": 1},
        {"very_large": 1, "unlucky": 1},
    )
    async with store.tx("test") as tx:
        found = {
            (each.metric, *each.labels.values()): each.value
            for each in await Payments(shop.till.gauge).sample(tx)
        }
    assert found["payments.outcomes", "declined"] == 1
    assert found["payments.latency", "+Inf"] == 7
    assert found["risk.decision_rate",] == 100
    assert found["payments.turn_size",] == 7 / tally.counts["turns"]


async def test_a_decline_is_an_answer_and_a_failure_is_ours(api: Api, store: Store) -> None:
    """Refusals count as answered; what is 500 and above does not."""
    gauge = Gauge(store, SystemClock())
    for status in [201] * 30 + [402] * 5 + [409] * 5 + [500, 503]:
        gauge.answered(status, order=True)
    gauge.answered(500, order=False)
    await gauge.write()
    clock = SystemClock()
    async with store.tx("test") as tx:
        success = await measure(tx, "payments.success_rate", 60, clock)
        errors = await measure(tx, "payments.error_rate", 60, clock)
    assert (success.value, success.samples) == (100 * 40 / 42, 42)
    assert (errors.value, errors.samples) == (100 * 3 / 43, 43)


async def test_the_meter_counts_what_callers_got(api: Api) -> None:
    meter = api.client._transport.app  # type: ignore[attr-defined]
    while not isinstance(meter, Meter):
        meter = meter._app
    counted = meter._gauge._counts
    await api.customer("anna")
    await api.merchant("shop")
    counted.clear()
    order = {"payer": api.people["anna"], "merchant": api.people["shop"], "amount": 5, "currency": "CNY"}
    assert (await api.post("/v1/payments", order)).status_code == 201
    assert (await api.post("/v1/payments", {})).status_code == 422
    assert (await api.get("/v1/payments")).status_code == 200
    assert {name: counted[name] for name in ("asked", "failed", "answers_2xx", "answers_4xx")} == {
        "asked": 2,
        "failed": 0,
        "answers_2xx": 2,
        "answers_4xx": 1,
    }


async def test_what_breaks_without_an_answer_is_a_failure(store: Store) -> None:
    async def breaks(*_: object) -> None:
        raise RuntimeError("broken")

    gauge = Gauge(store, SystemClock())
    scope = {"type": "http", "method": "POST", "path": "/v1/payments"}
    with pytest.raises(RuntimeError):
        await Meter(breaks, gauge)(scope, breaks, breaks)  # type: ignore[arg-type]
    assert (gauge._counts["asked"], gauge._counts["failed"]) == (1, 1)


async def test_seconds_without_a_database_are_written_when_it_is_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(SystemClock().now())
    gauge = Gauge(store, clock)
    gauge.answered(201, order=True)
    with monkeypatch.context() as away:

        def gone(_: str) -> None:
            raise StoreUnavailableError("gone")

        away.setattr(store, "tx", gone)
        await gauge.write()
    clock.advance(1)
    gauge.answered(500, order=True)
    await gauge.write()
    now = clock.now()
    async with store.tx("test") as tx:
        found = await seconds(tx, now - timedelta(seconds=30), now)
    assert [(each.answered, each.failed) for each in found] == [(1, 0), (0, 1)]
    assert limits.SAMPLES_UNWRITTEN > 60
