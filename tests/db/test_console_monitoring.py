"""The page Monitoring: what was measured, and unknown where nobody did."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.support.desk import Console, console
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.monitoring import SPANS, Books, Oneself, Platform, Sampler
from tillkeeper.store import Store
from tillkeeper.vault import Vault


@pytest.fixture
async def here(store: Store, vault: Vault, clock: ManualClock) -> AsyncIterator[Console]:
    clock.advance(
        (SystemClock().now() - clock.now()) / timedelta(seconds=1)
    )  # samples are kept by the server's time
    async with console(store, vault, clock) as opened:
        yield opened


async def test_what_nobody_measured_is_unknown(here: Console) -> None:
    anna = await here.sign_in("anna", ["operator"])
    for span in (*SPANS, "century"):
        page = await anna.get(f"/monitoring?span={span}")
        assert page.status_code == 200
        assert page.text.count("Nobody has measured it of late.") > 10
        assert 'class="light good"' not in page.text
        assert 'class="edge main"' not in page.text


async def test_what_was_measured_is_shown(
    here: Console, store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, tmp_path: Path
) -> None:
    platform = Platform(tmp_path, clock, Books(store, clock))
    await admin.execute(b"ALTER TABLE store.idempotency DROP CONSTRAINT idempotency_pkey")
    sampler = Sampler(store, [*Oneself("agent", store).sources(), *platform.sources()], clock)
    await sampler.sample()
    clock.advance(20)
    anna = await here.sign_in("anna", ["operator"])
    page = (await anna.get("/monitoring")).text
    assert page.count('class="light good"') == 12
    assert '<span class="light bad">A constraint that keeps duplicates out is gone</span>' in page
    assert "1 found" in page
    assert "<code>store.migrations</code>" in page or "<code>payments.payments</code>" in page
    assert "monitoring.keep_partitions" not in page, "not yet: its first minute is not over"
    assert 'class="edge main"' in page
    assert page.count("<figure>") == 10
