"""Copies of an image (symmetry expansion) found in another file by their poses."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from emjax.errors import InputError

Poses = tuple[np.ndarray, np.ndarray]
"""Rotations `[n, 3, 3]` and origins `[n, 2]` in Å."""

# 1 Å counts as 0.6°, its angle at 100 Å from the centre; of rotation matrices apart by a small
# angle the distance is √2 times that angle.
_PER_ANGSTROM = np.sqrt(2) / 100
# Beyond the distance of any two poses.
_APART = 1e5
# Of the distance to the next copy. Below a half, so that no row can be that of two particles.
_NEAR = 1 / 3
# Angles and origins are written with at least two decimals.
_SAME = np.sqrt(2) * np.deg2rad(0.02)


def find_copies(
    images: np.ndarray, poses: Poses, other_images: np.ndarray, other_poses: Poses, file: str
) -> np.ndarray:
    """The row of each particle in another file, by its image and, among copies, by its pose.

    Poses may have been refined since: a third of the way to the next copy is near enough.

    Args:
        images: key of the image of each particle.
        poses: of each particle.
        other_images: the same keys in the other file.
        other_poses: poses there.
        file: the other one, for the message.

    Returns:
        `[n]`, −1 where the other file has no such particle.

    Raises:
        InputError: where the other file has a particle twice.
    """
    number = pd.factorize(np.concatenate([images, other_images]))[0]
    own, other = _points(number[: len(images)], poses), _points(number[len(images) :], other_poses)
    apart = [_to_next(points) for points in (own, other)]
    if (apart[1] < 1e-9).any():
        row = int(np.argmax(apart[1] < 1e-9))
        found = f"{other_images[row]} twice with the same pose"
        raise InputError(file, f"row {row + 1}", found, "each particle once")
    # Where neither file has a second copy, the others say how far copies are apart.
    known = np.concatenate([distance[np.isfinite(distance)] for distance in apart])
    usual = known.min() if len(known) else np.inf
    distance, row = KDTree(other).query(own)
    to_next = np.minimum(apart[0], apart[1][row])
    to_next = np.where(np.isfinite(to_next), to_next, usual)
    near = distance < np.maximum(_NEAR * to_next, np.minimum(_SAME, to_next / 2))
    return np.where(near & (distance < _APART / 2), row, -1)


def _points(number: np.ndarray, poses: Poses) -> np.ndarray:
    """Image and pose as a point: nearest neighbours are those of one image, then of one pose."""
    rotations, shifts = poses
    flat = rotations.reshape(len(rotations), 9)
    return np.column_stack([flat, _PER_ANGSTROM * shifts, _APART * number])


def _to_next(points: np.ndarray) -> np.ndarray:
    """Distance to the nearest other copy of the image, infinite where there is none."""
    if len(points) < 2:
        return np.full(len(points), np.inf)
    distance = KDTree(points).query(points, k=2)[0][:, 1]
    return np.where(distance < _APART / 2, distance, np.inf)
