"""`till serve console --tls`: a browser that trusts the authority is served, with cookies that never go in the clear."""

import os
import socket
import ssl
import subprocess
import sys
import time
from http.client import HTTPSConnection
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.ports import free_port
from tests.support.postgres import Database

WAIT_SECONDS = 180


@pytest.mark.timeout(900)
def test_the_console_speaks_tls(database: Database, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TILL_")},
        "TILL_HOME": str(tmp_path / "home"),
        "TILL_CONSOLE_PORT": str(port),
        "TILL_DATABASE_URL": database.app_url,
        "TILL_ADMIN_DATABASE_URL": database.admin_url,
    }
    command = [sys.executable, "-m", "tillkeeper", "serve", "console", "--tls"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        url = f"https://127.0.0.1:{port}"
        authority = tmp_path / "home-keys" / "tls-authority.crt"
        deadline = time.monotonic() + WAIT_SECONDS
        while not _listens(port):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.05)
        context = ssl.create_default_context(cafile=authority)
        with urlopen(f"{url}/sign-in", context=context, timeout=WAIT_SECONDS) as answer:
            assert answer.status == 200
        chosen = HTTPSConnection("127.0.0.1", port, context=context, timeout=WAIT_SECONDS)
        chosen.request("GET", "/preferences?theme=dark&back=/sign-in")
        assert "Secure" in (chosen.getresponse().headers["set-cookie"] or "")
        chosen.close()
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(f"{url}/sign-in", timeout=WAIT_SECONDS)
        with pytest.raises(OSError, match=r"refused|reset|closed|Remote end"):
            urlopen(f"http://127.0.0.1:{port}/sign-in", timeout=WAIT_SECONDS)
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)
        assert process.stderr is not None
        process.stderr.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
