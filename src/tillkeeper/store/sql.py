"""Named statements: SQL stays SQL in `.sql` files, and every statement has a name its cost can be watched by."""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)

Statement = bytes
"""SQL text with %(named)s parameters, as psycopg takes it, headed by a comment with its name."""


class Queries:
    """The statements of one file as attributes: `queries(__package__, "queries.sql").find_wallets`."""

    def __init__(self, statements: dict[str, Statement]) -> None:
        self._statements = statements

    def __getattr__(self, name: str) -> Statement:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"no statement {name!r}; there are: {', '.join(self._statements)}") from None

    def __iter__(self) -> Iterator[tuple[str, Statement]]:
        return iter(self._statements.items())


def queries(package: str, file: str) -> Queries:
    """Read a package's `.sql` file. Each statement follows a line `-- name: its_name` and a line of purpose.

    Raises ValueError for text before the first name, or a name given twice.
    """
    parts = _NAME.split(files(package).joinpath(file).read_text("utf-8"))
    before, names, bodies = parts[0], parts[1::2], parts[2::2]
    if before.strip() or len(set(names)) != len(names):
        raise ValueError(f"{package}/{file}: text before the first name, or a name twice")
    label = package.removeprefix("tillkeeper.")
    return Queries(
        {
            name: f"/* {label}.{name} */ {_bare(body)}".encode()
            for name, body in zip(names, bodies, strict=True)
        }
    )


def _bare(body: str) -> str:
    lines = [line for line in body.strip().splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines).strip().removesuffix(";")
