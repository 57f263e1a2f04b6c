"""The import contracts of pyproject.toml catch what they are for: a fault is planted in a copy of the package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The module that gets the line, the line, and the contract that must break (and no other need to hold).
FAULTS = [
    ("ledger/sums.py", "import tillkeeper.payments", "Floors"),
    ("ledger/sums.py", "import tillkeeper.risk", "Floors"),
    ("misc.py", "", "Floors"),
    ("payments/flow.py", "import tillkeeper.faces.cli", "Floors"),
    ("faces/api/extra.py", "import tillkeeper.faces.console", "Faces do not know each other"),
    ("simulation/cheat.py", "import tillkeeper.ledger", "The simulation is a client"),
    ("risk/extra.py", "import tillkeeper.simulation", "Only the command line starts the simulation"),
    ("base/net.py", "import asyncio", "Base has no input or output"),
    ("payments/flow.py", "import psycopg", "Only store speaks psycopg"),
    ("payments/flow.py", "import tillkeeper.ledger.rows", "entered by its door"),
    ("parties/extra.py", "import tillkeeper.access.keys", "entered by its door"),
]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(("path", "line", "contract"), FAULTS)
def test_planted_import_breaks_its_contract(copied: Path, path: str, line: str, contract: str) -> None:
    target = copied / "src/tillkeeper" / path
    target.parent.mkdir(exist_ok=True)
    target.write_text(line + "\n")
    result = lint(copied)
    assert result.returncode == 1, result.stdout
    broken = [text for text in result.stdout.splitlines() if " BROKEN" in text]
    assert any(contract in text for text in broken), result.stdout


def test_this_package_keeps_the_contracts() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout
