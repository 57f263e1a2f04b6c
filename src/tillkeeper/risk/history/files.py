"""Payments of a CSV or Parquet file, sorted by time, read in columns and in bounded memory by DuckDB."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from tillkeeper.base import limits
from tillkeeper.base.money import currencies, exponent
from tillkeeper.risk.history.types import HANDBOOK, HistoryError, Layout, Stretch, Verdicts
from tillkeeper.risk.types import Batch

DAY_US: Final = 86_400 * 1_000_000
LABEL_DELAY_US: Final = limits.REPLAY_LABEL_DELAY_SECONDS * 1_000_000
"""After so long the truth about a payment of a file is known: no column says when."""

_PARQUET_MAGIC: Final = b"PAR1"
_YES: Final = ("true", "1", "1.0", "t", "yes", "y")
_OWN, _THEIRS = 1, 2  # upper halves of ids made from numbers: customers and merchants are never the same
_INTEGERS: Final = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
)
# One thread: the windows need the other processor. No extension may be fetched from anywhere.
_DUCKDB: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,
    "memory_limit": limits.HISTORY_FILE_MEMORY,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class FileHistory:
    """A file's payments in order of time (of equals: of the file). A row without a readable time, payer, payee or
    amount is left out and counted (`left_out`). A label counts from `label_delay_us` after its payment on.

    Raises HistoryError. To be closed, or used as a context.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout = HANDBOOK,
        *,
        label_delay_us: int = LABEL_DELAY_US,
        rows: int = limits.HISTORY_ROWS,
    ) -> None:
        import duckdb  # here: most who read history read PostgreSQL's, and it costs 11 MB

        self._rows = rows
        self._delay = label_delay_us
        self._spill = tempfile.TemporaryDirectory(prefix="till-history-")
        self._connection: duckdb.DuckDBPyConnection = duckdb.connect(
            config=_DUCKDB | {"temp_directory": self._spill.name}
        )
        try:
            self._load(path, layout)
        except duckdb.Error as error:
            self.close()
            said = str(error).partition("\n")[0]
            remedy = "is it CSV with a header, or Parquet?"
            raise HistoryError(f"{path} cannot be read: {said}", remedy) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory and the spilled pages back."""
        self._connection.close()
        self._spill.cleanup()

    def stretches(self, from_us: int | None = None, to_us: int | None = None) -> Iterator[Stretch]:
        """Payments that happened within [from, to), as many at a time as a stretch holds."""
        begin = 0 if from_us is None else self.place(from_us)
        end = self.payments if to_us is None else self.place(to_us)
        for first in range(begin, end, self._rows):
            yield self._stretch(first, min(first + self._rows, end))

    def place(self, moment_us: int) -> int:
        """How many payments happened before a moment."""
        (found,) = self._row("SELECT count(*) FROM payments WHERE happened < ?", [moment_us])
        return int(found)

    def _stretch(self, begin: int, end: int) -> Stretch:
        read = self._connection.execute(
            "SELECT * FROM payments WHERE seq >= ? AND seq < ? ORDER BY seq", [begin, end]
        )
        found: dict[str, NDArray[Any]] = read.fetchnumpy()
        n, at = end - begin, found["happened"]
        ids = np.zeros((n, 2), np.int64)
        ids[:, 1] = found["seq"] + 1
        batch = Batch(
            ids=ids,
            at_us=at,
            kinds=["send" if self._sends else "payment"] * n,
            customers=_wide(found["payer_high"], found["payer_low"]),
            payees=_wide(found["payee_high"], found["payee_low"]),
            amounts=found["amount"],
            currencies=found["currency"].tolist(),
            devices=_optional(found["device"]),
            ips=_optional(found["ip"]),
            places=np.stack([_numbers(found["latitude"]), _numbers(found["longitude"])], axis=1),
        )
        rows = np.nonzero(found["judged"])[0]
        return Stretch(
            batch, at, Verdicts(rows, at[rows] + self._delay, found["fraud"][rows].astype(np.bool_))
        )

    def _load(self, path: Path, layout: Layout) -> None:
        self._connection.execute(f"SET TimeZone = '{layout.zone.replace(chr(39), '')}'")
        source, types = self._source(path)
        named = [getattr(layout.columns, name) for name in layout.columns.__struct_fields__]
        if missing := [name for name in named if name is not None and name.lower() not in types]:
            raise HistoryError(
                f"{path} has no column {', '.join(map(repr, sorted(missing)))}; it has {', '.join(types)}",
                "give a mapping with --map; docs/operating/replay.md explains mappings",
            )
        self._connection.execute(_table(source, layout, types))
        (read,) = self._row(f"SELECT count(*) FROM {source}")  # noqa: S608 - quoted by _source
        seen = self._row(
            "SELECT count(*), coalesce(sum(fraud::INT), 0), min(happened), max(happened) FROM payments"
        )
        self._sends = layout.payees == "customers"
        self.frauds, self.first_us, self.last_us = int(seen[1]), int(seen[2] or 0), int(seen[3] or 0)
        self.left_out = int(read) - int(seen[0])
        self.payments = int(seen[0])
        if not self.payments:
            raise HistoryError(
                f"{path} holds no payment that can be read", "check the mapping's columns and formats"
            )

    def _source(self, path: Path) -> tuple[str, dict[str, str]]:
        """The file as a relation of DuckDB, and the types of its columns by their names in small letters."""
        try:
            with path.open("rb") as file:
                magic = file.read(len(_PARQUET_MAGIC))
        except OSError as error:
            raise HistoryError(f"{path} cannot be read: {error.strerror}", "check the path") from error
        if not magic:
            raise HistoryError(f"{path} is empty", "give a CSV file with a header, or a Parquet file")
        quoted = str(path).replace("'", "''")
        source = (
            f"read_parquet('{quoted}')" if magic == _PARQUET_MAGIC else f"read_csv('{quoted}', header = true)"
        )
        described = self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608
        return source, {str(name).lower(): str(kind) for name, kind, *_ in described}

    def _row(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
        found = self._connection.execute(query, list(values)).fetchone()
        assert found is not None
        return tuple(found)


# -- one table of DuckDB, sorted


def _table(source: str, layout: Layout, types: dict[str, str]) -> str:
    columns = layout.columns
    payer, payee = (
        _identity(columns.payer, types, _OWN),
        _identity(columns.payee, types, _OWN if layout.payees == "customers" else _THEIRS),
    )
    place = [_or_null(name, "DOUBLE") for name in (columns.latitude, columns.longitude)]
    return f"""
        CREATE TEMP TABLE payments AS
        SELECT row_number() OVER (ORDER BY happened, line) - 1 AS seq, * EXCLUDE (line)
        FROM (SELECT row_number() OVER () AS line, {_moment(layout)} AS happened, {_amount(layout)} AS amount,
                     {_currency(layout)} AS currency,
                     {payer[0]} AS payer_high, {payer[1]} AS payer_low,
                     {payee[0]} AS payee_high, {payee[1]} AS payee_low,
                     {_or_null(columns.device, "VARCHAR")} AS device, {_or_null(columns.ip, "VARCHAR")} AS ip,
                     {place[0]} AS latitude, {place[1]} AS longitude, {_fraud(layout)}
              FROM {source})
        WHERE happened IS NOT NULL AND payer_low IS NOT NULL AND payee_low IS NOT NULL
              AND amount BETWEEN 0 AND {limits.MAX_AMOUNT}
        ORDER BY seq"""  # noqa: S608 - names are quoted by _name, texts by _text


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _or_null(column: str | None, kind: str) -> str:
    return f"TRY_CAST({_name(column)} AS {kind})" if column else f"NULL::{kind}"


def _identity(column: str, types: dict[str, str], upper: int) -> tuple[str, str]:
    """Both halves of a party's id: of a number it is itself, of a text its MD5."""
    if types[column.lower()] in _INTEGERS:
        return f"{upper}::UBIGINT", f"TRY_CAST({_name(column)} AS UBIGINT)"
    text = f"'{upper} ' || {_name(column)}::VARCHAR"
    return f"md5_number_upper({text})", f"md5_number_lower({text})"


