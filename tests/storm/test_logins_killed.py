"""The api process is killed with SIGKILL while logins arrive: what was acknowledged is there, and was decided once."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import new_key, uuid_of
from tests.support.platform import ZONE, Platform
from tests.support.siege import LEAST_PROMISES, Siege, besieged, heard
from tests.support.storm import Storm
from tests.support.strongroom import bare_vault
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import to_typeid
from tillkeeper.payments import Till
from tillkeeper.store import Store
from tillkeeper.vault import catalogue

KILLS = 2


class Logins(Storm):
    """Clients that log in, right or wrong, answer when they are asked again, and change settings."""

    def _deed(self) -> tuple[str, dict[str, Any]]:
        draw = self._rng.random()
        if draw < 0.3 and self._open:
            login = self._open.pop(self._rng.randrange(len(self._open)))
            return f"/v1/logins/{login['id']}/answer", {"passed": self._rng.random() < 0.8}
        customer = self._rng.choice(self.customers)
        if draw < 0.4:
            return "/v1/settings-changes", {"customer": customer, "kind": "password"}
        return "/v1/logins", {
            "customer": customer,
            "succeeded": self._rng.random() < 0.7,
            "ip": f"36.5.7.{self._rng.randrange(4)}",
            "device": f"phone-{self._rng.randrange(3)}",
        }

    def _remember(self, promise: Any) -> None:
        if promise.status == 201 and promise.said.get("outcome") == "ask_again":
            # Sometimes twice: two clients will then answer it.
            self._open += [promise.said] * self._rng.choice([1, 1, 2])


async def gathered(siege: Siege, seed: int) -> Logins:
    clock = SystemClock()
    storm = Logins(siege.api.url, await new_key(siege.store, clock), seed)
    till = Till(siege.store, None, clock, ZONE)
    people = Platform(siege.store, till, clock, bare_vault(tables=catalogue()))
    storm.customers = [to_typeid("cus", await people.customer()) for _ in range(6)]
    await till.close()
    return storm


async def stored(store: Store) -> dict[str, dict[Any, tuple[Any, ...]]]:
    """Rows by id, of each table that logins leave."""
    columns = {
        "logins": "outcome, score, succeeded",
        "login_answers": "passed",
        "setting_changes": "kind",
    }
    async with store.tx("aftermath") as tx:
        return {
            table: {
                row[0]: row[1:] for row in await tx.tuples(f"SELECT id, {names} FROM risk.{table}".encode())
            }
            for table, names in columns.items()
        }


def broken(storm: Logins, found: dict[str, dict[Any, tuple[Any, ...]]], keys: Counter[str]) -> list[str]:
    """What is not as it was promised, or is there though nobody was promised it."""
    made = {key: each for key, each in storm.promises.items() if each.status == 201}
    faults = [f"{key} is kept {keys[key]} times" for key in made if keys[key] != 1]
    for path, table in (("/v1/logins", "logins"), ("/v1/settings-changes", "setting_changes")):
        told = {uuid_of(each.said["id"]): each.said for each in made.values() if each.path == path}
        faults += [f"{table}: {id_} is not there" for id_ in told.keys() - found[table].keys()]
        faults += [f"{table}: nobody was told of {id_}" for id_ in found[table].keys() - told.keys()]
        if table == "logins":
            faults += [
                f"{id_}: {said} is kept as {found[table][id_]}"
                for id_, said in told.items()
                if id_ in found[table]
                and (said["outcome"], said["score"]) != (found[table][id_][0], round(found[table][id_][1], 4))
            ]
    answers = sum(each.path.endswith("/answer") for each in made.values())
    if answers != len(found["login_answers"]):
        faults.append(f"{answers} answers were acknowledged, {len(found['login_answers'])} are kept")
    return faults


@pytest.mark.timeout(400)
async def test_logins_are_kept_and_decided_once_though_the_api_is_killed(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(seed)
    async with besieged(tmp_path) as siege:
        storm = await gathered(siege, seed)
        raging = asyncio.create_task(storm.rage())
        for _ in range(KILLS):
            await siege.api.ready()
            await heard(storm, len(storm.promises) + LEAST_PROMISES)
            await asyncio.sleep(rng.uniform(0.3, 0.8))
            siege.api.kill()
            await asyncio.sleep(0.1)  # its sockets are closed
        await siege.api.ready()
        storm.calm()
        await raging
        differing = await storm.ask_again()
        await storm.aclose()
        found = await stored(siege.store)
        async with siege.store.tx("keys") as tx:
            keys = Counter(row[0] for row in await tx.tuples(b"SELECT key FROM store.idempotency"))
        words = siege.last_words()
    with capsys.disabled():
        print(
            f"\nlogins {seed}: {len(storm.promises)} promises, {len(found['logins'])} logins, {dict(storm.weather)}"
        )
    assert storm.faults == [], words
    assert differing == []
    assert broken(storm, found, keys) == []
    assert len(found["logins"]) > 10
    assert storm.weather  # the clients did feel it
