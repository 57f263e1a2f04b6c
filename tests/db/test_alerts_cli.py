"""`till alerts`: what fires, who looks after it, silences, channels, and the rule book."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.command import Till, calling
from tests.support.postgres import Database
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.monitoring.alerting import Alert, Standing, own_text, rows
from tillkeeper.monitoring.alerting.types import NO_LABELS
from tillkeeper.store import Store


@pytest.fixture
def till(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Till:
    monkeypatch.setenv("TILL_HOME", str(tmp_path))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)
    return calling(capsys)


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An HTTP server that takes notices."""
    heard: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/alerts", heard
    server.shutdown()
    server.server_close()


def fire(database: Database) -> None:
    """One alert, judged just now."""

    async def make() -> None:
        now = SystemClock().now()
        alert = Alert(new_id(), "disk_short", NO_LABELS, "page", "firing", "bad", 1e9, 2e9, now, now)
        async with Store.opened(database.app_url, size=1) as store, store.tx("fire") as tx:
            await rows.keep_alerts(tx, [alert])
            await rows.keep_standings(tx, [Standing("disk_short", NO_LABELS, "bad", now, now, 1e9, 2e9)], now)

    asyncio.run(make())


def test_alerts_are_listed_acknowledged_and_silenced(till: Till, database: Database) -> None:
    said = till("alerts", "list")
    assert said.code == 1
    assert "NOBODY HAS LOOKED yet" in said.out
    fire(database)
    said = till("alerts", "list", "--json")
    assert (said.code, said.json["stale"]) == (1, False)
    assert [each["rule"] for each in said.json["alerts"]] == ["disk_short"]
    assert "backup_old" in said.json["unknown"]
    assert "1,000,000,000" in till("alerts", "list").out
    assert "acknowledged by" in till("alerts", "ack", "disk_short").out
    again = till("alerts", "ack", "disk_short")
    assert again.code == 2
    assert "till alerts list shows those that do" in again.err
    assert till("alerts", "ack", said.json["alerts"][0]["id"]).code == 2
    assert till("alerts", "list").code == 0
    made = till("alerts", "silence", "disk_short", "--for", "2h", "--reason", "a disk is on its way")
    assert made.code == 0
    assert "silenced until" in made.out
    (silence,) = till("alerts", "list", "--json").json["silences"]
    assert silence["reason"] == "a disk is on its way"
    for wrong in (["--for", "8d"], ["--for", "2 hours"], ["--for", "x"]):
        assert till("alerts", "silence", "disk_short", *wrong, "--reason", "x").code == 2
    assert till("alerts", "silence", "nothing", "--for", "2h", "--reason", "x").code == 2


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # the library's own import
def test_channels_and_the_rule_book_are_tried(
    till: Till, receiver: tuple[str, list[dict[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, heard = receiver
    assert "there are no channels" in till("alerts", "test").err
    channels = tmp_path / "channels"
    channels.write_text(f"{address}\n")
    channels.chmod(0o600)
    monkeypatch.setenv("TILL_ALERT_CHANNELS", str(channels))
    said = till("alerts", "test", "--json")
    assert (said.code, said.json) == (0, {"taken": ["json://127.0.0.1"], "not_taken": []})
    assert heard[0]["title"] == "Tillkeeper 掌柜: test"
    channels.write_text(f"{address}\njson://127.0.0.1:1/nobody\n")
    said = till("alerts", "test", "--json")
    assert (said.code, len(said.json["not_taken"])) == (1, 1)
    channels.chmod(0o644)
    assert "chmod 600" in till("alerts", "test").err
    book = tmp_path / "book.toml"
    book.write_text(own_text())
    assert "can be used" in till("alerts", "check", str(book)).out
    book.write_text(own_text().replace('"disk.free_bytes"', '"disk.free_byte"'))
    said = till("alerts", "check", str(book))
    assert said.code == 2
    assert "did you mean disk.free_bytes?" in said.err
