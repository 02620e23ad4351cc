"""Class labels of runs, whichever program wrote them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.cryosparc.fields import cryosparc_poses
from emjax.io.cryosparc.job import read_cs_particles
from emjax.io.cryosparc.tables import CsParticles, class_posteriors
from emjax.io.fields import CS_CLASS_NUMBER, IMAGE_NAME, IMAGE_PATH, UID, cs_column, label
from emjax.io.files import read_npz
from emjax.io.star.fields import relion_poses
from emjax.io.star.parser import read_text
from emjax.io.star.relion import distinct, image_keys, job_particles, particle_keys
from emjax.io.star.tables import StarFile, StarTable, read_star

PARTICLE = "emjaxParticle"  # the key in files of particles without image names
_KEYS = (UID, "uid", IMAGE_NAME, "image", "identity", "itemId", PARTICLE)
_CLASSES = (label("class_number"), "ref3d", "ref", "class", "label")
_XMIPP_CLASS = re.compile(r"class(\d+)_images")
ROW = "row"  # as key: the particles are those of the same rows

Labels = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def read_labels(
    path: str | Path, key: str | None = None, class_column: str | None = None
) -> Labels:
    """Read which particle is in which class.

    Args:
        path: RELION `data.star` or job folder, CryoSPARC `.cs`/`.csg`, Xmipp `.xmd`, or a table
            as STAR, `.csv`, `.tsv` or `.npz` (arrays `identity`, `labels`, maybe `posteriors`).
        key: the column that joins runs; None: the uid, else the image name, else `identity`.
            Of a `.cs` also `image`: number and stack. Of `.csv`, `.tsv` and `.npz` also `row`: the
            number of the row, which is what joins files of classes alone.
        class_column: the column with class numbers, 1-based with 0 for unassigned (`.cs` and
            `.npz`: 0-based, below 0 for unassigned); None: the usual names.

    Returns:
        Key of each particle `[n]`, label `[n]` (0-based, −1 unassigned), and posteriors `[n, K]`
        where the file has those of all classes.

    Raises:
        InputError: when columns are missing, a label is not a class number, or a key is doubled.
    """
    path = Path(path)
    if path.is_dir():
        path = job_particles(path)
    if path.suffix in (".cs", ".csg"):
        labels = _from_cs(read_cs_particles(path), key, class_column)
    elif path.suffix == ".npz":
        labels = _from_npz(path, key, class_column)
    elif path.suffix in (".csv", ".tsv", ".txt"):
        labels = _from_csv(path, key, class_column)
    else:
        labels = _from_star(read_star(path), key, class_column)
    _check_unique(path, labels[0])
    return labels


def read_label_poses(
    path: str | Path, pixel_size: float, key: str | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rotations and origins (Å) of the rows that `read_labels` gives; None where there are none.

    Args:
        path: as for `read_labels`.
        pixel_size: Å, of origins in pixels.
        key: the column that joins runs, as for `read_labels`.

    Raises:
        InputError: for angles or origins that are no numbers.
    """
    path = Path(path)
    if path.is_dir():
        path = job_particles(path)
    if path.suffix in (".cs", ".csg"):
        return cryosparc_poses(read_cs_particles(path))
    if path.suffix in (".npz", ".csv", ".tsv", ".txt"):
        return None
    star = read_star(path)
    tables = [table for table in star.tables if _key_column(table, key)]
    return relion_poses(tables[0], pixel_size) if len(tables) == 1 else None


def _check_unique(path: Path, identity: np.ndarray) -> None:
    if not len(identity):
        raise InputError(path, None, "no rows", "at least one particle")
    names, counts = np.unique(identity, return_counts=True)
    if (counts > 1).any():
        twice = names[np.argmax(counts > 1)]
        raise InputError(path, f"particle {twice}", f"{counts.max()} rows", "each particle once")


def _from_star(star: StarFile, key: str | None, class_column: str | None) -> Labels:
    if any(_XMIPP_CLASS.fullmatch(table.name) for table in star.tables):
        return _from_xmipp(star, key)
    wanted = (class_column,) if class_column else _CLASSES
    tables = [t for t in star.tables if any(c in t for c in wanted) and _key_column(t, key)]
    if not tables:
        expected = f"a table with a particle key ({key or ', '.join(_KEYS)}) and a class column"
        found = ", ".join(f"data_{table.name}" for table in star.tables)
        raise InputError(star.path, None, found, f"{expected} ({', '.join(wanted)})")
    table = tables[0]
    column = next(name for name in wanted if name in table)
    numbers = table.integers(column)
    if (numbers < 0).any():
        row = int(np.argmax(numbers < 0))
        raise InputError(star.path, f"{table.where(row)}, _{column}", numbers[row], "0 or more")
    return _star_keys(table, key), numbers - 1, None


def _key_column(table: StarTable, key: str | None) -> str | None:
    return next((name for name in ((key,) if key else _KEYS) if name in table), None)


def _star_keys(table: StarTable, key: str | None) -> np.ndarray:
    column = _key_column(table, key)
    if column is None:
        found = ", ".join(f"_{label}" for label in table.labels)
        raise InputError(table.file, f"data_{table.name}", found, f"_{key or _KEYS[2]}")
    if key is None and IMAGE_NAME in table:
        return particle_keys(table)
    if column in (IMAGE_NAME, "image"):
        return image_keys(table, column)
    return np.array(table.text(column))


