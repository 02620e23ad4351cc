"""Where the columns of a particle STAR file stand: with the particle, or with its optics group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.aberrations import EVEN, ODD, STAR_LABELS, left_out
from emjax.io.fields import CTF_FLAGS, label
from emjax.io.star.parser import is_number
from emjax.io.star.relion import StarParticles, beside
from emjax.io.star.tables import StarTable, read_star

GROUP = label("optics_group")
_MOST_TERMS = 42  # Zernike terms up to the 12th order; RELION fits the 4th


def groups(source: StarParticles) -> np.ndarray | None:
    """Optics group of each particle; of a single group also where the particles do not say."""
    table, optics = source.particles, source.optics
    if GROUP in table:
        return table.integers(GROUP)
    if optics is not None and len(optics) == 1 and GROUP in optics:
        return np.repeat(optics.integers(GROUP), len(table))
    if optics is not None and len(optics) > 1:
        found = f"no column _{GROUP} for {len(optics)} optics groups"
        raise InputError(table.file, f"data_{table.name}", found, "each particle's group")
    return None


def optics_rows(source: StarParticles, group: np.ndarray) -> np.ndarray:
    """Row of the optics table of each particle."""
    table, optics = source.particles, source.optics
    assert optics is not None
    numbers = optics.integers(GROUP)
    index = pd.Index(numbers)
    if not index.is_unique:
        place = f"data_{optics.name}, _{GROUP}"
        raise InputError(optics.file, place, "a group twice", "each optics group once")
    rows = index.get_indexer(group)
    if (rows < 0).any():
        row = int(np.argmax(rows < 0))
        place = f"{table.where(row)}, _{GROUP}"
        listed = ", ".join(map(str, numbers)) or "none"
        raise InputError(table.file, place, group[row], f"a group of data_optics ({listed})")
    return rows


def refuse_tilt_series(source: StarParticles) -> None:
    """Refuse images of tilted specimens, which share their particles and carry doses.

    Raises:
        InputError: where columns of tomography stand in the file, or its images come in series of
            one B-factor per dose.
    """
    table = source.particles
    expected = "single particles; average or reconstruct tilt series in a tomography program"
    for one in source.star.tables:
        marks = [name for name in one.labels if name.startswith("rlnTomo") or name == "rlnCtfImage"]
        if marks:
            found = f"_{marks[0]} (tomography)"
            raise InputError(table.file, f"data_{one.name}", found, expected)
    names = ("rlnGroupName", "rlnCtfBfactor", "rlnCtfScalefactor")
    if not all(name in table for name in names):
        return
    series = np.unique(table.text(names[0]), return_inverse=True)[1]
    doses, dose = np.unique(table.numbers(names[1]).round(3), return_inverse=True)
    size = np.bincount(series)
    # Doses are those of the series: few, in each series once.
    once = len(np.unique(np.stack([series, dose]), axis=1).T) == len(table)
    if once and len(size) >= 3 and np.median(size) >= 3 and len(doses) <= 2 * size.max():
        found = f"{len(size)} series of images with one _rlnCtfBfactor per dose (tilt series)"
        raise InputError(table.file, f"data_{table.name}, _rlnGroupName", found, expected)


def ctf_applied(source: StarParticles, rows: np.ndarray | None) -> np.ndarray:
    """What was done to each image with its CTF: 0 nothing, 1 phases flipped, 2 multiplied.

    Args:
        source: the file; where it does not say, the optimiser file of the same job may.
        rows: of the optics table, None where there is none.

    Raises:
        InputError: for values other than 0 and 1, or where both are said of one image.
    """
    table, optics = source.particles, source.optics
    flags = np.zeros((2, len(table)), bool)
    for flag, name in zip(flags, CTF_FLAGS, strict=True):
        if name in table:
            flag[:] = _flag(table, name)
        elif optics is not None and rows is not None and name in optics:
            flag[:] = _flag(optics, name)[rows]
        else:
            flag[:] = _flag_of_job(table.file, name)
    if flags.all(0).any():
        place = f"{table.where(int(np.argmax(flags.all(0))))}, _{CTF_FLAGS[1]}"
        raise InputError(table.file, place, f"1 as well as _{CTF_FLAGS[0]}", "one of them")
    return (flags[0] + 2 * flags[1]).astype(np.int8)


def _flag(table: StarTable, name: str) -> np.ndarray:
    values = table.integers(name)
    good = (values == 0) | (values == 1)
    if not good.all():
        row = int(np.argmin(good))
        raise InputError(table.file, f"{table.where(row)}, _{name}", values[row], "0 or 1")
    return values == 1


def _flag_of_job(file: str, name: str) -> bool:
    path = beside(Path(file), "optimiser")
    if path is None:
        return False
    for table in read_star(path).tables:
        if name in table.labels and len(table):
            return bool(_flag(table, name)[0])
    return False


def aberration_columns(source: StarParticles, rows: np.ndarray | None) -> dict[str, np.ndarray]:
    """Columns of aberrations that the file has, one value (Zernike: one row) per particle.

    Args:
        source: the file.
        rows: of the optics table, None where there is none.
    """
    table, optics = source.particles, source.optics
    found = {}
    for name in STAR_LABELS:
        read = _coefficients if name in (ODD, EVEN) else StarTable.numbers
        if name in table:
            found[name] = read(table, name)
        elif optics is not None and rows is not None and name in optics:
            found[name] = read(optics, name)[rows]
    return found


def _coefficients(table: StarTable, name: str) -> np.ndarray:
    """Lists such as `[0,0.1,0]` as rows of one table, filled up with zeros."""
    found: dict[str, list[float]] = {}
    texts = table.text(name)
    for row, text in enumerate(texts):
        if text in found:
            continue
        inner = text.removeprefix("[").removesuffix("]").strip(", ")
        tokens = [token.strip() for token in inner.split(",")] if inner else []
        if not all(map(is_number, tokens)) or len(tokens) > _MOST_TERMS:
            expected = f"up to {_MOST_TERMS} numbers such as [0,0.1,0]"
            raise InputError(table.file, f"{table.where(row)}, _{name}", text, expected)
        found[text] = [float(token) for token in tokens]
    longest = max(map(len, found.values()), default=0)
    values = np.array([found[text] + [0.0] * (longest - len(found[text])) for text in texts])
    values = values.reshape(len(texts), longest)
    if (np.abs(values) > 1e8).any():
        row = int(np.argmax((np.abs(values) > 1e8).any(1)))
        raise InputError(table.file, f"{table.where(row)}, _{name}", texts[row], "phases in rad")
    return values


def phase_left_out(source: StarParticles, resolution: float) -> float:
    """Largest phase in degrees, at a resolution in Å, of Zernike terms that emjax does not hold."""
    group = groups(source)
    rows = None if source.optics is None or group is None else optics_rows(source, group)
    return float(np.rad2deg(left_out(aberration_columns(source, rows), 1 / resolution)))
