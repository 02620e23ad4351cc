"""STAR files as text: every value keeps the characters it was written with.

The tables are kept as lines, not as numbers, because writing a particle file back must not
reformat columns that nobody touched; `starfile` and pandas turn them into numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from emjax.errors import InputError
from emjax.io.files import write_text
from emjax.io.star.parser import is_number, parse_blocks, quote, read_text, split_values, unquote

Values = Sequence[Any] | np.ndarray
Columns = Mapping[str, Values]


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
        return [unquote(token) for token in self._raw(label)]

    def _raw(self, label: str) -> list[str]:
        if label not in self.labels:
            raise InputError(self.file, f"data_{self.name}", f"no column _{label}", f"_{label}")
        return self._columns[self.labels.index(label)]

    @cached_property
    def _columns(self) -> list[list[str]]:
        """All values by column; large, so callers that read many columns work on a copy."""
        text = any(not row.isascii() or '"' in row or "'" in row for row in self.rows)
        flat = (
            list(chain.from_iterable(map(split_values, self.rows)))
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
            row = next(i for i, token in enumerate(tokens) if not is_number(token))
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
            columns: label (without underscore) to one value per row.
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
    return [quote(str(value)) for value in values]


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
            values = split_values(table.rows[0]) if table.rows else []
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


def parse_star(text: str, path: str | Path = "<memory>") -> StarFile:
    """Parse STAR text; `path` serves the error messages."""
    blocks = parse_blocks(text, path)
    return StarFile(tuple(StarTable(**vars(b), file=str(path)) for b in blocks), Path(path))


def _replaced(rows: Sequence[str], places: list[int], columns: list[list[str]]) -> Iterable[str]:
    for row, values in zip(rows, zip(*columns, strict=True), strict=True):
        tokens = split_values(row)
        for place, value in zip(places, values, strict=True):
            tokens[place] = value
        yield "\t".join(tokens)
