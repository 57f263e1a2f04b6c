"""`till` called within the test's own process: what it printed, and its exit code."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tillkeeper.faces.cli.main import main


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Till = Callable[..., Said]


def calling(capsys: pytest.CaptureFixture[str]) -> Till:
    """The command, by its arguments."""

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        captured = capsys.readouterr()
        return Said(int(left.value.code or 0), captured.out, captured.err)

    return call
