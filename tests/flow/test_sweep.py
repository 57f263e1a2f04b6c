"""The sweep: a platform lives with marked people in it; then everything it wrote is searched for what must not be there.

Searched: every table as pg_dump gives it, every file of the data folder byte by byte (heap, indexes, write-ahead log,
PostgreSQL's own log), the logs of our processes, the key folder, what programs and browsers were told. A marker that may be
stored proves that the search finds things.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.api import new_key
from tests.support.people import link_for
from tests.support.ports import free_port
from tests.support.receiver import Receiver, receiving
from tillkeeper import access
from tillkeeper.base.clock import SystemClock
from tillkeeper.store import Store, embedded, migrate
from tillkeeper.store.embedded import EmbeddedServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WAIT_SECONDS: Final = 180

# People: name, phone as typed and as stored, id number. Their parts stand nowhere else in the house.
PEOPLE: Final = [
    ("欧阳瑾瑜", "154 0000 8801", "+8615400008801", "31019919900101123X"),
    ("Zdenka Quivertree", "+447700900881", "+447700900881", "UTO8812345"),
    ("Xylia Quokkaby", "15400008803", "+8615400008803", "310199198505050078"),
]
REPLAYED: Final = "Wilhelmina Zobelpelz"
CARD: Final = "4111 1111 1111 1111"
REFUSED: Final = [
    *(
        f"zebra-note {written}"
        for written in (CARD, "４１１１１１１１１１１１１１１１", "4111-1111-1111-1111 12/27")
    ),
    "zebra-note cvv: 987",
    "zebra-note PIN 4321",
]
STORED: Final = "Marigold Emporium"
"""A merchant's name: public, so it is found in the tables, the heap and the write-ahead log."""


def needles() -> set[str]:
    """Everything that must be found nowhere."""
    found = {REPLAYED, "zebra-note", CARD, CARD.replace(" ", ""), "４１１１", "cvv: 987", "zebra-field"}
    for name, typed, phone, number in PEOPLE:
        found |= {name, typed, phone, phone.removeprefix("+86").removeprefix("+"), number}
    return found


def spellings(text: str) -> list[bytes]:
    """A text as files may hold it: UTF-8, as bytea is written in dumps, as JSON escapes it."""
    return [text.encode(), text.encode().hex().encode(), json.dumps(text).strip('"').encode()]


