"""MRC headers: shape, voxel size, data type and byte order, checked against the file's size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import dtype_from_mode

from emjax.errors import InputError
from emjax.io.files import map_array, refuse_compressed

_MODES = (0, 1, 2, 6, 12)
_HEADER_BYTES = 1024
_LONGEST_SIDE = 65536
_OTHERS = {b"II*\0": "a TIFF", b"MM\0*": "a TIFF", b"\x89HDF": "an HDF5", b"\x93NUMPY": "a NumPy"}


@dataclass(frozen=True)
class MrcHeader:
    """What an MRC file says about itself; `voxel_size` is None where the header leaves it open."""

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int
    voxel_size: float | None

    def open(self) -> np.ndarray:
        """The data `[z, y, x]`, read-only, memory-mapped where the file system can.

        Raises:
            InputError: when the file can no longer be read.
        """
        try:
            return map_array(self.path, self.dtype, self.offset, self.shape)
        except (OSError, ValueError) as error:
            raise InputError(self.path, None, str(error), "an MRC file") from error


def read_header(path: str | Path) -> MrcHeader:
    """Read and check an MRC header without reading the data.

    Raises:
        InputError: when the file is missing, is no MRC file, has a mode other than 0, 1, 2, 6 or
            12, has its axes permuted, or is shorter than the header says.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(_HEADER_BYTES)
            size = stream.seek(0, 2)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(path, None, reason.lower(), "a readable MRC file") from error
    refuse_compressed(path, raw)
    for magic, kind in _OTHERS.items():
        if raw.startswith(magic):
            raise InputError(path, None, f"{kind} file", "an MRC file; convert it")
    if len(raw) < _HEADER_BYTES:
        expected = f"an MRC header of {_HEADER_BYTES} bytes"
        raise InputError(path, None, f"a file of {len(raw)} bytes", expected)
    header = _in_file_order(path, raw)
    mode = int(header["mode"])
    if mode not in _MODES:
        raise InputError(path, "MRC header", f"mode {mode}", "mode 0, 1, 2, 6 or 12")
    axes = tuple(int(header[name]) for name in ("mapc", "mapr", "maps"))
    if axes not in ((1, 2, 3), (0, 0, 0)):
        raise InputError(path, "MRC header, mapc mapr maps", axes, "axes (1, 2, 3)")
    shape = (int(header["nz"]), int(header["ny"]), int(header["nx"]))
    dtype = dtype_from_mode(mode).newbyteorder(header.dtype["mode"].byteorder)
    offset = _HEADER_BYTES + int(header["nsymbt"])
    needed = offset + dtype.itemsize * shape[0] * shape[1] * shape[2]
    if int(header["nsymbt"]) < 0:
        raise InputError(path, "MRC header, nsymbt", int(header["nsymbt"]), "0 or more bytes")
    if size < needed:
        found = f"{size} bytes (truncated)"
        x, y, z = reversed(shape)
        raise InputError(path, None, found, f"{needed} bytes for {x} x {y} x {z}, mode {mode}")
    return MrcHeader(path, shape, dtype, offset, _voxel_size(header))


def make_header(data: np.ndarray, size: float, stack: bool) -> bytes:
    """The header of a file of mode 2 (MRC2014): axes z, y, x, origin and start 0.

    Args:
        data: float32 `[z, y, x]`.
        size: of a voxel or pixel, in Å.
        stack: images along z rather than a map.
    """
    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    depth, height, width = data.shape
    sampling = {"z": 1 if stack else depth, "y": height, "x": width}
    for axis, length in zip("zyx", data.shape, strict=True):
        header[f"n{axis}"], header[f"m{axis}"] = length, sampling[axis]
        header["cella"][axis] = sampling[axis] * size
    header["cellb"] = (90, 90, 90)
    header["mode"], header["ispg"], header["nversion"] = 2, 0 if stack else 1, 20140
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    if data.size:
        header["dmin"], header["dmax"] = data.min(), data.max()
        header["dmean"], header["rms"] = data.mean(), data.std()
    header["map"], header["machst"] = b"MAP ", (0x44, 0x44, 0, 0)
    header["nlabl"], header["label"][0] = 1, b"emjax"
    return header.tobytes()


def _in_file_order(path: Path, raw: bytes) -> np.void:
    """The header in the byte order that makes sense of it (older files carry no machine stamp)."""
    orders = "><" if raw[212:213] == b"\x11" else "<>"
    seen = ""
    for order in orders:
        header = np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0]  # pyright: ignore
        sides = [int(header[name]) for name in ("nx", "ny", "nz")]
        sane = 0 < min(sides[:2]) and max(sides[:2]) <= _LONGEST_SIDE and 0 < sides[2] < 2**31
        if sane and 0 <= int(header["mode"]) < 1024:
            return header
        seen = seen or f"nx, ny, nz = {tuple(sides)}, mode {int(header['mode'])}"
    expected = "sides above 0 and mode 0, 1, 2, 6 or 12, in either byte order"
    raise InputError(path, "MRC header", seen, expected)


def _voxel_size(header: np.void) -> float | None:
    """Cell size over sampling along x in Å, or None where the header says nothing."""
    cell, samples = float(header["cella"]["x"]), int(header["mx"])
    if samples <= 0 or not np.isfinite(cell) or cell <= 0:
        return None
    return cell / samples
