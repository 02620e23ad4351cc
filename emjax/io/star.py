"""STAR files as text: every value keeps the characters it was written with.

The tables are kept as lines, not as numbers, because writing a particle file back must not
reformat columns that nobody touched; `starfile` and pandas turn them into numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from emjax.errors import InputError
from emjax.io.atomic import write_text

Values = Sequence[Any] | np.ndarray
Columns = Mapping[str, Values]
_TOKEN = re.compile(r"\"[^\"]*\"(?=[ \t]|$)|'[^']*'(?=[ \t]|$)|[^ \t]+")


@dataclass(frozen=True)
class StarTable:
    """One data block: a loop of rows, or a list of label–value pairs (one row)."""

    name: str
    labels: tuple[str, ...]
    rows: tuple[str, ...] = field(repr=False)
    loop: bool = True
    comments: tuple[str, ...] = ()
    file: str = "<memory>"
    line_numbers: Sequence[int] = field(default=(), repr=False)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __contains__(self, label: str) -> bool:
        """Whether the table has a column of this name."""
        return label in self.labels

    def where(self, row: int) -> str:
        """How an error message calls a row."""
        line = f", line {self.line_numbers[row]}" if len(self.line_numbers) > row else ""
        return f"data_{self.name} row {row + 1}{line}"

    def text(self, label: str) -> list[str]:
        """One column as it was written, quotation marks removed."""
        return [_unquote(token) for token in self._raw(label)]

    def _raw(self, label: str) -> list[str]:
        if label not in self.labels:
            raise InputError(self.file, f"data_{self.name}", f"no column _{label}", f"_{label}")
        return self._columns[self.labels.index(label)]

    @cached_property
    def _columns(self) -> list[list[str]]:
        """All values by column; large, so callers that read many columns work on a copy."""
        text = any(not row.isascii() or '"' in row or "'" in row for row in self.rows)
        flat = (
            list(chain.from_iterable(map(_split, self.rows)))
            if text
            else " ".join(self.rows).split()
        )
        count = len(self.labels)
        return [flat[i::count] for i in range(count)]

    def numbers(self, label: str) -> np.ndarray:
        """One column as float64.

        Raises:
            InputError: for the first value that is not a finite number.
        """
        tokens = self._raw(label)
        try:
            values = np.fromiter(map(float, tokens), np.float64, len(tokens))
            good = bool(np.isfinite(values).all()) and "_" not in "".join(tokens)
        except ValueError:
            good = False
        if not good:
            row = next(i for i, token in enumerate(tokens) if not _is_number(token))
            raise InputError(
                self.file, f"{self.where(row)}, _{label}", tokens[row], "a finite number"
            )
        return values

    def integers(self, label: str) -> np.ndarray:
        """One column as int64; `2.000000` counts as an integer.

        Raises:
            InputError: for the first value that is not a whole number.
        """
        values = self.numbers(label)
        whole = (values == np.round(values)) & (np.abs(values) < 2**53)
        if not whole.all():
            row = int(np.argmin(whole))
            place = f"{self.where(row)}, _{label}"
            raise InputError(self.file, place, self._raw(label)[row], "a whole number")
        return values.astype(np.int64)

    def select(self, rows: np.ndarray) -> StarTable:
        """The given rows, in the given order."""
        numbers = [self.line_numbers[i] for i in rows] if len(self.line_numbers) else ()
        return replace(self, rows=tuple(self.rows[i] for i in rows), line_numbers=numbers)

    def with_columns(self, columns: Columns) -> StarTable:
        """The table with columns replaced or appended; all other text stays as it was.

        Args:
            columns: label (without underscore) to one value a row.
        """
        for label, values in columns.items():
            if len(values) != len(self):
                place = f"data_{self.name}, _{label}"
                raise InputError(self.file, place, f"{len(values)} values", f"{len(self)} rows")
        formatted = {label: format_column(values) for label, values in columns.items()}
        rows: Iterable[str] = self.rows
        old = [label for label in formatted if label in self.labels]
        if old:
            places = [self.labels.index(label) for label in old]
            rows = _replaced(self.rows, places, [formatted[label] for label in old])
        new = [label for label in formatted if label not in self.labels]
        if new:
            tails = zip(*(formatted[label] for label in new), strict=True)
            pairs = zip(rows, tails, strict=True)
            rows = (f"{row.rstrip()}\t" + "\t".join(tail) for row, tail in pairs)
        return replace(self, rows=tuple(rows), labels=(*self.labels, *new))


@dataclass(frozen=True)
class StarFile:
    """The data blocks of a STAR file, in order."""

    tables: tuple[StarTable, ...]
    path: Path | None = None

    def __contains__(self, name: str) -> bool:
        """Whether there is a block of this name."""
        return any(table.name == name for table in self.tables)

    def __getitem__(self, name: str) -> StarTable:
        """The block of this name."""
        for table in self.tables:
            if table.name == name:
                return table
        found = ", ".join(f"data_{table.name}" for table in self.tables) or "no data block"
        raise InputError(self.path, None, found, f"a block data_{name}")

    def with_table(self, table: StarTable) -> StarFile:
        """The file with the block of the same name replaced."""
        tables = tuple(table if old.name == table.name else old for old in self.tables)
        return replace(self, tables=tables)


def format_column(values: Values) -> list[str]:
    """Values as STAR text: floats with the shortest digits that read back the same.

    Raises:
        InputError: for text that no STAR value can hold (line ends, both quotation marks).
    """
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return (
            [np.format_float_positional(v, trim="-") if np.isfinite(v) else str(v) for v in array]
            if array.dtype == np.float32
            else list(map(repr, array.tolist()))
        )
    if array.dtype.kind in "iub":
        return [str(int(v)) for v in array.tolist()]
    return [_quote(str(value)) for value in values]


def make_table(name: str, columns: Columns, loop: bool = True) -> StarTable:
    """A new block from columns of equal length."""
    count = len(next(iter(columns.values()))) if columns else 0
    empty = StarTable(name, (), ("",) * count, loop, comments=("# version 30001",))
    table = empty.with_columns(columns)
    return replace(table, rows=tuple(row.strip("\t") for row in table.rows))


def write_star(path: str | Path, star: StarFile) -> None:
    """Write the blocks as RELION does: comment, name, labels with their numbers, rows."""
    write_text(path, format_star(star))


def format_star(star: StarFile) -> str:
    """The text of a STAR file."""
    pieces = []
    for table in star.tables:
        comments = "".join(f"{comment}\n" for comment in table.comments)
        pieces.append(f"\n{comments}\ndata_{table.name}\n\n")
        if table.loop:
            pieces.append("loop_\n")
            pieces.extend(f"_{label} #{i}\n" for i, label in enumerate(table.labels, 1))
            pieces.extend(f"{row}\n" for row in table.rows)
        else:
            values = _split(table.rows[0]) if table.rows else []
            pairs = zip(table.labels, values, strict=True)
            pieces.extend(f"_{label}\t{value}\n" for label, value in pairs)
        pieces.append("\n")
    return "".join(pieces)


def read_star(path: str | Path) -> StarFile:
    """Read a STAR file as text tables.

    Raises:
        InputError: when the file is missing, not text, or not a well-formed STAR file.
    """
    return parse_star(read_text(path), path)


def read_text(path: str | Path) -> str:
    """Text of a file, with any line ends, without byte order mark.

    Raises:
        InputError: when the file is missing, unreadable, binary or not UTF-8.
    """
    try:
        raw = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(path, None, reason.lower(), "a readable file") from error
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(path, "byte 0", "UTF-16 text", "UTF-8 text")
    nul = raw.find(b"\0")
    if nul >= 0:
        raise InputError(path, f"byte {nul}", "binary data", "UTF-8 text")
    try:
        text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{raw[error.start]:02x}"
        raise InputError(path, f"line {line}", found, "UTF-8 text") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_star(text: str, path: str | Path = "<memory>") -> StarFile:
    """Parse STAR text; `path` serves the error messages."""
    parser = _Parser(str(path))
    for number, line in enumerate(text.split("\n"), 1):
        parser.feed(number, line)
    return StarFile(tuple(parser.finish()), Path(path))


class _Parser:
    """Reads lines into blocks; `feed` a line at a time, then `finish`."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.tables: list[StarTable] = []
        self.comments: list[str] = []
        self.name: str | None = None
        self.number = 0
        self._clear()

    def _clear(self) -> None:
        self.loop = False
        self.labels: list[str] = []
        self.rows: list[str] = []
        self.line_numbers: list[int] = []
        self.values: list[str] = []
        self.block_comments: tuple[str, ...] = ()

    def feed(self, number: int, line: str) -> None:
        self.number = number
        tokens = _split(line)
        if not tokens:
            return
        first = tokens[0]
        if first.startswith("#"):
            self.comments.append(line.strip())
        elif first.startswith("data_") and (len(tokens) == 1 or tokens[1].startswith("#")):
            self._open(first.removeprefix("data_"))
        elif self.name is None:
            raise self._error(line.strip(), "data_… at the start of a STAR file")
        elif first == "loop_" and not self.rows:
            if self.labels:
                raise self._error("a second loop_ in one block", "one loop_ a data_ block")
            self.loop = True
        elif first.startswith("_") and not self.rows:
            self._label(tokens)
        elif self.loop and self.labels:
            self._row(line, tokens)
        else:
            raise self._error(line.strip(), "a label that starts with an underscore, or loop_")

    def _open(self, name: str) -> None:
        self._close()
        if any(table.name == name for table in self.tables):
            raise self._error(f"a second block data_{name}", "blocks of different names")
        self.name = name
        self.block_comments, self.comments = tuple(self.comments), []

    def _label(self, tokens: list[str]) -> None:
        label = tokens[0][1:]
        if not label:
            raise self._error("_", "a column name after the underscore")
        if label in self.labels:
            raise self._error(f"column _{label} twice", "each column once")
        rest = tokens[1:]
        if not self.loop:
            if not rest or (len(rest) > 1 and not rest[1].startswith("#")):
                raise self._error(f"{len(rest)} values for _{label}", "one value")
            self.values.append(rest[0])
        elif rest and not rest[0].startswith("#"):
            raise self._error(" ".join(rest), f"only a number such as #1 after _{label}")
        self.labels.append(label)

    def _row(self, line: str, tokens: list[str]) -> None:
        if len(tokens) != len(self.labels):
            found = f"{len(tokens)} values"
            raise self._error(found, f"{len(self.labels)} as in the header", len(self.rows))
        for token in tokens if "'" in line or '"' in line else ():
            if token[0] in "\"'" and (len(token) < 2 or token[-1] != token[0]):
                raise self._error(token, "a closing quotation mark", len(self.rows))
        self.rows.append(line.strip(" \t"))
        self.line_numbers.append(self.number)

    def _close(self) -> None:
        if self.name is None:
            return
        if self.loop and not self.labels:
            raise self._error("loop_ without labels", "labels after loop_")
        rows = self.rows if self.loop else ["\t".join(self.values)] if self.labels else []
        table = StarTable(
            self.name,
            tuple(self.labels),
            tuple(rows),
            self.loop,
            self.block_comments,
            self.file,
            self.line_numbers,
        )
        self.tables.append(table)
        self._clear()

    def finish(self) -> list[StarTable]:
        self._close()
        if not self.tables:
            raise InputError(self.file, None, "no data_ block (empty file)", "a STAR file")
        return self.tables

    def _error(self, found: str, expected: str, row: int | None = None) -> InputError:
        block = f"data_{self.name}" if self.name is not None else None
        parts = [block, None if row is None else f"row {row + 1}", f"line {self.number}"]
        return InputError(self.file, ", ".join(p for p in parts if p), found, expected)


