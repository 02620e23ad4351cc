"""Files that appear whole or not at all: write beside, fsync, rename."""

from __future__ import annotations

import errno
import glob
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emjax.errors import InputError

# What file systems answer that have no shared maps, and no fsync of folders.
_NO_MAPS = (errno.ENODEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES)
_LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path` that takes its place when the block ends without an error.

    The temporary name keeps the suffix, so that writers which look at it still work. What a process
    that was killed left of the same file goes.

    Args:
        path: the file to write; its folder is made when missing.

    Yields:
        The name to write to.

    Raises:
        InputError: when the folder or the file cannot be written (read-only, disk full).
    """
    path = Path(path)
    beside = path.parent / f".{path.stem}.{os.getpid()}.part{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(path)
        yield beside
        _sync(beside)
        os.replace(beside, path)
        _sync_folder(path.parent)
    except OSError as error:
        expected = "a writable folder with free space"
        raise InputError(path, "writing", reason_of(error), expected) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def remove_unfinished(path: Path) -> None:
    """Remove what killed processes left of a file that they were writing."""
    pattern = f".{glob.escape(path.stem)}.*.part{glob.escape(path.suffix)}"
    for left in path.parent.glob(pattern):
        if left.name.removeprefix(f".{path.stem}.").split(".")[0].isdigit():
            left.unlink(missing_ok=True)


@contextmanager
def atomic_memmap(path: str | Path, dtype: type, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """An array to fill, larger than memory if need be, that becomes a whole `.npy` file.

    Its space is taken at once: on a disk that fills up later, a mapped page kills the process. A
    file system without shared maps has it in memory until the end.

    Raises:
        InputError: as `atomic_path`.
    """
    with atomic_path(path) as beside:
        try:
            array = np.lib.format.open_memmap(beside, "w+", dtype, shape)
        except OSError as error:
            if error.errno not in _NO_MAPS:
                raise
            yield from _in_memory(beside, dtype, shape)
            return
        if hasattr(os, "posix_fallocate"):  # macOS has none
            with beside.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, beside.stat().st_size)
        yield array
        array.flush()


def _in_memory(path: Path, dtype: type, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    array = np.zeros(shape, dtype)
    warnings.warn(
        f"{path.parent}: its file system has no shared memory maps; {array.nbytes / 1e6:.0f} MB are"
        " held in memory (a folder on another file system spares them)",
        stacklevel=4,
    )
    yield array
    with path.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def write_half_precision(path: str | Path, images: np.ndarray) -> None:
    """Complex images [n, p] as float16 [n, p, 2], a portion at a time.

    Raises:
        FloatingPointError: where a number is too large for half precision.
        InputError: as `atomic_path`.
    """
    pairs = images.view(np.float32).reshape(*images.shape, 2)
    with atomic_memmap(path, np.float16, pairs.shape) as out, np.errstate(over="raise"):
        for start in range(0, len(pairs), 1000):
            out[start : start + 1000] = pairs[start : start + 1000]


def _sync_folder(path: Path) -> None:
    """The file is whole and has its name; some file systems keep no folder on request."""
    try:
        _sync(path)
    except OSError as error:
        if error.errno in _LOST:
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends."""
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def write_tsv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as tab-separated text; numbers keep all their digits, missing is empty."""
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n"))


def read_tsv(path: str | Path) -> pd.DataFrame:
    """Read a table written by `write_tsv`.

    Raises:
        InputError: when the file is missing, empty or not tab-separated text.
    """
    try:
        return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""])
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise InputError(path, None, reason_of(error), "a tab-separated table") from error


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON; NumPy numbers and arrays are allowed, NaN and infinities become null."""
    text = json.dumps(_plain(content), indent=1, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def _plain(value: Any) -> Any:
    """The value with NumPy types, paths and non-finite numbers replaced by what JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises:
        InputError: when the file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, None, reason_of(error), "a JSON file") from error


def write_npy(path: str | Path, array: np.ndarray) -> None:
    """Write one array as `.npy`; object arrays are refused."""
    with atomic_path(path) as beside, beside.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def read_npy(path: str | Path) -> np.ndarray:
    """Read one array from `.npy`, without pickle.

    Raises:
        InputError: when the file is missing, torn, or holds Python objects.
    """
    try:
        with Path(path).open("rb") as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:  # NumPy, zipfile, zlib, ast and tokenize each raise their own
        raise InputError(path, None, reason_of(error), "a .npy file of numbers or text") from error


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Read all arrays of an `.npz`, without pickle.

    Raises:
        InputError: when the file is missing, torn, or holds Python objects.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # NumPy, zipfile, zlib, ast and tokenize each raise their own
        raise InputError(path, None, reason_of(error), "a .npz file of numbers or text") from error


_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip", ".gz"),
    b"BZh": ("bzip2", "bunzip2", ".bz2"),
    b"\xfd7zXZ": ("xz", "unxz", ".xz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd", ".zst"),
    b"PK\x03\x04": ("zip", "unzip", ".zip"),
}
COMPRESSED_SUFFIXES = tuple(suffix for _, _, suffix in _COMPRESSED.values())


def refuse_compressed(path: str | Path, start: bytes) -> None:
    """Name a compressed file, which no reader here opens.

    Args:
        path: of the file.
        start: its first bytes.

    Raises:
        InputError: where it is compressed.
    """
    for magic, (kind, program, _) in _COMPRESSED.items():
        if start.startswith(magic):
            expected = f"the file itself; {program} it, and name what that leaves"
            raise InputError(path, None, f"a file compressed with {kind}", expected)


def map_array(path: str | Path, dtype: np.dtype, offset: int, shape: tuple[int, ...]) -> np.ndarray:
    """Part of a file as a read-only array, mapped where the file system can, else read.

    Raises:
        OSError: where it cannot be read.
        ValueError: where the file is shorter.
    """
    # Network and user-space file systems without shared maps often have private ones.
    for mode in ("r", "c"):
        try:
            array = np.memmap(path, dtype, mode, offset, shape)
        except OSError as error:
            if error.errno not in _NO_MAPS:
                raise
        else:
            array.flags.writeable = False
            return array
    count = int(np.prod(shape))
    return np.fromfile(path, dtype, count, offset=offset).reshape(shape)


def open_npy(path: str | Path) -> np.ndarray:
    """An array of a `.npy` file, mapped where the file system can, else read.

    Raises:
        InputError: as `read_npy`.
    """
    try:
        with Path(path).open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):
                return read_npy(path)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            offset = stream.tell()
        if fortran or dtype.hasobject:
            return read_npy(path)
        return map_array(path, dtype, offset, shape)
    except (OSError, ValueError) as error:
        raise InputError(path, None, reason_of(error), "a .npy file of numbers or text") from error


def reason_of(error: Exception) -> str:
    """What went wrong, in the words of the system or the library."""
    if "allow_pickle" in str(error):
        return "Python objects (pickle), or no array at all"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
