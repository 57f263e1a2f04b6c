"""The demo's tour: a backup is drilled, a plan is rehearsed and agreed to, its run is stopped by the money and undone."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.ports import free_port

pytestmark = pytest.mark.skipif(
    "STORM_SECONDS" not in os.environ, reason="takes a minute and a half: make storm runs it"
)


@pytest.mark.timeout(600)
def test_a_run_with_a_planted_fault_is_undone_and_reported() -> None:
    with tempfile.TemporaryDirectory(prefix="till-tour-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # where root tests, PostgreSQL runs as another user
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TILL_")},
            "TILL_HOME": f"{folder}/home",
            "TILL_API_PORT": str(free_port()),
            "TILL_CONSOLE_PORT": str(free_port()),
            "TILL_STATUS_PORT": str(free_port()),
        }
        command = [sys.executable, "-m", "tillkeeper", "demo", "--seconds", "10", "--fault", "money"]
        said = subprocess.run(
            command, check=False, env=environment, capture_output=True, text=True, timeout=500
        )
        assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-2000:]
        facts = json.loads(said.stdout.splitlines()[-1])
        assert (facts["books_balanced"], facts["missing"]) == (True, 0)
        assert facts["tour"]["state"] == "undone"
        assert Path(facts["tour"]["report"]).exists()
