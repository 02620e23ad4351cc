"""References of a classification: stacks of 2D class averages, or one map per class."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.cryosparc.tables import read_cs, write_cs
from emjax.io.fields import IMAGE_NAME, label
from emjax.io.mrc.header import read_header
from emjax.io.mrc.volume import read_volume, write_stack
from emjax.io.star.lists import numbers, read_lists, write_lists

_REFERENCE, _FRACTION = "rlnReferenceImage", "rlnClassDistribution"
_MAP = re.compile(r"class_?(\d+)(?!.*class_?\d)", re.IGNORECASE)


@dataclass(frozen=True)
class References:
    """Images `[k, d, d]` or volumes `[k, d, d, d]` of the classes, in the order of their numbers.

    Attributes:
        densities: float32 images or volumes; zero for a class that the file does not list.
        pixel_size: in Å, 1 where the files leave it open.
        names: of each, as the file gives them (`000001@averages.mrcs`, `class_001.mrc`); empty
            for a class that the file does not list.
        fractions: share of the particles in each class, where the file says it.
        files: of volumes, where each lies.
        records: rows of the `.cs` that lists them, as it has them.
    """

    densities: np.ndarray
    pixel_size: float
    names: tuple[str, ...]
    fractions: np.ndarray | None = None
    files: tuple[Path, ...] = ()
    records: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of classes."""
        return len(self.densities)


def read_references(
    paths: list[Path],
    root: str | Path | None = None,
    shrink: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> References:
    """Read class averages or class maps.

    A class has the number that the file gives it (rlnClassNumber), else that of its image in the
    stack or in the name of its map (`class_003.mrc`), else that of its row.

    Args:
        paths: one `_model.star`, `.star` or `.cs` that lists the averages, one stack of averages
            (`.mrcs`), or maps (`.mrc`) of one box, one per class.
        root: where relative paths inside a `.star` or `.cs` start; None: the current folder, else
            the file's folder or one above it.
        shrink: applied to each map once it is read, so that many large ones fit into memory.

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
        return _from_star(first, root, shrink)
    if first.suffix == ".cs":
        return _from_cs(first, root)
    header = read_header(first)
    if first.suffix == ".mrcs" or (len(paths) == 1 and len(set(header.shape)) > 1):
        names = [f"{i + 1:06d}@{first}" for i in range(header.shape[0])]
        return _read_images(first, names, [(first, i) for i in range(header.shape[0])])
    names = [str(path) for path in paths]
    return _by_number(_read_volumes(paths, names, shrink), _numbers_of_maps(names))


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


def _from_star(
    path: Path, root: str | Path | None, shrink: Callable[[np.ndarray], np.ndarray]
) -> References:
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
        found = _read_volumes([place for place, _ in places], names, shrink)
        order = _numbers_of_maps(names)
    else:
        found = _read_images(path, names, places)
        order = _numbers_of_images(places)
    if label("class_number") in table:
        order = numbers(table, label("class_number"), path).astype(int).tolist()
    return _by_number(replace(found, fractions=fractions), order)


def _numbers_of_images(places: list[tuple[Path, int]]) -> list[int]:
    """Numbers in the stack, where all images are of one stack."""
    if len({path for path, _ in places}) > 1:
        return list(range(1, len(places) + 1))
    return [index + 1 for _, index in places]


def _numbers_of_maps(names: list[str]) -> list[int]:
    """Numbers in the names of maps; some programs begin with class 0."""
    matches = [_MAP.search(Path(name).name) for name in names]
    found = [int(match[1]) for match in matches if match]
    if len(found) < len(names) or len(set(found)) < len(found):
        return list(range(1, len(names) + 1))
    return [number + 1 for number in found] if 0 in found else found


def _by_number(found: References, order: list[int]) -> References:
    """The references in the order of their numbers, zeros for those that are not listed."""
    if len(set(order)) < len(order) or min(order) < 1:
        order = list(range(1, len(order) + 1))
    n, rows = max(order), np.array(order) - 1
    if order == list(range(1, n + 1)):
        return found
    densities = np.zeros((n, *found.densities.shape[1:]), np.float32)
    densities[rows] = found.densities
    names, files = [""] * n, [Path()] * n
    for row, name in zip(rows, found.names, strict=True):
        names[row] = name
    for row, file in zip(rows, found.files):
        files[row] = file
    fractions = None
    if found.fractions is not None:
        fractions = np.zeros(n)
        fractions[rows] = found.fractions
    records = None
    if found.records is not None:
        records = np.zeros(n, found.records.dtype)
        records[rows] = found.records
    files = tuple(files) if found.files else ()
    return References(densities, found.pixel_size, tuple(names), fractions, files, records)


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
    found = replace(_read_images(path, titles, places), records=records)
    return _by_number(found, _numbers_of_images(places))


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
    # Programs divide the average of an empty class by its zero particles.
    images[~np.isfinite(images).any((1, 2))] = 0
    if not np.isfinite(images).all():
        raise InputError(file, None, "NaN or infinite pixels", "finite pixels")
    size = headers[places[0][0]].voxel_size
    return References(images, size or 1.0, tuple(names))


def _read_volumes(
    paths: list[Path], names: list[str], shrink: Callable[[np.ndarray], np.ndarray]
) -> References:
    first, voxel_size = read_volume(paths[0])
    rest = [shrink(read_volume(path, len(first))[0]) for path in paths[1:]]
    return References(
        np.stack([shrink(first), *rest]), voxel_size, tuple(names), None, tuple(paths)
    )


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


def write_templates(folder: Path, references: References, superclass: np.ndarray) -> None:
    """Pass on what was given for the classes that have a superclass, unchanged.

    Images go to `templates.mrcs`, listed in `templates.star` and `templates.cs` (the rows of the
    `.cs` they came from, where they did); maps stay where they are and are listed.

    Args:
        folder: for the files.
        references: of all classes.
        superclass: of each class, 0-based, -1 left out.
    """
    kept = np.flatnonzero(superclass >= 0)
    columns = {label("class_number"): kept + 1, "emjaxSuperclass": superclass[kept] + 1}
    if references.fractions is not None:
        columns[_FRACTION] = references.fractions[kept]
    if references.densities.ndim == 4:
        names = np.array([references.names[k] for k in kept])
        write_lists(folder / "templates.star", {"": {_REFERENCE: names} | columns})
        return
    stack = folder / "templates.mrcs"
    write_averages(stack, references.densities[kept], references.pixel_size, columns)
    given = references.records
    rows = _cs_rows(stack, len(kept), references) if given is None else given[kept]
    write_cs(folder / "templates.cs", rows)


def _cs_rows(stack: Path, n: int, references: References) -> np.ndarray:
    """Rows that list a stack as CryoSPARC lists templates."""
    box_size = references.densities.shape[-1]
    name = stack.as_posix().encode()
    columns = [
        ("uid", "<u8"),
        ("blob/path", f"S{len(name)}"),
        ("blob/idx", "<u4"),
        ("blob/shape", "<u4", (2,)),
        ("blob/psize_A", "<f4"),
        ("blob/sign", "<f4"),
    ]
    rows = np.zeros(n, columns)
    rows["uid"], rows["blob/idx"] = np.arange(1, n + 1), np.arange(n)
    rows["blob/path"], rows["blob/shape"] = name, box_size
    rows["blob/psize_A"], rows["blob/sign"] = references.pixel_size, 1
    return rows