def _from_xmipp(star: StarFile, key: str | None) -> Labels:
    """Classes as Xmipp and Scipion write them: one block of images per class."""
    keys, labels = [], []
    for table in star.tables:
        match = _XMIPP_CLASS.fullmatch(table.name)
        if match and len(table):
            keys.append(_star_keys(table, key))
            labels.append(np.full(len(table), int(match[1]) - 1))
    if not keys:
        raise InputError(star.path, None, "only empty classes", "at least one particle")
    return np.concatenate(keys), np.concatenate(labels), None


def _from_cs(source: CsParticles, key: str | None, class_column: str | None) -> Labels:
    if key == "image":
        number, paths = source.integers("blob/idx") + 1, source.text(IMAGE_PATH).tolist()
        pairs = zip(number.tolist(), paths, strict=True)
        identity = distinct(np.array([f"{i:06d}@{p.removeprefix('>')}" for i, p in pairs]))
    else:
        identity = source["uid" if key is None else key]
        is_text = key is not None and identity.dtype.kind in "SU"
        identity = source.text(key) if is_text and key else identity.astype(str)
    if class_column is None and CS_CLASS_NUMBER in source:
        return identity, source.numbers(CS_CLASS_NUMBER).astype(np.int64) - 1, None
    if class_column is None and "alignments3D_multi/class_posterior" in source:
        posteriors = class_posteriors(source)
        return identity, posteriors.argmax(1), posteriors
    names = (cs_column("class_number").name, "alignments2D/class")
    column = class_column or next((name for name in names if name in source), names[0])
    values = source.numbers(column)
    return identity, _labels(source.file, column, values), None


def numbered(keys: np.ndarray) -> bool:
    """Whether keys are the numbers of rows."""
    return len(keys) > 0 and str(keys[0]) == f"{ROW} 1"


def _row_numbers(n: int) -> np.ndarray:
    return np.array([f"{ROW} {i}" for i in range(1, n + 1)], np.str_)


def _from_npz(path: Path, key: str | None, class_column: str | None) -> Labels:
    column, arrays = class_column or "labels", read_npz(path)
    if column in arrays and (key == ROW or (key is None and set(arrays) <= {column, "posteriors"})):
        key, arrays = ROW, arrays | {ROW: _row_numbers(arrays[column].size)}
    key = key or "identity"
    found = ", ".join(arrays) or "none"
    for name in (key, column):
        if name not in arrays or arrays[name].ndim != 1:
            raise InputError(path, None, f"arrays {found}", f"{name}, one value per particle")
    identity, values = arrays[key].astype(str), arrays[column]
    if len(identity) != len(values):
        raise InputError(path, column, f"{len(values)} labels", f"{len(identity)} as in {key}")
    if values.dtype.kind not in "iuf":
        raise InputError(path, column, str(values.dtype), "whole numbers")
    posteriors = arrays.get("posteriors")
    if posteriors is not None and (posteriors.ndim != 2 or len(posteriors) != len(values)):
        expected = f"({len(values)}, number of classes)"
        raise InputError(path, "posteriors", f"shape {posteriors.shape}", expected)
    return identity, _labels(str(path), column, values.astype(np.float64), lowest=-1), posteriors


def _from_csv(path: Path, key: str | None, class_column: str | None) -> Labels:
    header, rows = _read_table(path)
    if key == ROW or (key is None and len(header) == 1):
        header, key = [*header, ROW], ROW
        rows = [[*row, name] for row, name in zip(rows, _row_numbers(len(rows)), strict=True)]
    columns = {}
    for role, name, usual in (("key", key, _KEYS), ("class", class_column, _CLASSES)):
        wanted = (name,) if name else usual
        column = next((name for name in wanted if name in header), None)
        if column is None:
            found = "columns " + ", ".join(header)
            raise InputError(path, "header", found, f"a {role} column ({', '.join(wanted)})")
        columns[role] = header.index(column)
    identity = np.array([row[columns["key"]] for row in rows], np.str_)
    texts = [row[columns["class"]] for row in rows]
    values = np.empty(len(rows))
    for i, text in enumerate(texts):
        try:
            values[i] = float(text)
        except ValueError:
            place = f"row {i + 1}, {header[columns['class']]}"
            raise InputError(path, place, text or "nothing", "a class number") from None
    return identity, _labels(str(path), header[columns["class"]], values) - 1, None


def _read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of comma-, tab- or blank-separated text."""
    lines = [line for line in read_text(path).split("\n") if line.strip()]
    if path.suffix == ".txt":
        table = [line.split() for line in lines]
    else:
        try:
            table = list(csv.reader(lines, delimiter="," if path.suffix == ".csv" else "\t"))
        except csv.Error as error:
            raise InputError(path, None, str(error), "comma- or tab-separated text") from error
    if not table:
        raise InputError(path, None, "an empty file", "a table with a header line")
    header, *rows = table
    for i, row in enumerate(rows, 1):
        if len(row) != len(header):
            expected = f"{len(header)} as in the header line"
            raise InputError(path, f"row {i}", f"{len(row)} values", expected)
    return header, rows


def _labels(file: str, column: str, values: np.ndarray, lowest: int = 0) -> np.ndarray:
    """Whole numbers from `lowest` up, as int64."""
    good = np.isfinite(values) & (values == np.floor(values)) & (values >= lowest)
    good &= values < 2**31
    if not good.all():
        row = int(np.argmin(good))
        expected = f"a whole number from {lowest}"
        raise InputError(file, f"row {row + 1}, {column}", f"{values[row]:g}", expected)
    return values.astype(np.int64)
