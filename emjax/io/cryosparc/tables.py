"""CryoSPARC `.cs` tables (v2 to v5)."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.files import atomic_path, refuse_compressed

_LARGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class CsParticles:
    """A `.cs` table as it was written, and the fields that its passthrough files add."""

    file: str
    records: np.ndarray
    passthrough: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        """Number of particles."""
        return len(self.records)

    def __contains__(self, name: str) -> bool:
        """Whether a field of this name is in the table or its passthrough files."""
        return any(name in (table.dtype.names or ()) for table in self._tables)

    def __getitem__(self, name: str) -> np.ndarray:
        """One field; the table itself comes before its passthrough files."""
        for table in self._tables:
            if name in (table.dtype.names or ()):
                return table[name]
        raise InputError(self.file, None, f"no field {name}", f"{name} here or in a passthrough")

    @property
    def _tables(self) -> tuple[np.ndarray, ...]:
        return (self.records, *self.passthrough)

    @property
    def names(self) -> list[str]:
        """All field names."""
        return list(dict.fromkeys(n for table in self._tables for n in table.dtype.names or ()))

    def select(self, rows: np.ndarray) -> CsParticles:
        """The same table with the given particles only."""
        extra = tuple(table[rows] for table in self.passthrough)
        return replace(self, records=self.records[rows], passthrough=extra)

    def numbers(self, name: str, width: int | None = None) -> np.ndarray:
        """One field as float64, `[n]` or `[n, width]`.

        Raises:
            InputError: for a missing field, another shape, or the first value not finite.
        """
        values = self[name]
        shape = (len(self),) if width is None else (len(self), width)
        if values.dtype.kind not in "fiu" or values.shape != shape:
            found = f"{values.dtype} of shape {values.shape[1:]}"
            kind = "numbers" if width is None else f"{width} numbers"
            raise InputError(self.file, name, found, f"{kind} per particle")
        with np.errstate(invalid="ignore"):  # signalling NaN, reported below
            numbers = values.astype(np.float64)
        good = np.isfinite(numbers) if width is None else np.isfinite(numbers).all(1)
        if not good.all():
            row = int(np.argmin(good))
            raise InputError(self.file, f"row {row + 1}, {name}", values[row], "finite numbers")
        return numbers

    def integers(self, name: str) -> np.ndarray:
        """One field as int64.

        Raises:
            InputError: as `numbers`, and for the first value not a whole number from 0 up.
        """
        values = self.numbers(name)
        good = (values >= 0) & (values < 2**31 - 1) & (values == np.floor(values))
        if not good.all():
            row = int(np.argmin(good))
            place = f"row {row + 1}, {name}"
            raise InputError(self.file, place, self[name][row], "a whole number from 0 up")
        return values.astype(np.int64)

    def text(self, name: str) -> np.ndarray:
        """One field as text."""
        values = self[name]
        if values.dtype.kind not in "SU" or values.ndim != 1:
            raise InputError(self.file, name, str(values.dtype), "text, one per particle")
        try:
            return (
                values.astype(str) if values.dtype.kind == "U" else np.char.decode(values, "utf-8")
            )
        except UnicodeDecodeError as error:
            raise InputError(self.file, name, repr(error.object[:60]), "UTF-8 text") from error


def read_cs(path: str | Path) -> np.ndarray:
    """Read one `.cs` table (a structured NumPy array), without pickle.

    Raises:
        InputError: when it is no such file, is torn, or holds Python objects.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            shape, dtype = _read_npy_header(path, stream)
            needed = stream.tell() + dtype.itemsize * shape[0]
            size = os.fstat(stream.fileno()).st_size
            if size < needed:
                found = f"{size} bytes (truncated)"
                raise InputError(path, None, found, f"{needed} bytes for {shape[0]} particles")
            records = np.fromfile(stream, dtype, shape[0])
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(path, None, reason, "a readable .cs file") from error
    if not len(records):
        raise InputError(path, None, "no rows", "at least one particle")
    return records


def _read_npy_header(path: Path, stream) -> tuple[tuple[int, ...], np.dtype]:
    expected = "a CryoSPARC .cs table (a structured NumPy array)"
    magic = stream.read(6)
    refuse_compressed(path, magic)
    if magic == b"\x94CSDAT":
        found = "CryoSPARC's streaming format"
        raise InputError(path, None, found, "the NumPy format (save it again with cryosparc-tools)")
    if magic != np.lib.format.MAGIC_PREFIX:
        raise InputError(path, None, f"{magic!r} at its start" if magic else "no bytes", expected)
    stream.seek(0)
    try:
        version = np.lib.format.read_magic(stream)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
            (3, 0): np.lib.format.read_array_header_2_0,  # but for the text of field names
        }[version]
        shape, fortran, dtype = reader(stream, max_header_size=_LARGEST_HEADER)
    except Exception as error:  # NumPy, ast and tokenize each raise their own
        raise InputError(path, "header", "a cut or damaged one", expected) from error
    if dtype.hasobject:
        raise InputError(path, None, "Python objects", "numbers and text only (no pickle)")
    if dtype.names is None or len(shape) != 1 or shape[0] < 0 or dtype.itemsize == 0:
        raise InputError(path, None, f"an array {dtype} of shape {shape}", expected)
    return shape, dtype


def write_cs(path: str | Path, records: np.ndarray) -> None:
    """Write one `.cs` table; it appears whole or not at all."""
    with atomic_path(path) as beside, beside.open("wb") as stream:
        np.lib.format.write_array(stream, records, version=(1, 0), allow_pickle=False)


def has_slot(source: CsParticles, slot: str) -> bool:
    """Whether there are fields `slot/…` or `slot_multi/…`."""
    return any(name.startswith((f"{slot}/", f"{slot}_multi/")) for name in source.names)


def class_posteriors(source: CsParticles) -> np.ndarray:
    """Class posteriors `[n, K]` of a heterogeneous refinement.

    Raises:
        InputError: when the table has none.
    """
    values = source["alignments3D_multi/class_posterior"]
    finite = values.dtype.kind == "f" and values.ndim == 2 and np.isfinite(values).all()
    if not finite or not values.shape[1]:
        name = "alignments3D_multi/class_posterior"
        found = f"{values.dtype} of shape {values.shape[1:]}, or NaN"
        raise InputError(source.file, name, found, "finite numbers, one per class")
    return values.astype(np.float64)
