"""Every column that a migration makes is declared in its package's columns.toml, and nothing else is; every table says how long
its rows are kept. Prints each fault as `file:line: rule: what to do`; exit code 1.

    python -m tools.columns [ROOT]

What only a running database knows (DO blocks, generated SQL) is compared by tests/db/test_declarations.py.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tillkeeper.vault import DeclarationError
from tillkeeper.vault.declarations import FILE, Catalogue, read
from tools.house_rules import Fault, bare_sql

HOUSE: Final = Path("src/tillkeeper")
RULE: Final = "undeclared-column"
# What a table is made of besides columns.
_NO_COLUMN: Final = {"constraint", "primary", "unique", "check", "foreign", "exclude", "like"}
_STATEMENT: Final = re.compile(
    r"\b(?P<create>CREATE(?:\s+UNLOGGED)?\s+TABLE(?:\s+IF\s+NOT\s+EXISTS)?|ALTER\s+TABLE(?:\s+IF\s+EXISTS)?(?:\s+ONLY)?"
    r"|DROP\s+TABLE(?:\s+IF\s+EXISTS)?)\s+(?P<table>\w+\.\w+)\s*(?P<rest>[^;]*)",
    re.IGNORECASE,
)
_ADD: Final = re.compile(r"ADD\s+(?:COLUMN\s+)?(?:IF\s+NOT\s+EXISTS\s+)?(\S+)", re.IGNORECASE)
_DROP: Final = re.compile(r"DROP\s+(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?(\S+)", re.IGNORECASE)
_RENAME: Final = re.compile(r"RENAME\s+(?:COLUMN\s+)?(\S+)\s+TO\s+(\S+)", re.IGNORECASE)

Made = dict[str, dict[str, tuple[Path, int]]]
"""Columns by table, and where each was made."""


def made(root: Path) -> Made:
    """What all migrations together have made."""
    found: Made = {}
    for path in sorted((root / HOUSE / "migrations").glob("*.sql")):
        text = bare_sql(path.read_text("utf-8"))
        for statement in _STATEMENT.finditer(text):
            line = text.count("\n", 0, statement.start()) + 1
            _take(found, statement, (path.relative_to(root), line))
    return found


def _take(found: Made, statement: re.Match[str], at: tuple[Path, int]) -> None:
    verb, table, rest = statement["create"].split()[0].upper(), statement["table"], statement["rest"]
    if verb == "DROP":
        found.pop(table, None)
    elif verb == "CREATE":
        columns = found.setdefault(table, {})
        for part in parts(rest):
            name = part.split()[0].strip('"')
            if name.lower() not in _NO_COLUMN:
                columns[name] = at
    else:
        for part in parts(f"({rest})"):
            _alter(found.setdefault(table, {}), part, at)


def _alter(columns: dict[str, tuple[Path, int]], action: str, at: tuple[Path, int]) -> None:
    if (added := _ADD.match(action)) and added[1].lower() not in _NO_COLUMN:
        columns[added[1].strip('"')] = at
    elif (dropped := _DROP.match(action)) and dropped[1].lower() != "constraint":
        columns.pop(dropped[1].strip('"'), None)
    elif (renamed := _RENAME.match(action)) and renamed[1].lower() not in {"to", "constraint"}:
        columns.pop(renamed[1].strip('"'), None)
        columns[renamed[2].strip('"')] = at


def parts(text: str) -> Iterator[str]:
    """What stands between the commas of the first pair of brackets, inner brackets left whole."""
    depth, part = 0, ""
    for letter in text[text.find("(") :] if "(" in text else "":
        depth += (letter == "(") - (letter == ")")
        if depth == 0 or (depth == 1 and letter == ","):
            if part.strip():
                yield part.strip()
            part = ""
            if depth == 0:
                return
        elif (depth, letter) != (1, "("):
            part += letter


def faults(root: Path) -> Iterator[Fault]:
    """Every difference between the migrations and the declarations."""
    texts = {path.parent.name: path.read_text("utf-8") for path in sorted((root / HOUSE).glob(f"*/{FILE}"))}
    try:
        declared = read(texts)
    except DeclarationError as error:
        yield Fault(HOUSE, 1, "declaration", str(error))
        return
    found = made(root)
    yield from _undeclared(found, declared)
    for name in sorted(name for name, table in declared.items() if not table.kept):
        remedy = "say how long its rows are kept, and why: kept = … (see vault/declarations.py)"
        yield Fault(HOUSE / name.partition(".")[0] / FILE, 1, "retention", f"{name}: {remedy}")
    for table, columns in found.items():
        for name in sorted(set(declared[table].columns()) - set(columns)) if table in declared else []:
            path = HOUSE / table.partition(".")[0] / FILE
            yield Fault(path, 1, RULE, f"{table}.{name} is declared, but no migration makes it")


def _undeclared(found: Mapping[str, Mapping[str, tuple[Path, int]]], declared: Catalogue) -> Iterator[Fault]:
    for table, columns in found.items():
        schema, _, name = table.partition(".")
        known = set(declared[table].columns()) if table in declared else set()
        for column, (path, line) in columns.items():
            if column not in known:
                remedy = f"declare {column} of [{name}] in {HOUSE / schema / FILE}: class, purpose, mask, search, retention, erase"
                yield Fault(path, line, RULE, remedy)


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    found = list(faults(root))
    for fault in found:
        print(f"{fault.path}:{fault.line}: {fault.rule}: {fault.remedy}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
