"""Each house rule catches the fault planted for it, lets the right way pass, and this repository keeps them all."""

import sys
from pathlib import Path

import pytest

from tools.house_rules import FILE_MAX, FUNCTION_MAX, FUNCTION_P90, faults, main

PAYMENTS = "src/tillkeeper/payments/flow.py"
MIGRATIONS = {
    "src/tillkeeper/migrations/0001_ledger.sql": "CREATE SCHEMA ledger;",
    "src/tillkeeper/migrations/0002_payments.sql": "CREATE SCHEMA payments;",
}


def function(lines: int, name: str = "f") -> str:
    return f"def {name}():\n" + "    pass\n" * (lines - 1)


def planted(root: Path, files: dict[str, str]) -> list[str]:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    return sorted({fault.rule for fault in faults(root)})


BAD = {
    "function-size": (PAYMENTS, function(FUNCTION_MAX + 1)),
    "function-size p90": (PAYMENTS, "".join(function(FUNCTION_P90 + 1, f"f{n}") for n in range(10))),
    "file-size": ("tests/long.py", "pass\n" * (FILE_MAX + 1)),
    "clock": (PAYMENTS, "import datetime\nx = datetime.datetime.now(datetime.UTC)\n"),
    "clock time": (PAYMENTS, "import time\nx = time.time()\n"),
    "money": (PAYMENTS, "x = float('1')\n"),
    "money division": ("src/tillkeeper/ledger/sums.py", "x = 3 / 2\n"),
    "commit": (PAYMENTS, "async def f(c):\n    await c.commit()\n"),
    "plaintext": (PAYMENTS, "async def f(self, x):\n    return await self._vault.open(x)\n"),
    "plaintext many": (PAYMENTS, "async def f(vault, x):\n    return await vault.open_all(x)\n"),
    "plaintext cell": (PAYMENTS, "def f(field, x):\n    return field.unseal(None, 1, x)\n"),
    "print": (PAYMENTS, "print('x')\n"),
    "retry": (
        PAYMENTS,
        "def f():\n    while True:\n        try:\n            return g()\n        except OSError:\n            sleep(1)\n",
    ),
    "dependency": (PAYMENTS, "import pytest\n"),
    "leftover": ("README.md", "<!-- TO" + "DO write this -->\n"),
    "leftover in SQL": ("src/tillkeeper/migrations/0003_x.sql", "-- FIX" + "ME\n"),
    "registry": ("requirements.toml", 'url = "https://pypi' + '.org/simple"\n'),
    "machine-path": (PAYMENTS, 'x = "/wo' + 'rk/main"\n'),
    "machine-path home": ("README.md", "see /ho" + "me/anna/till\n"),
    "sql-schema": (
        "src/tillkeeper/payments/queries.sql",
        "-- name: a\n-- All.\nSELECT * FROM ledger.transfers\n",
    ),
    "sql-schema migration": ("src/tillkeeper/migrations/0003_payments.sql", "DROP TABLE ledger.transfers;\n"),
    "sql-schema migration of a topic": (
        "src/tillkeeper/migrations/0003_fees.sql",
        "ALTER TABLE payments.moves ADD x int;\nDROP TABLE ledger.transfers;\n",
    ),
    "sql-schema face": ("src/tillkeeper/faces/queries.sql", "-- name: a\n-- All.\nSELECT 1\n"),
    "sql-name": ("src/tillkeeper/payments/queries.sql", "SELECT 1\n"),
    "sql-name purpose": ("src/tillkeeper/payments/queries.sql", "-- name: a\nSELECT 1\n"),
    "sql-name twice": ("src/tillkeeper/payments/queries.sql", "-- name: a\n-- One.\nSELECT 1\n" * 2),
    "sql-name two": ("src/tillkeeper/payments/queries.sql", "-- name: a\n-- One.\nSELECT 1; SELECT 2;\n"),
}


@pytest.mark.parametrize("case", BAD)
def test_planted_fault_is_caught_by_its_rule_only(tmp_path: Path, case: str) -> None:
    path, text = BAD[case]
    assert planted(tmp_path, {**MIGRATIONS, "pyproject.toml": "", path: text}) == [case.split(maxsplit=1)[0]]


