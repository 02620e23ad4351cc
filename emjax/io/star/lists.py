"""STAR files that list no particles (models, class averages, references), by `starfile`.

Particle files keep every character and go through `emjax.io.star.tables` instead.
"""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import starfile
from starfile.typing import DataBlock

from emjax.errors import InputError
from emjax.io.files import reason_of, write_text
from emjax.io.star.parser import Block, parse_blocks, read_text, split_values, unquote
from emjax.io.star.tables import Columns, format_column

Value = str | int | float
ListBlocks = Mapping[str, Columns | Mapping[str, Value]]
_TEXT = ["rlnReferenceImage", "rlnImageName", "rlnMicrographName"]
"""Columns of names, which stay text where they look like numbers."""
_VERSION = "# version 30001"


def read_lists(path: str | Path) -> dict[str, pd.DataFrame]:
    """The blocks of a STAR file as tables; a block of label–value pairs is a table of one row.

    Args:
        path: the file.

    Returns:
        Table by block name, in the order of the file.

    Raises:
        InputError: when the file is missing, not text, or not a well-formed STAR file.
    """
    blocks = parse_blocks(read_text(path), path)
    for block in blocks:
        _refuse_marks(block, path)
    try:
        found = starfile.read(Path(path), always_dict=True, parse_as_string=_TEXT)
    except Exception as error:  # starfile, pandas and shlex each raise their own
        expected = "a STAR file that the package starfile can read"
        raise InputError(path, None, reason_of(error), expected) from error
    finally:
        # starfile reads through this cache and leaves a failed file in it.
        linecache.clearcache()
    tables = {
        str(name): block if isinstance(block, pd.DataFrame) else pd.DataFrame([block])
        for name, block in found.items()
    }
    if list(tables) != [block.name for block in blocks]:
        listed = ", ".join(f"data_{name}" for name in tables) or "no data block"
        expected = ", ".join(f"data_{block.name}" for block in blocks)
        raise InputError(path, None, f"{listed} as starfile reads it", expected)
    for block in blocks:
        _check_shape(block, tables[block.name], path)
    return tables


def _refuse_marks(block: Block, path: str | Path) -> None:
    """Refuse values that starfile reads otherwise than RELION: it takes `#` for a comment."""
    for row, line in enumerate(block.rows):
        for label, token in zip(block.labels, split_values(line), strict=True):
            if "#" in token or "'" in unquote(token):
                place = f"data_{block.name} row {row + 1}, _{label}"
                raise InputError(path, place, token, "a value without # and apostrophe")


def _check_shape(block: Block, table: pd.DataFrame, path: str | Path) -> None:
    if list(table.columns) != list(block.labels) or len(table) != len(block.rows):
        found = f"{len(table)} rows of {len(table.columns)} columns as starfile reads it"
        expected = f"{len(block.rows)} rows of {len(block.labels)} columns"
        raise InputError(path, f"data_{block.name}", found, expected)


def numbers(table: pd.DataFrame, label: str, path: str | Path) -> np.ndarray:
    """A column as float64.

    Raises:
        InputError: for the first value that is not a finite number.
    """
    values = np.asarray(pd.to_numeric(table[label], errors="coerce"), np.float64)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        place = f"row {row + 1}, _{label}"
        raise InputError(path, place, table[label].iloc[row], "a finite number")
    return values


def write_lists(path: str | Path, blocks: ListBlocks) -> None:
    """Write blocks as RELION does, the same bytes for the same content.

    Args:
        path: the file.
        blocks: by name, columns of equal length, or single values for a list of pairs.

    Raises:
        InputError: for text that no STAR file can hold, or a file that cannot be written.
    """
    write_text(path, "".join(_format_block(name, block) for name, block in blocks.items()))


def _format_block(name: str, block: Columns | Mapping[str, Value]) -> str:
    pairs = all(isinstance(value, (str, int, float)) for value in block.values())
    columns = {
        label: _as_text(label, np.atleast_1d(np.asarray(values))) for label, values in block.items()
    }
    blocks: dict[str, DataBlock] = {name: pd.DataFrame(columns)}
    if pairs:
        blocks = {name: {label: texts[0] for label, texts in columns.items()}}
    # The first line is the time of writing; RELION looks for its own version there.
    text = starfile.to_string(blocks).split("\n", 1)[1].strip("\n")
    return f"\n{_VERSION}\n\n{text}\n\n"


def _as_text(label: str, values: np.ndarray) -> list[str]:
    """Numbers with all their digits; names as they are."""
    if values.dtype.kind in "fiub":
        return format_column(values)
    texts = [str(value) for value in values.tolist()]
    for text in texts:
        if not text.isprintable() or '"' in text:
            expected = "text without line ends and quotation marks"
            raise InputError(None, f"STAR value of _{label}", text, expected)
    return texts
