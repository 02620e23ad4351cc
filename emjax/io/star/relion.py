"""RELION's particle STAR files (3.0, 3.1, 5): their tables, and the keys of their particles."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.fields import IMAGE_NAME, ORIGINAL_NAME, UID
from emjax.io.star.tables import StarFile, StarTable, read_star

_NOT_PARTICLES = ("optics", "general", "model_general", "job")


@dataclass(frozen=True)
class StarParticles:
    """A particle STAR file as it was written, with the names of its particle and optics tables."""

    star: StarFile
    particles_name: str
    optics_name: str | None

    @property
    def particles(self) -> StarTable:
        """The particle table."""
        return self.star[self.particles_name]

    @property
    def optics(self) -> StarTable | None:
        """The optics table, None for RELION 3.0."""
        return None if self.optics_name is None else self.star[self.optics_name]

    @property
    def file(self) -> str:
        """The file's name, for messages."""
        return self.particles.file

    def with_particles(self, table: StarTable) -> StarParticles:
        """The same file with another particle table of the same name."""
        return replace(self, star=self.star.with_table(table))

    def select(self, rows: np.ndarray) -> StarParticles:
        """The same file with the given particles only; the optics table stays whole."""
        return self.with_particles(self.particles.select(rows))


def read_star_particles(path: str | Path) -> StarParticles:
    """Read a particle STAR file and find its tables.

    Raises:
        InputError: when there is no particle table, or it has no rows.
    """
    star = read_star(path)
    tables = [t for t in star.tables if IMAGE_NAME in t and t.name not in _NOT_PARTICLES]
    if not tables:
        found = ", ".join(f"data_{table.name}" for table in star.tables)
        raise InputError(path, None, found, f"a particle table with a column _{IMAGE_NAME}")
    particles = tables[0]
    if len(tables) > 1:
        found = " and ".join(f"data_{table.name}" for table in tables)
        raise InputError(path, None, f"several particle tables: {found}", "one")
    if not len(particles):
        raise InputError(path, f"data_{particles.name}", "no rows", "at least one particle")
    optics = "optics" if "optics" in star else None
    return StarParticles(star, particles.name, optics)


_JOB_FILES = re.compile(r"run(_ct\d+)?(_it(\d+))?_data\.star")


def job_particles(folder: str | Path) -> Path:
    """The particle file of a RELION Refine3D or Class3D job: the final one, else the last.

    Raises:
        InputError: when the folder holds neither.
    """
    folder = Path(folder)
    found = []
    for path in folder.glob("run*_data.star"):
        match = _JOB_FILES.fullmatch(path.name)
        if match:
            iteration = float("inf") if match[3] is None else int(match[3])
            found.append((iteration, path.stat().st_mtime, path))
    if not found:
        expected = "run_data.star or run_it…_data.star of a RELION job; of CryoSPARC's, its .cs"
        raise InputError(folder, None, "a folder without particles", expected)
    return max(found)[2]


def beside(particles: Path, kind: str) -> Path | None:
    """Another file of the same job and iteration, such as its `model`; None where there is none.

    Args:
        particles: `run_data.star` or `run_it…_data.star`.
        kind: what stands in the place of `data`.
    """
    if not _JOB_FILES.fullmatch(particles.name):
        return None
    path = particles.with_name(particles.name.removesuffix("data.star") + f"{kind}.star")
    return path if path.exists() else None


def particle_keys(table: StarTable) -> np.ndarray:
    """What joins particles of several runs: the uid, else the (first) image name.

    Images that occur more than once (symmetry expansion) differ by `#2`, `#3` ….
    """
    if UID in table:
        return np.array(table.text(UID), np.str_)
    return image_keys(table, ORIGINAL_NAME if ORIGINAL_NAME in table else IMAGE_NAME)


def image_keys(table: StarTable, label: str = IMAGE_NAME) -> np.ndarray:
    """Image names in one spelling: six digits, no `./`, so that files of several runs join."""
    return distinct(keys_of(*image_names(table, label)))


def keys_of(paths: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Image names from stacks and 0-based indices, as `000001@stack.mrcs`."""
    pairs = zip((index + 1).tolist(), paths.tolist(), strict=True)
    return np.array([f"{number:06d}@{path}" for number, path in pairs], np.str_)


def distinct(keys: np.ndarray) -> np.ndarray:
    """The keys with `#2`, `#3` … after the second, third … occurrence of one."""
    occurrence = pd.Series(keys).groupby(keys).cumcount().to_numpy()
    if not occurrence.any():
        return keys
    pairs = zip(keys.tolist(), occurrence.tolist(), strict=True)
    return np.array([f"{key}#{k + 1}" if k else key for key, k in pairs], np.str_)


def image_names(table: StarTable, label: str = IMAGE_NAME) -> tuple[np.ndarray, np.ndarray]:
    """Stack path as written and 0-based index of each particle."""
    paths, index, spelling = [], np.empty(len(table), np.int64), {}
    for row, name in enumerate(table.text(label)):
        number, at, path = name.partition("@")
        if not at:
            number, path = "1", name
        valid = number.isascii() and number.isdigit() and len(number) < 16
        if not valid or int(number) < 1 or not path:
            place = f"{table.where(row)}, _{label}"
            raise InputError(table.file, place, name, "number@stack with a number from 1")
        index[row] = int(number) - 1
        if path not in spelling:
            spelling[path] = str(Path(path))
        paths.append(spelling[path])
    return np.array(paths, np.str_), index
