"""The api process is killed with SIGKILL again and again under load: every promise is kept, once."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.support.siege import Siege, besieged
from tests.support.storm import created

SECONDS = float(os.environ.get("STORM_SECONDS", "10"))


@pytest.mark.timeout(SECONDS + 400)
async def test_every_promise_is_kept_though_the_api_is_killed(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, kills = random.Random(seed), 0

    async def strike(siege: Siege) -> int:
        nonlocal kills
        await siege.api.ready()
        await asyncio.sleep(rng.uniform(0.3, 1.5))
        siege.api.kill()
        kills += 1
        return 1

    async with besieged(tmp_path) as siege:
        storm, broken = await siege.withstand(seed, SECONDS, strike)
        words = siege.last_words()
    with capsys.disabled():
        print(f"\nstorm {seed}: {kills} kills, {len(storm.promises)} promises, weather {dict(storm.weather)}")
    assert broken == [], words
    assert len(created(list(storm.promises.values()))) > 20
    assert storm.weather  # the clients did feel it