GOOD = {
    "sizes at the limit": (PAYMENTS, function(FUNCTION_MAX)),
    "the clock itself": ("src/tillkeeper/base/clock.py", "import time\nx = time.time()\n"),
    "a duration": (PAYMENTS, "import time\nx = time.monotonic()\n"),
    "integer division": ("src/tillkeeper/ledger/sums.py", "x = 3 // 2\n"),
    "store commits": ("src/tillkeeper/store/database.py", "async def f(c):\n    await c.commit()\n"),
    "a reveal opens": (
        "src/tillkeeper/parties/reveal.py",
        "async def f(vault, x):\n    await vault.open(x)\n",
    ),
    "a file and a vault are opened": (
        PAYMENTS,
        "async def f(path, store):\n    path.open()\n    open(path)\n    Vault.opened(store)\n",
    ),
    "the command line prints": ("src/tillkeeper/faces/cli/output.py", "print('x')\n"),
    "a bounded retry": (
        PAYMENTS,
        "def f():\n    while n < limits.T:\n        try:\n            g()\n        except OSError:\n            sleep(1)\n",
    ),
    "a beat that goes on for ever": (
        PAYMENTS,
        "def f():\n    while True:\n        sleep(1)\n        try:\n            g()\n        except OSError:\n            pass\n",
    ),
    "own schema, foreign words in text and comment": (
        "src/tillkeeper/payments/queries.sql",
        "-- name: a\n-- Not ledger.transfers.\nSELECT 'ledger.x; ' FROM payments.moves p WHERE p.ledger = 1;\n",
    ),
    "a migration named after its topic": (
        "src/tillkeeper/migrations/0003_fees.sql",
        "ALTER TABLE payments.moves ADD fees int;\nUPDATE payments.moves AS fees SET fees.x = 1;\n",
    ),
    "another path": ("README.md", "GET https://till.example/work/1 and /v1/payments\n"),
}


@pytest.mark.parametrize("case", GOOD)
def test_right_way_passes(tmp_path: Path, case: str) -> None:
    path, text = GOOD[case]
    assert planted(tmp_path, {**MIGRATIONS, path: text}) == []


def test_cycle_is_named(tmp_path: Path) -> None:
    package = tmp_path / "src/tillkeeper/risk"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from tillkeeper.risk import windows\n")
    (package / "windows.py").write_text("from tillkeeper.risk.rules import RULES\n")
    (package / "rules.py").write_text("def f():\n    from tillkeeper.risk import windows\n")
    found = [fault for fault in faults(tmp_path) if fault.rule == "cycle"]
    assert len(found) == 1
    assert "tillkeeper.risk.rules" in found[0].remedy
    assert "tillkeeper.risk.windows" in found[0].remedy


def test_a_module_may_import_its_neighbour_through_the_package(tmp_path: Path) -> None:
    package = tmp_path / "src/tillkeeper/risk"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from tillkeeper.risk.windows import x\n")
    (package / "windows.py").write_text("from tillkeeper.risk import rules\nx = rules\n")
    (package / "rules.py").write_text("")
    assert list(faults(tmp_path)) == []


def test_declared_dependency_that_nothing_imports(tmp_path: Path) -> None:
    project = (
        '[project]\ndependencies = ["segno>=1", "uvloop>=0.1", "pytest[x]>=8; python_version > \'3\'"]\n'
    )
    files = {"pyproject.toml": project, PAYMENTS: "import pytest\n"}
    assert planted(tmp_path, files) == ["dependency"]
    assert [fault.remedy for fault in faults(tmp_path)] == ["segno is declared but nothing imports it"]


def test_says_where_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(tmp_path, {PAYMENTS: "\nprint('x')\n"})
    monkeypatch.setattr(sys, "argv", ["house_rules.py", str(tmp_path)])
    assert main() == 1
    assert capsys.readouterr().out.startswith(f"{PAYMENTS}:2: print: ")
