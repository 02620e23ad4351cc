"""References of a classification: stacks of 2D class averages, or one map per class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.cryosparc.tables import read_cs
from emjax.io.fields import IMAGE_NAME, label
from emjax.io.mrc.header import read_header
from emjax.io.mrc.volume import read_volume, write_stack
from emjax.io.star.lists import numbers, read_lists, write_lists

_REFERENCE, _FRACTION = "rlnReferenceImage", "rlnClassDistribution"


@dataclass(frozen=True)
class References:
    """Images `[k, d, d]` or volumes `[k, d, d, d]` of the classes, in the order of their numbers.

    Attributes:
        densities: float32 images or volumes.
        pixel_size: in Å, 1 where the files leave it open.
        names: of each, as the file gives them (`000001@averages.mrcs`, `class_001.mrc`).
        fractions: share of the particles in each class, where the file says it.
    """

    densities: np.ndarray
    pixel_size: float
    names: tuple[str, ...]
    fractions: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of classes."""
        return len(self.densities)


def read_references(paths: list[Path], root: str | Path | None = None) -> References:
    """Read class averages or class maps.

    Args:
        paths: one `_model.star`, `.star` or `.cs` that lists the averages, one stack of averages
            (`.mrcs`), or maps (`.mrc`) of one box, one per class.
        root: where relative paths inside a `.star` or `.cs` start; None: the current folder, else
            the file's folder or one above it.

    Raises:
        InputError: when a file is missing, of the wrong kind, or of another box than the first.
    """
    first = paths[0]
    for path in paths:
        if not path.exists():
            raise InputError(path, None, "no such file", "class averages or maps")
    if len(paths) > 1 and any(path.suffix not in (".mrc", ".map") for path in paths):
        raise InputError(first, None, f"{len(paths)} files", "one file, or one .mrc map per class")
    if first.suffix == ".star":
        return _from_star(first, root)
    if first.suffix == ".cs":
        return _from_cs(first, root)
    header = read_header(first)
    if first.suffix == ".mrcs" or (len(paths) == 1 and len(set(header.shape)) > 1):
        names = [f"{i + 1:06d}@{first}" for i in range(header.shape[0])]
        return _read_images(first, names, [(first, i) for i in range(header.shape[0])])
    return _read_volumes(paths, [str(path) for path in paths])


def write_averages(
    path: Path, images: np.ndarray, pixel_size: float, columns: dict[str, np.ndarray]
) -> None:
    """Write images as a stack, and beside it a STAR file that RELION's display opens.

    Args:
        path: the `.mrcs` file; the STAR file has the same name.
        images: `[k, d, d]`, an empty class as a zero image.
        pixel_size: in Å.
        columns: further columns of the STAR file.
    """
    write_stack(path, images, pixel_size)
    names = np.array([f"{i + 1:06d}@{path.as_posix()}" for i in range(len(images))])
    write_lists(path.with_suffix(".star"), {"": {IMAGE_NAME: names} | columns})


def _from_star(path: Path, root: str | Path | None) -> References:
    table, column = _reference_table(path)
    names = [str(name) for name in table[column]]
    fractions = numbers(table, _FRACTION, path) if _FRACTION in table else None
    places = []
    for row, name in enumerate(names):
        number, at, stack = name.rpartition("@")
        if not stack or (at and not (number.isascii() and number.isdigit())):
            expected = "a map, or number@stack with a number from 1"
            raise InputError(path, f"row {row + 1}, _{column}", name, expected)
        places.append((_locate(stack, path, root), int(number) - 1 if at else -1))
    if not names:
        raise InputError(path, f"_{column}", "no rows", "at least one class")
    if all(index < 0 for _, index in places):
        found = _read_volumes([place for place, _ in places], names)
    else:
        found = _read_images(path, names, places)
    return References(found.densities, found.pixel_size, found.names, fractions)


