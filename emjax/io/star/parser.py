"""STAR text taken apart into blocks, with clear words for what is malformed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.files import refuse_compressed

_TOKEN = re.compile(r"\"[^\"]*\"(?=[ \t]|$)|'[^']*'(?=[ \t]|$)|[^ \t]+")


@dataclass(frozen=True)
class Block:
    """A data block as text."""

    name: str
    labels: tuple[str, ...]
    rows: tuple[str, ...]
    loop: bool
    comments: tuple[str, ...]
    line_numbers: list[int]


def read_text(path: str | Path) -> str:
    """Text of a file, whatever its line ends, without byte order mark.

    Raises:
        InputError: when the file is missing, unreadable, binary or not UTF-8.
    """
    try:
        raw = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(path, None, reason.lower(), "a readable file") from error
    refuse_compressed(path, raw)
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


def parse_blocks(text: str, path: str | Path) -> list[Block]:
    """Take STAR text apart.

    Args:
        text: with Unix line ends.
        path: for the error messages.

    Raises:
        InputError: for the first line that is not STAR.
    """
    parser = _Parser(str(path))
    for number, line in enumerate(text.split("\n"), 1):
        parser.feed(number, line)
    return parser.finish()


class _Parser:
    """Reads lines into blocks; `feed` a line at a time, then `finish`."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.tables: list[Block] = []
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
        tokens = split_values(line)
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
                raise self._error("a second loop_ in one block", "one loop_ per data_ block")
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
        table = Block(
            self.name,
            tuple(self.labels),
            tuple(rows),
            self.loop,
            self.block_comments,
            self.line_numbers,
        )
        self.tables.append(table)
        self._clear()

    def finish(self) -> list[Block]:
        self._close()
        if not self.tables:
            raise InputError(self.file, None, "no data_ block (empty file)", "a STAR file")
        return self.tables

    def _error(self, found: str, expected: str, row: int | None = None) -> InputError:
        block = f"data_{self.name}" if self.name is not None else None
        parts = [block, None if row is None else f"row {row + 1}", f"line {self.number}"]
        return InputError(self.file, ", ".join(p for p in parts if p), found, expected)


def split_values(line: str) -> list[str]:
    """The values of a line, with their quotation marks."""
    if line.isascii() and '"' not in line and "'" not in line:
        return line.split()
    return _TOKEN.findall(line)


def unquote(token: str) -> str:
    """The value without its quotation marks."""
    if len(token) >= 2 and token[0] == token[-1] and token[0] in "\"'":
        return token[1:-1]
    return token


def quote(value: str) -> str:
    """The value as one STAR token.

    Raises:
        InputError: for text that no STAR value can hold.
    """
    plain = value and not value.startswith(("#", "_", '"', "'", ";")) and value.isascii()
    if plain and not any(c in " \t\v\f" for c in value) and value.isprintable():
        return value
    if _TOKEN.fullmatch(value) and value.isprintable() and value[0] not in "#_\"';":
        return value
    for mark in "\"'":
        if mark not in value and value.isprintable():
            return f"{mark}{value}{mark}"
    raise InputError(None, "STAR value", value, "text without line ends or both quotation marks")


def is_number(token: str) -> bool:
    """Whether the token is a finite number as STAR writes them."""
    try:
        return bool(np.isfinite(float(token))) and "_" not in token
    except ValueError:
        return False
