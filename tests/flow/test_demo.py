"""`till demo` as a newcomer runs it: everything starts, a city lives in it, the summary says how it went."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.ports import free_port
from tests.support.postgres import Database

pytestmark = pytest.mark.slow

STOP_SECONDS = 240
PROGRESS = re.compile(r"\s*\d+ s  ([\d,]+) payments .* fraud (\d+) caught (\d+) missed")


class Demo:
    """A running demo and what it has said so far."""

    def __init__(self, *arguments: str, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tillkeeper", "demo", *arguments]
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def until(self, beginning: str) -> str:
        """Read on until a line begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(beginning):
                return line
        raise AssertionError("\n".join(["the demo ended early:", *self.lines]))

    def until_lived(self, payments: int) -> None:
        """Read on until the city has made so many payments, and thieves some of them."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if told := PROGRESS.match(line):
                made, caught, missed = (int(each.replace(",", "")) for each in told.groups())
                if made > payments and caught + missed:
                    return
        raise AssertionError("\n".join(["the demo ended early:", *self.lines]))

    def end(self) -> int:
        said, _ = self.process.communicate(timeout=STOP_SECONDS)
        self.lines += said.splitlines()
        return self.process.returncode

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lines[-1])
        return found


@contextlib.contextmanager
def demo(*arguments: str, environment: dict[str, str]) -> Iterator[Demo]:
    running = Demo(*arguments, environment=environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            try:
                running.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
        if running.process.stdout:
            running.process.stdout.close()


@pytest.fixture
def environment(database: Database, tmp_path: Path) -> dict[str, str]:
    api, console = free_port(), free_port()
    return os.environ | {
        "TILL_HOME": str(tmp_path / "home"),
        "TILL_DATABASE_URL": database.app_url,
        "TILL_ADMIN_DATABASE_URL": database.admin_url,
        "TILL_API_PORT": str(api),
        "TILL_CONSOLE_PORT": str(console),
        "TILL_STATUS_PORT": str(free_port()),
    }


PLANTED_FAULTS = """
UPDATE ledger.accounts SET balance = balance + 1
WHERE id = (SELECT id FROM ledger.accounts WHERE purpose = 'wallet' ORDER BY id LIMIT 1);
UPDATE payments.payments SET amount = amount + 1
WHERE id = (SELECT id FROM payments.payments WHERE kind = 'payment' AND state = 'succeeded' ORDER BY id DESC LIMIT 1);
"""


@pytest.mark.timeout(900)
async def test_a_city_lives_comes_back_and_tells_when_something_is_wrong(
    environment: dict[str, str], admin: psycopg.AsyncConnection
) -> None:
    with demo("--seconds", "6", environment=environment) as first:
        yours = first.until("Console  http://localhost:").split()[-1]
        first.until("Second ")
        colleagues = first.until("         http://localhost:").split()[-1]
        assert await signs_in(environment, yours) == "you"
        assert await signs_in(environment, colleagues) == "colleague"
        first.until("Living")
        assert first.end() == 0
    facts = first.facts()
    assert facts["books_balanced"] is True
    assert facts["missing"] == 0
    assert facts["unanswered"] == 0
    good_before_bad = sum(facts["outcomes"].values()) - facts["payments"]  # the first of two under one key
    assert facts["payments"] > 0
    assert 0 <= good_before_bad <= facts["bad_requests"]["sent"]
    assert facts["repeats"]["sent"] == facts["repeats"]["same"]
    assert facts["bad_requests"]["accepted"] == []
    assert any("2,060 of 2,060 customers" in line for line in first.lines)

    with demo(environment=environment) as second:
        second.until_lived(300)  # how long that takes is the machine's affair
        await admin.execute(PLANTED_FAULTS.encode())
        second.process.send_signal(signal.SIGINT)
        assert second.end() == 1
    assert second.facts()["books_balanced"] is False
    assert second.facts()["missing"] == 1
    assert second.facts()["fraud"]["payments"] > 0
    assert second.facts()["honest"]["stopped_percent"] < 5
    wallets = [line for line in second.lines if line.endswith(" wallets")]
    assert not wallets or int(wallets[0].split()[1].replace(",", "")) < 200, "the city was filled anew"
    assert not answers(environment["TILL_API_PORT"])
    assert not answers(environment["TILL_CONSOLE_PORT"])


async def signs_in(environment: dict[str, str], link: str) -> str:
    """Who is signed in after pressing the link's button."""
    here = f"http://localhost:{environment['TILL_CONSOLE_PORT']}"
    assert link.startswith(f"{here}/sign-in?token=")
    async with httpx.AsyncClient(base_url=here, follow_redirects=True) as browser:
        answer = await browser.post(
            "/sign-in", data={"token": link.partition("token=")[2], "next": "/account"}
        )
    assert answer.status_code == 200
    return answer.text.partition('aria-current="page">')[2].partition("<")[0]


def answers(port: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_taken_port_is_said_first(environment: dict[str, str]) -> None:
    taken = socket.create_server(("127.0.0.1", int(environment["TILL_CONSOLE_PORT"])))
    with taken, demo(environment=environment) as refused:
        assert refused.end() == 2
    assert environment["TILL_CONSOLE_PORT"] in refused.lines[0]
    assert "TILL_CONSOLE_PORT" in refused.lines[1]