def _reference_table(path: Path) -> tuple[pd.DataFrame, str]:
    blocks = read_lists(path)
    for table in blocks.values():
        for column in (_REFERENCE, IMAGE_NAME):
            if column in table:
                return table, column
    expected = f"a table with {_REFERENCE} or {IMAGE_NAME}"
    listed = ", ".join(f"data_{name}" for name in blocks)
    raise InputError(path, None, listed, expected)


def _from_cs(path: Path, root: str | Path | None) -> References:
    records = read_cs(path)
    missing = {"blob/path", "blob/idx"} - set(records.dtype.names or ())
    if missing:
        raise InputError(path, None, f"no column {sorted(missing)[0]}", "2D class templates")
    names = [bytes(name).decode().rstrip("\0") for name in records["blob/path"].astype("S")]
    index = records["blob/idx"].astype(int).tolist()
    places = [(_locate(n.lstrip(">"), path, root), i) for n, i in zip(names, index, strict=True)]
    titles = [f"{i + 1:06d}@{n}" for n, i in zip(names, index, strict=True)]
    return _read_images(path, titles, places)


def _locate(name: str, file: Path, root: str | Path | None) -> Path:
    if root is not None:
        return Path(root) / name
    for folder in (Path(), *file.absolute().parents):
        if (folder / name).exists():
            return folder / name
    return Path(name)


def _read_images(file: Path, names: list[str], places: list[tuple[Path, int]]) -> References:
    headers = {path: read_header(path) for path in {path for path, _ in places}}
    box = headers[places[0][0]].shape[1:]
    images = np.empty((len(places), *box), np.float32)
    for row, (path, index) in enumerate(places):
        shape = headers[path].shape
        if not 0 <= index < shape[0]:
            raise InputError(file, f"row {row + 1}", f"image {index + 1}", f"1 to {shape[0]}")
        if shape[1:] != box or box[0] != box[1]:
            raise InputError(path, None, f"images of {shape[1:]}", f"squares of {box[0]}")
        images[row] = headers[path].open()[index]
    if not np.isfinite(images).all():
        raise InputError(file, None, "NaN or infinite pixels", "finite pixels")
    size = headers[places[0][0]].voxel_size
    return References(images, size or 1.0, tuple(names))


def _read_volumes(paths: list[Path], names: list[str]) -> References:
    first, voxel_size = read_volume(paths[0])
    rest = [read_volume(path, len(first))[0] for path in paths[1:]]
    return References(np.stack([first, *rest]), voxel_size, tuple(names))


def check_same_job(references: References, labels: np.ndarray, file: Path, particles: Path) -> None:
    """Refuse averages of another job than the particles.

    Args:
        references: the averages, with their share of the particles where their file says it.
        labels: class of each particle, 0-based, −1 unassigned.
        file: of the averages, for the message.
        particles: file of the particles, for the message.

    Raises:
        InputError: when a class has no average, or the classes' shares differ by a quarter.
    """
    count = len(references)
    if labels.max(initial=-1) >= count:
        found = f"{count} references, and class {labels.max() + 1} in {particles}"
        raise InputError(file, None, found, "references and particles of the same job")
    if references.fractions is None or not (labels >= 0).any():
        return
    counted = np.bincount(labels[labels >= 0], minlength=count) / np.sum(labels >= 0)
    # Shares by posterior and by best class differ a little in one job; two jobs differ a lot.
    differing = 0.5 * np.abs(counted - references.fractions).sum()
    if differing > 0.25:
        found = f"class shares that differ by {differing:.0%} from those in {particles}"
        raise InputError(file, None, found, "references and particles of the same job")


def write_reference_list(path: str | Path, references: References, superclass: np.ndarray) -> None:
    """List the unchanged references with their superclass (1-based; 0 = left out)."""
    columns = {
        IMAGE_NAME if references.densities.ndim == 3 else _REFERENCE: np.array(references.names),
        label("class_number"): np.arange(len(references)) + 1,
        "emjaxSuperclass": superclass + 1,
    }
    write_lists(path, {"": columns})