def _moment(layout: Layout) -> str:
    """Microseconds since 1970 UTC. A time that names no zone is read in the session's."""
    column = _name(layout.columns.time)
    match layout.time:
        case "iso":
            return f"epoch_us(TRY_CAST({column} AS TIMESTAMPTZ))"
        case "epoch" | "epoch_ms":
            scale = 1_000_000 if layout.time == "epoch" else 1_000
            return f"round(TRY_CAST({column} AS DECIMAL(28, 6)) * {scale})::BIGINT"
        case written:
            return f"epoch_us(try_strptime({column}::VARCHAR, {_text(written)})::TIMESTAMPTZ)"


def _amount(layout: Layout) -> str:
    """Minor units; by way of text and decimal, so that amounts pass through no float."""
    exact = f"TRY_CAST({_name(layout.columns.amount)}::VARCHAR AS DECIMAL(28, 6))"
    if layout.amounts == "minor":
        return f"round({exact})::BIGINT"
    if layout.columns.currency is None:
        return f"round({exact} * {10 ** exponent(layout.currency or 'EUR')})::BIGINT"
    return f"round({exact} * {_units(layout.columns.currency)})::BIGINT"


def _units(column: str) -> str:
    """Minor units of a major one, for currencies with other than two decimals as the exception."""
    odd = sorted(code for code in currencies() if exponent(code) != 2)
    cases = " ".join(f"WHEN {_text(code)} THEN {10 ** exponent(code)}" for code in odd)
    return f"CASE upper({_name(column)}::VARCHAR) {cases} ELSE 100 END"


def _currency(layout: Layout) -> str:
    column = layout.columns.currency
    return _text(layout.currency or "") if column is None else f"upper({_name(column)}::VARCHAR)"


def _fraud(layout: Layout) -> str:
    """Whether a row is judged, and how."""
    column = layout.columns.fraud
    if column is None:
        return "false AS judged, false AS fraud"
    yes = ", ".join(_text(value) for value in layout.fraud_values or _YES)
    text = f"{_name(column)}::VARCHAR" if layout.fraud_values else f"lower({_name(column)}::VARCHAR)"
    return f"{_name(column)} IS NOT NULL AS judged, coalesce({text} IN ({yes}), false) AS fraud"


# -- columns as a batch takes them


def _wide(high: NDArray[Any], low: NDArray[Any]) -> list[int]:
    return [upper << 64 | lower for upper, lower in zip(high.tolist(), low.tolist(), strict=True)]


def _optional(texts: NDArray[Any]) -> list[str | None]:
    return [None if text is None or text is np.ma.masked else text for text in texts.tolist()]


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.ma.filled(values.astype(np.float64), np.nan)