class Told:
    """What programs and browsers were told."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    async def hear(self, response: httpx.Response) -> None:
        self.texts.append(await response.aread())


class Life:
    """Somebody's platform, from a replay to an erasure."""

    def __init__(self, home: Path, server: EmbeddedServer, receiver: Receiver) -> None:
        self.home, self.server, self.receiver = home, server, receiver
        self.told = Told()
        self.environment = os.environ | {
            "TILL_HOME": str(home),
            "TILL_API_PORT": str(free_port()),
            "TILL_CONSOLE_PORT": str(free_port()),
            "TILL_STATUS_PORT": str(free_port()),
            "TILL_ALLOW_PRIVATE_WEBHOOKS": "true",
        }
        self.outputs: list[bytes] = []

    def till(self, *arguments: str, code: int = 0) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tillkeeper", *arguments],
            env=self.environment,
            capture_output=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        self.outputs += [done.stdout, done.stderr]
        assert done.returncode == code, done.stderr.decode()

    async def replay(self) -> None:
        """History from a file: names of payees who are customers, a row with a card number, a column that is never kept."""
        folder = self.home.parent
        rows = [f"2026-01-0{n},a{n},b{n},{REPLAYED},1{n}.00,987,x{n}" for n in range(1, 6)]
        rows.append(f"2026-01-06,{CARD.replace(' ', '')},b6,zebra-note,5.00,987,zebra-note {CARD}")
        (folder / "history.csv").write_text("at,from,to,whom,much,cvv,note\n" + "\n".join(rows) + "\n")
        columns = 'time="at"\npayer="from"\npayee="to"\npayee_name="whom"\namount="much"\n'
        (folder / "map.toml").write_text(
            f'name="old"\ncurrency="CNY"\npayees="customers"\n[columns]\n{columns}'
        )
        self.till("replay", str(folder / "history.csv"), "--map", str(folder / "map.toml"))

    @asynccontextmanager
    async def up(self) -> AsyncIterator[tuple[str, str]]:
        """`till up`; the addresses of api and console."""
        command = [sys.executable, "-m", "tillkeeper", "up", "--json"]
        process = await asyncio.create_subprocess_exec(
            *command, env=self.environment, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            said = json.loads(await process.stdout.readline())
            yield said["api"], said["console"]
        finally:
            process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.wait(), WAIT_SECONDS)

    async def business(self, url: str) -> list[str]:
        """Programs: open people, pay, look for people, and do everything wrong that one can; the customers' ids."""
        clock = SystemClock()
        async with Store.opened(self.server.app_url, size=1) as store:
            key = await new_key(store, clock)
        headers = {"authorization": f"Bearer {key}"}
        hooks = {"response": [self.told.hear]}
        async with httpx.AsyncClient(
            base_url=url, headers=headers, event_hooks=hooks, timeout=WAIT_SECONDS
        ) as api:
            endpoint = {"url": self.receiver.url(), "topics": ["*"]}
            self.secret: str = (await api.post("/v1/webhook-endpoints", json=endpoint)).json()["secret"]
            self.told.texts.clear()  # the signing secret is shown this once, on purpose
            customers = [await self._customer(api, n, *person) for n, person in enumerate(PEOPLE)]
            shop = await self._post(api, "/v1/merchants", name=STORED, category="cafe", currencies=["CNY"])
            await self._pay(api, customers, shop["id"])
            await self._mistakes(api, customers, shop["id"])
            await self._accidents(api)
        return customers

    async def _customer(
        self, api: httpx.AsyncClient, n: int, name: str, typed: str, _: str, number: str
    ) -> str:
        body = {
            "name": name,
            "phone": typed,
            "id_number": number,
            "currencies": ["CNY"],
            "reference": f"crm-{n}",
        }
        key = {"idempotency-key": f"open-{n}"}
        made = await api.post("/v1/customers", json=body, headers=key)
        assert made.status_code == 201, made.text
        assert (await api.post("/v1/customers", json=body, headers=key)).content == made.content
        for wanted in ({"name": name}, {"phone": typed}, {"id_number": number}):
            found = await api.post("/v1/customers/search", json=wanted)
            assert [each["id"] for each in found.json()["data"]] == [made.json()["id"]]
        top_up = {"customer": made.json()["id"], "amount": 500_000, "currency": "CNY"}
        assert (await self._post(api, "/v1/top-ups", **top_up))["state"] == "pending"
        return str(made.json()["id"])

    async def _post(self, api: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
        self._keys = getattr(self, "_keys", 0) + 1
        said = await api.post(path, json=body, headers={"idempotency-key": f"key-{self._keys}"})
        return dict(said.json())

    async def _pay(self, api: httpx.AsyncClient, customers: list[str], shop: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while (await api.get(f"/v1/customers/{customers[0]}")).json()["wallets"][0]["balance"] == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        for amount in (1_000, 20_000, 90_000):
            paid = await self._post(
                api,
                "/v1/payments",
                payer=customers[0],
                merchant=shop,
                amount=amount,
                currency="CNY",
                note="tea",
            )
            assert "state" in paid, paid
        await self._post(api, "/v1/sends", payer=customers[0], payee=customers[1], amount=500, currency="CNY")
        await api.post(f"/v1/customers/{customers[1]}/freeze")

    async def _mistakes(self, api: httpx.AsyncClient, customers: list[str], shop: str) -> None:
        """What must not be stored, wherever a caller may put it."""
        pay = {"payer": customers[0], "merchant": shop, "amount": 100, "currency": "CNY"}
        for text in REFUSED:
            for path, body in (
                ("/v1/payments", pay | {"note": text}),
                ("/v1/payments", pay | {"reference": text}),
                ("/v1/customers", {"name": text, "currencies": ["CNY"]}),
                ("/v1/merchants", {"name": "x", "category": text, "currencies": ["CNY"]}),
                ("/v1/webhook-endpoints", {"url": f"https://shop.example/?{text}", "topics": ["*"]}),
            ):
                said = await api.post(path, json=body, headers={"idempotency-key": "k"})
                assert said.status_code == 422, (path, text, said.text)
        for field in ("cvv", "pin", "card_number"):
            assert (await api.post("/v1/payments", json=pay | {field: "zebra-field"})).status_code == 422
        name, typed, phone, number = PEOPLE[0]
        for path in (
            f"/v1/customers/{phone}",
            f"/v1/customers?reference={name}",
            f"/v1/none/{number}/{typed}",
        ):
            assert (await api.get(path)).status_code in (200, 404, 422)
        await api.get("/v1/customers", headers={"authorization": f"Bearer {phone}"})
        await api.post("/v1/customers", content=f'{{"name": "{name}", "phone": "{phone}"')
        await api.post("/v1/customers", content=name.encode("gb18030"))
        twice = {"name": name, "phone": typed, "currencies": ["CNY"], "reference": "crm-0"}
        assert (await api.post("/v1/customers", json=twice)).json()["code"] == "reference_taken"

    async def _accidents(self, api: httpx.AsyncClient) -> None:
        """Statements with personal data in them fail, for reasons that nobody foresaw."""
        name, typed, _, number = PEOPLE[0]
        body = {"name": name, "phone": typed, "id_number": number, "currencies": ["CNY"]}
        async with await psycopg.AsyncConnection.connect(self.server.admin_url, autocommit=True) as admin:
            await admin.execute(
                "ALTER TABLE parties.customers ADD CONSTRAINT accident CHECK (false) NOT VALID"
            )
            assert (await api.post("/v1/customers", json=body)).status_code == 500
            await admin.execute("ALTER TABLE parties.customers DROP CONSTRAINT accident")
            await admin.execute("ALTER TABLE parties.customers RENAME COLUMN phone TO elsewhere")
            assert (await api.post("/v1/customers", json=body)).status_code == 500
            assert (await api.post("/v1/customers/search", json={"phone": typed})).status_code == 500
            await admin.execute("ALTER TABLE parties.customers RENAME COLUMN elsewhere TO phone")

    async def console(self, url: str, customers: list[str]) -> None:
        """People: every page, a search by phone, and one look for a purpose, which is told to nobody else."""
        clock = SystemClock()
        async with Store.opened(self.server.app_url, size=1) as store, store.tx("sign in") as tx:
            token = await link_for(tx, "anna", clock)
            opened = await access.open_session(tx, token, clock)
        assert isinstance(opened, access.OpenedSession)
        cookies, csrf = {"till_session": opened.cookie}, opened.session.csrf
        async with httpx.AsyncClient(base_url=url, cookies=cookies, timeout=WAIT_SECONDS) as page:
            name, typed, phone, _ = PEOPLE[0]
            found = await page.post("/customers/search", data={"csrf": csrf, "q": typed})
            assert customers[0] in found.text
            found = await page.post("/customers/search", data={"csrf": csrf, "q": f"{name}?"})
            purpose = {"purpose": "ticket", "reference": "T-1", "reason": "calls back", "rows": "1"}
            look = {"csrf": csrf, "field": "phone"} | purpose
            seen = await page.post(f"/customers/{customers[0]}/reveal", data=look)
            assert phone in seen.text, "a look shows it"
            for reason in (typed, "zebra-note cvv: 987"):
                refused = await page.post(f"/customers/{customers[0]}/reveal", data=look | {"reason": reason})
                assert refused.status_code == 422
            for path in (
                "/",
                "/payments",
                "/held",
                "/customers",
                f"/customers/{customers[0]}",
                "/merchants",
                "/approvals",
            ):
                shown = await page.get(path)
                assert shown.status_code == 200, path
                self.told.texts.append(shown.content)

    async def live(self) -> None:
        """All of it."""
        await self.replay()
        async with self.up() as (api, console):
            customers = await self.business(api)
            await self.console(console, customers)
            async with httpx.AsyncClient(
                event_hooks={"response": [self.told.hear]}, timeout=WAIT_SECONDS
            ) as anybody:
                for path in ("/health", "/openapi.json"):
                    await anybody.get(api + path)
            await self.receiver.received(3)
            self.till("customer", "hold", customers[2], "--reason", "order 12")
            self.till("customer", "erase", customers[2], "--reason", "ticket 4", code=2)
        for each in self.receiver.requests:
            Webhook(self.secret).verify(each.body, each.headers)
            self.told.texts.append(each.body)


async def test_nothing_personal_and_nothing_forbidden_is_left_anywhere(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with receiving() as receiver, EmbeddedServer(home).running() as server:
        await migrate(server.admin_url)
        await without_compression(server)
        life = Life(home, server, receiver)
        await life.live()
        tables = dump(server)
    found = list(
        search(
            {
                "tables": tables,
                "what was told": b"\0".join(life.told.texts),
                "commands": b"".join(life.outputs),
            }
        )
    )
    assert found == []
    assert list(search_files([home, tmp_path / "home-keys"])) == []
    assert spellings(STORED)[0] in tables
    wrote = {
        file.relative_to(home).parts[1]
        for file in files([home / "postgres"])
        if STORED.encode() in file.read_bytes()
    }
    assert {"base", "pg_wal"} <= wrote
    for log in ("api.log", "console.log", "agent.log"):
        assert (home / "log" / log).stat().st_size, log
    assert b"accident" in b"".join(file.read_bytes() for file in (home / "postgres" / "log").iterdir())


async def without_compression(server: EmbeddedServer) -> None:
    """Pages in the write-ahead log as they are, so that a search of its bytes sees them."""
    async with await psycopg.AsyncConnection.connect(server.admin_url, autocommit=True) as admin:
        await admin.execute("ALTER SYSTEM SET wal_compression = off")
        await admin.execute("SELECT pg_reload_conf()")


def dump(server: EmbeddedServer) -> bytes:
    """Every row of every table."""
    command = [str(embedded.programs() / "pg_dump"), "--data-only", "--dbname", server.admin_url]
    return subprocess.run(command, capture_output=True, check=True, timeout=WAIT_SECONDS).stdout


def search(places: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    for place, content in places.items():
        for needle in sorted(needles()):
            if any(spelling in content for spelling in spellings(needle)):
                yield place, needle


def files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from (file for file in folder.rglob("*") if file.is_file())


def search_files(folders: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for file in files(folders):
        yield from search({str(file): file.read_bytes()})
