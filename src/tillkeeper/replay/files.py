"""Files of payments, read in bounded batches: CSV with exact line numbers, Parquet with row numbers, both as texts."""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import duckdb

from tillkeeper.replay.types import Bad, ReplayError, Row

BATCH: Final = 1024
_PARQUET_MAGIC: Final = b"PAR1"
_DELIMITERS: Final = ",;\t|"
_MAX_LINE: Final = 1 << 20
# For DuckDB, not for our database. Every column as text, so that amounts pass through no float of ours.
_ROWS: Final = "SELECT COLUMNS(*)::VARCHAR FROM read_parquet($file)"
_COUNT: Final = "SELECT count(*) FROM read_parquet($file)"
# One thread: the turn needs the other processor. No extension may be fetched from anywhere.
_DUCKDB: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class Source(Protocol):
    """A file of rows, readable from its beginning once."""

    columns: tuple[str, ...]

    @property
    def share(self) -> float:
        """How much of the file has been read, 0 to 1."""
        ...

    def batches(self) -> Iterator[list[Row | Bad]]:
        """The rows in order. Raises ReplayError when the file turns out to be damaged."""
        ...


def open_file(path: Path) -> Source:
    """A file by what it is, not by its name. Raises ReplayError."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_PARQUET_MAGIC))
    except OSError as error:
        raise ReplayError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    if not magic:
        raise ReplayError(f"{path} is empty", "give a CSV file with a header, or a Parquet file")
    return ParquetFile(path) if magic == _PARQUET_MAGIC else CsvFile(path)


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ParquetFile:
    """Rows of a Parquet file."""

    def __init__(self, path: Path) -> None:
        self._file = {"file": str(path)}
        self._read = 0
        try:
            self._connection = duckdb.connect(config=_DUCKDB)
            self._connection.execute(_COUNT, self._file)
            (self._total,) = self._connection.fetchone() or (0,)
            self._connection.execute(_ROWS, self._file)
        except duckdb.Error as error:
            raise _damaged(path, error) from error
        self.columns = tuple(column[0] for column in self._connection.description or ())

    @property
    def share(self) -> float:
        return self._read / self._total if self._total else 1.0

    def batches(self) -> Iterator[list[Row | Bad]]:
        while found := self._fetch():
            yield [Row(line, values) for line, values in enumerate(found, self._read + 1)]
            self._read += len(found)

    def _fetch(self) -> list[tuple[str | None, ...]]:
        try:
            return self._connection.fetchmany(BATCH)
        except duckdb.Error as error:
            raise _damaged(Path(self._file["file"]), error) from error


def _damaged(path: Path, error: Exception) -> ReplayError:
    said = str(error).partition("\n")[0]
    return ReplayError(f"{path} cannot be read as Parquet: {said}", "write the file anew")


class CsvFile:
    """Rows of a CSV file in UTF-8. The delimiter is the one that the header has most of."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._lines: _Lines | None = None
        with path.open("rb") as file:
            head = file.readline(_MAX_LINE)
        if b"\0" in head or len(head) == _MAX_LINE:
            raise ReplayError(
                f"{path} is neither Parquet nor CSV in UTF-8", "save it as UTF-8 with a header line"
            )
        header = head.decode("utf-8-sig", "replace").rstrip("\r\n")
        self._delimiter = max(_DELIMITERS, key=header.count)
        self.columns = tuple(
            name.strip() for name in next(csv.reader([header], delimiter=self._delimiter), [])
        )
        if doubles := {name for name in self.columns if self.columns.count(name) > 1}:
            raise ReplayError(f"{path} has the column {min(doubles)!r} twice", "rename one of them")

    @property
    def share(self) -> float:
        return min(1.0, self._lines.bytes / self._size) if self._lines else 0.0

    def batches(self) -> Iterator[list[Row | Bad]]:
        with self._path.open("rb") as file:
            self._lines = _Lines(file)
            next(self._lines)  # the header
            batch: list[Row | Bad] = []
            for each in self._rows(self._lines):
                batch.append(each)
                if len(batch) == BATCH:
                    yield batch
                    batch = []
            if batch:
                yield batch

    def _rows(self, lines: "_Lines") -> Iterator[Row | Bad]:
        reader = csv.reader(lines, delimiter=self._delimiter)
        width = len(self.columns)
        while True:
            first = lines.number + 1
            lines.taken.clear()
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error:  # a field without an end
                values = []
            if len(values) == width and not self._swallowed(lines.taken):
                yield Row(first, values)
            elif values or lines.taken[0].strip():
                # A quote that nobody closed swallows the lines after it: each is looked at by itself.
                for number, line in enumerate(lines.taken, first):
                    yield self._alone(number, line)

    def _swallowed(self, taken: list[str]) -> bool:
        """Whether a record of several lines has whole rows in it: a quote closes one that a row far above forgot."""
        return len(taken) > 1 and any(
            line.count('"') % 2 == 0 and isinstance(self._alone(0, line), Row) for line in taken[1:]
        )

    def _alone(self, number: int, line: str) -> Row | Bad:
        text = line.rstrip("\r\n")
        try:
            values = next(csv.reader([text], delimiter=self._delimiter, strict=True), [])
        except csv.Error as error:
            return Bad(number, "", f"not CSV: {error}", [text])
        if len(values) == len(self.columns):
            return Row(number, values)
        return Bad(number, "", f"{len(values)} fields where the header has {len(self.columns)}", [text])


class _Lines:
    """Lines of a file, counted, with those since the last `taken.clear()` at hand."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        self.bytes = 0
        self.taken: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        raw = self._file.readline(_MAX_LINE)
        if not raw:
            raise StopIteration
        self.number += 1
        self.bytes += len(raw)
        line = raw.decode("utf-8", "replace")
        self.taken.append(line)
        return line
