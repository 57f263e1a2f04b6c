"""The agent killed at every line of a run's journal: no finished step runs twice, no unfinished one is skipped, all is undone."""

import asyncio
import json
import sys
from uuid import UUID

import psycopg
import pytest

from tests.support.counting import TABLES, effects
from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.maintenance import runs
from tillkeeper.maintenance.runs import RunView
from tillkeeper.store import Store

AGAIN = """
SELECT count(*) FROM maintenance.journal AS done
JOIN shop.calls AS again ON again.run = done.run AND again.name = (ARRAY['one', 'two', 'three'])[done.step + 1]
WHERE done.run = %s AND again.at > done.at
    AND (done.kind, again.said) IN (('step_done', 'run'), ('undo_done', 'undo'))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_an_agent_killed_at_every_line_is_followed_by_one_that_goes_on(
    database: Database, store: Store, admin: psycopg.AsyncConnection, seed: int
) -> None:
    await admin.execute(TABLES)
    storm = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.run_storm", database.app_url, database.admin_url, str(seed)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(360):
        out, error = await storm.communicate()
    assert storm.returncode == 0, error.decode()[-4000:]
    told = [json.loads(line) for line in out.splitlines()]
    for each in told:
        run = UUID(each["run"])
        async with store.tx("view") as tx:
            view = await runs.view(tx, run)
        assert view is not None
        check(view)
        assert await effects(admin, run) == []
        cursor = await admin.execute(AGAIN, (run,))
        assert await cursor.fetchone() == (0,), f"done, and done again: {each}"
    # 22 lines and more: every line of the run was once the last that an agent wrote, or the first it did not.
    assert len([each for each in told if each["died"]]) >= 22
    late = [each["taken_up"] for each in told if each["taken_up"] is not None]
    assert late
    print(f"{len(told)} runs, taken up again within {max(late):.2f} s")


def check(view: RunView) -> None:
    """Every step was done before the next began, and undone before the one before."""
    assert view.run.state == "undone"
    assert [each.state for each in view.steps] == ["undone"] * 3
    done = [event.step for event in view.events if event.kind == "step_done"]
    undone = [event.step for event in view.events if event.kind == "undo_done"]
    assert (done, undone) == ([0, 1, 2], [2, 1, 0])
    assert all(each.attempts <= limits.RUN_INTERRUPTIONS for each in view.steps)
