"""Another program's labels brought into the row order of a particle set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.labels.copies import find_copies
from emjax.io.labels.read import Labels, numbered, read_label_poses, read_labels
from emjax.io.particles.particle_set import ParticleSet


@dataclass(frozen=True)
class JoinedLabels:
    """Labels in the order of the particles."""

    labels: np.ndarray
    """`[n]`: 0-based; −1 where unassigned or not in the file."""
    posteriors: np.ndarray | None
    """`[n, K]`, zero where not in the file."""
    missing: np.ndarray
    """Rows of the particles that the file does not have."""
    extra: tuple[str, ...]
    """Keys of the file that are none of the particles."""
    joined_on: str
    """uid or image name; the latter without folders where the stacks moved; and pose of copies;
    or row number, of files that have nothing else."""


def join_labels(
    particles: ParticleSet,
    path: str | Path,
    key: str | None = None,
    class_column: str | None = None,
    on_mismatch: str = "intersect",
) -> JoinedLabels:
    """Read labels and find each particle's.

    Tried in this order, until particles are found: the particles' own keys, image names, image
    names without the folders of their stacks (RELION jobs and CryoSPARC exports move them). Copies
    of an image (symmetry expansion) are distinguished by their poses, whatever their order.

    Args:
        particles: whose order counts.
        path: as for `read_labels`.
        key: the file's column that holds the particles' keys; None: as described.
        class_column: the file's column of class numbers.
        on_mismatch: `error` refuses a file with other particles, `intersect` takes the common ones.

    Raises:
        InputError: when no particle is found, the file has copies of images and no poses, or other
            particles and `on_mismatch` is `error`, or cannot be read.
    """
    theirs = read_labels(path, key, class_column)
    found = _by_row(particles, Path(path), theirs)
    for name, own, other in (
        () if found else _candidates(particles, Path(path), key, class_column, theirs)
    ):
        rows, by_pose = _rows_of(particles, Path(path), key, own, other)
        if (rows >= 0).any():
            found = (f"{name} and pose" if by_pose else name, own, other, rows)
            break
    if found is None:
        example = theirs[0][0]
        expected = f"particles of the campaign, such as {particles.identity[0]}"
        raise InputError(path, None, f"none of them (first: {example})", expected)
    name, own, other, rows = found
    labels = np.where(rows < 0, -1, theirs[1][rows])
    posteriors = None
    if theirs[2] is not None:
        posteriors = np.where(rows[:, None] < 0, 0, theirs[2][rows])
    extra = tuple(np.delete(other, rows[rows >= 0]).tolist())
    missing = np.flatnonzero(rows < 0)
    if on_mismatch == "error" and (len(missing) or extra):
        examples = ", ".join([*own[missing[:2]].tolist(), *extra[:2]])
        at_pose = " at these poses" if "pose" in name else ""
        raise InputError(
            path,
            None,
            f"{len(missing)} particles of the campaign missing{at_pose},"
            f" {len(extra)} unknown ({examples})",
            "the same particles; consensus.on_mismatch: intersect takes the common ones",
        )
    return JoinedLabels(labels, posteriors, missing, extra, name)


def _by_row(
    particles: ParticleSet, path: Path, theirs: Labels
) -> tuple[str, np.ndarray, np.ndarray, np.ndarray] | None:
    """Row by row, where the file has classes alone; None where it has keys."""
    if not numbered(theirs[0]):
        return None
    if len(theirs[0]) != particles.n:
        expected = f"{particles.n} as in {particles.source.file}, or a column of image names"
        raise InputError(path, None, f"{len(theirs[0])} rows of classes alone", expected)
    return "row number", particles.identity, particles.identity, np.arange(particles.n)


def _rows_of(
    particles: ParticleSet, path: Path, key: str | None, own: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Row of the file of each particle, −1 where there is none, and whether poses decided."""
    image, theirs = (_without_number(keys) for keys in (own, other))
    index = pd.Index(theirs)
    if index.is_unique and pd.Index(image).is_unique:
        return index.get_indexer(image), False
    if not np.isin(image, theirs).any():
        return np.full(len(own), -1), False
    poses = read_label_poses(path, particles.pixel_size, key)
    if poses is None:
        raise InputError(
            path,
            None,
            "no poses, and more than one particle of an image (symmetry expansion)",
            "the angles of each row, which say what copy it is, or a uid of each particle",
        )
    mine = (particles.rotations, particles.shifts)
    return find_copies(image, mine, theirs, poses, str(path)), True


def _candidates(
    particles: ParticleSet, path: Path, key: str | None, column: str | None, labels: Labels
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Pairs of keys to join on: name, the particles', the file's."""
    theirs = labels[0]
    yield "key", particles.identity, theirs
    if key is not None:
        return
    names = np.array(particles.stack_names)[particles.stack_of].tolist()
    index = (particles.index_in_stack + 1).tolist()
    images = np.array([f"{i:06d}@{n}" for i, n in zip(index, names, strict=True)])
    if path.suffix in (".cs", ".csg"):
        theirs = read_labels(path, "image", column)[0]
    theirs = np.array([_spelled(k) for k in theirs.tolist()])
    yield "image name", images, theirs
    without = [np.array([_without_folder(k) for k in keys.tolist()]) for keys in (images, theirs)]
    yield "image name without folder", without[0], without[1]


def _spelled(key: str) -> str:
    number, at, path = key.partition("@")
    if not at or not number.isdigit():
        return key
    return f"{int(number):06d}@{PurePosixPath(path)}"


def _without_folder(key: str) -> str:
    number, at, path = key.partition("@")
    return f"{number}@{PurePosixPath(path).name}" if at else key


def _without_number(keys: np.ndarray) -> np.ndarray:
    """Image names without the `#2` of a second copy."""
    if not (np.char.find(keys, "#") >= 0).any():
        return keys
    return pd.Series(keys).str.replace(r"#\d+$", "", regex=True).to_numpy(np.str_)
