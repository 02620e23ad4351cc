"""Another program's labels brought into the row order of a particle set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.labels.read import read_labels
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
    """uid or image name; the latter without folders where the stacks moved."""


def join_labels(
    particles: ParticleSet,
    path: str | Path,
    key: str | None = None,
    class_column: str | None = None,
    on_mismatch: str = "intersect",
) -> JoinedLabels:
    """Read labels and find each particle's.

    Tried in this order, until particles are found: the particles' own keys, image names, image
    names without the folders of their stacks (RELION jobs and CryoSPARC exports move them).

    Args:
        particles: whose order counts.
        path: as for `read_labels`.
        key: the file's column that holds the particles' keys; None: as described.
        class_column: the file's column of class numbers.
        on_mismatch: `error` refuses a file with other particles, `intersect` takes the common ones.

    Raises:
        InputError: when no particle is found, the file has other particles and `on_mismatch` is
            `error`, or the file cannot be read.
    """
    theirs = read_labels(path, key, class_column)
    found = None
    for name, own, other in _candidates(particles, Path(path), key, class_column, theirs[0]):
        index = pd.Index(other)
        if not index.is_unique or not pd.Index(own).is_unique:
            continue  # not one particle per key
        rows = index.get_indexer(own)
        if (rows >= 0).any():
            found = (name, own, other, rows)
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
    extra = tuple(other[~np.isin(other, own)].tolist())
    missing = np.flatnonzero(rows < 0)
    if on_mismatch == "error" and (len(missing) or extra):
        examples = ", ".join([*own[missing[:2]].tolist(), *extra[:2]])
        raise InputError(
            path,
            None,
            f"{len(missing)} particles of the campaign missing, {len(extra)} unknown ({examples})",
            "the same particles; consensus.on_mismatch: intersect takes the common ones",
        )
    return JoinedLabels(labels, posteriors, missing, extra, name)


def _candidates(
    particles: ParticleSet, path: Path, key: str | None, column: str | None, theirs: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Pairs of keys to join on: name, the particles', the file's."""
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
