"""tools/setup.sh: what is missing is said in the first lines, with what to do; a second run does nothing."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "dirname", "grep", "env", "touch", "cat")

# Stand-ins for `python3`: what they answer to setup.sh's questions.
TOO_OLD = 'case "$2" in *print*) echo 3.9 ;; *version_info*) exit 1 ;; esac'
WITHOUT_VENV = f'case "$2" in *ensurepip*) exit 1 ;; *) exec {sys.executable} "$@" ;; esac'
FULL = f'case "$2" in venv) echo "making a venv"; exit 7 ;; *) exec {sys.executable} "$@" ;; esac'


class Machine:
    """A machine with exactly the programs it is given, and a fresh clone."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "clone"
        self.programs = folder / "bin"
        (self.clone / "tools").mkdir(parents=True)
        self.programs.mkdir()
        shutil.copy(ROOT / "tools/setup.sh", self.clone / "tools")
        for name in (
            "pyproject.toml",
            "requirements.lock",
            "requirements-dev.lock",
            "requirements-spark.lock",
        ):
            (self.clone / name).write_text("")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.programs / tool).symlink_to(found)

    def has(self, name: str, answers: str) -> None:
        self._program(self.programs / name, answers)

    def is_set_up(self, stamp: str) -> None:
        self._program(self.clone / ".venv/bin/till", "")
        self._program(
            self.clone / ".venv/bin/python",
            f'case "$2" in pip) exit 9 ;; *) exec {sys.executable} "$@" ;; esac',
        )
        stamped = self.clone / ".venv" / stamp
        stamped.touch()
        os.utime(stamped, (2_000_000_000, 2_000_000_000))

    def setup(self, goal: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "tools/setup.sh", goal],
            cwd=self.clone,
            env={"PATH": str(self.programs), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    @staticmethod
    def _program(path: Path, answers: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{answers}\n")
        path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_python(machine: Machine) -> None:
    result = machine.setup("run")
    assert result.returncode == 2
    assert result.stderr.startswith(
        "Tillkeeper needs Python 3.11 or newer; there is no python3 here.\nInstall it"
    )


def test_python_too_old(machine: Machine) -> None:
    machine.has("python3", TOO_OLD)
    result = machine.setup("run")
    assert result.returncode == 2
    assert result.stderr.startswith("Tillkeeper needs Python 3.11 or newer; the newest here is 3.9.\nInstall")


def test_python_without_venv_module(machine: Machine) -> None:
    machine.has("python3", WITHOUT_VENV)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    result = machine.setup("run")
    assert result.returncode == 2
    assert result.stderr.startswith(f"Python {version} is here, but not its venv module.\n")
    assert f"apt install python{version}-venv" in result.stderr


def test_newest_python_that_fits_is_taken(machine: Machine) -> None:
    machine.has("python3", TOO_OLD)
    machine.has("python3.13", WITHOUT_VENV)
    machine.has("python3.11", FULL)
    result = machine.setup("dev")
    assert result.returncode == 7
    assert "Making .venv with Python" in result.stderr
    assert "making a venv" in result.stdout


@pytest.mark.parametrize(
    ("variable", "other"),
    [
        ("TILL_API_PORT", "TILL_CONSOLE_PORT"),
        ("TILL_CONSOLE_PORT", "TILL_STATUS_PORT"),
        ("TILL_STATUS_PORT", "TILL_API_PORT"),
    ],
)
def test_port_taken_is_said_before_anything_is_installed(machine: Machine, variable: str, other: str) -> None:
    machine.has("python3", FULL)
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free.bind(("127.0.0.1", 0))
        port, free_port = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        ports = dict.fromkeys(
            ("TILL_API_PORT", "TILL_CONSOLE_PORT", "TILL_STATUS_PORT"), "0"
        )  # 0 is never taken
        result = machine.setup("demo", **ports | {variable: str(port), other: str(free_port)})
    assert result.returncode != 0
    assert result.stderr.startswith(f"Port {port} on 127.0.0.1 is taken.\n")
    assert f"make demo {variable}={port + 10}" in result.stderr
    assert not (machine.clone / ".venv").exists()


@pytest.mark.parametrize(
    ("stamp", "goal"), [(".ready-run", "run"), (".ready-dev", "dev"), (".ready-dev", "run")]
)
def test_second_run_does_nothing(machine: Machine, stamp: str, goal: str) -> None:
    machine.is_set_up(stamp)
    result = machine.setup(goal)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_changed_lock_file_is_noticed(machine: Machine) -> None:
    machine.has("python3", FULL)
    machine.is_set_up(".ready-run")
    os.utime(machine.clone / "requirements.lock", (2_000_000_001, 2_000_000_001))
    result = machine.setup("run")
    assert "Installing" in result.stderr
    assert result.stderr.strip().endswith("Then run the same command again.")
    assert result.returncode == 2