def _split(line: str) -> list[str]:
    """The values of a line, with their quotation marks."""
    if line.isascii() and '"' not in line and "'" not in line:
        return line.split()
    return _TOKEN.findall(line)


def _unquote(token: str) -> str:
    if len(token) >= 2 and token[0] == token[-1] and token[0] in "\"'":
        return token[1:-1]
    return token


def _quote(value: str) -> str:
    """The value as one STAR token."""
    plain = value and not value.startswith(("#", "_", '"', "'", ";")) and value.isascii()
    if plain and not any(c in " \t\v\f" for c in value) and value.isprintable():
        return value
    if _TOKEN.fullmatch(value) and value.isprintable() and value[0] not in "#_\"';":
        return value
    for mark in "\"'":
        if mark not in value and value.isprintable():
            return f"{mark}{value}{mark}"
    raise InputError(None, "STAR value", value, "text without line ends or both quotation marks")


def _is_number(token: str) -> bool:
    try:
        return bool(np.isfinite(float(token))) and "_" not in token
    except ValueError:
        return False


def _replaced(rows: Sequence[str], places: list[int], columns: list[list[str]]) -> Iterable[str]:
    for row, values in zip(rows, zip(*columns, strict=True), strict=True):
        tokens = _split(row)
        for place, value in zip(places, values, strict=True):
            tokens[place] = value
        yield "\t".join(tokens)
