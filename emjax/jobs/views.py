"""Poses that no 3D refinement gives, or that leave much of a map empty."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.imaging.symmetry import symmetry_rotations
from emjax.imaging.views import empty_share, most_common, number_of_views, view_directions
from emjax.io.particles.particle_set import ParticleSet
from emjax.io.poses import matrix_to_euler

FEW = 3  # views of nearly all particles: no map comes of them
NEARLY_ALL = 0.95
STEP = 1e-3  # of components of directions and matrices: 0.06°
EMPTY = 0.05  # share of the finest shell
SAME = 0.02  # of the particles, at least TEN
TEN = 10
UNALIGNED = 0.005  # of the particles, at least FEW, with all angles 0
SAMPLING = 100  # views; a grid of angles of 15° has as many


def check_views(source: Path, particles: ParticleSet) -> None:
    """Refuse particles that are seen from one direction, or a few.

    Raises:
        InputError: where nearly all of them are.
    """
    count = number_of_views(particles.rotations, NEARLY_ALL, STEP)
    if count > FEW:
        return
    directions = view_directions(particles.rotations)
    row, share = most_common(directions, STEP)
    x, y, z = directions[row].round(6) + 0.0
    rot, tilt = np.degrees([np.arctan2(y, x), np.arccos(z)])
    directions = "one direction" if count == 1 else f"{count} directions"
    raise InputError(
        source,
        "poses",
        f"{NEARLY_ALL:.0%} or more of {particles.n} particles seen from {directions}"
        f" ({share} at rot {rot:.4g}°, tilt {tilt:.4g}°)",
        "poses of a 3D refinement; images aligned in 2D, as Class2D leaves them, are for runs.som",
    )


def doubts_of_views(
    source: Path, particles: ParticleSet, radius: int, symmetry: str, resolution: float
) -> Iterator[str]:
    """Many particles at one pose, few views, or views that leave part of Fourier space empty.

    Args:
        source: the particle file.
        particles: with poses.
        radius: Fourier pixels at the filter resolution.
        symmetry: point group.
        resolution: the filter resolution in Å.
    """
    n = particles.n
    matrices = particles.rotations.reshape(n, 9)
    zero = int((np.abs(matrices - np.eye(3).ravel()).max(1) < STEP).sum())
    row, same = most_common(matrices, STEP)
    if zero >= max(FEW, UNALIGNED * n):
        yield f"{source}: all angles of {zero} of {n} particles are 0; were they aligned?"
    elif same >= max(TEN, SAME * n):
        angles = ", ".join(f"{angle:.4g}°" for angle in _angles(particles, row))
        yield f"{source}: {same} of {n} particles have the same rot, tilt, psi ({angles})"
    views = number_of_views(particles.rotations, NEARLY_ALL, STEP)
    # A quarter of their number: views of so few particles are all different.
    if views < min(SAMPLING, n / 4):
        yield f"{source}: {NEARLY_ALL:.0%} of {n} particles are seen from {views} directions only"
    empty = empty_share(particles.rotations, radius, symmetry_rotations(symmetry))
    if empty > EMPTY:
        yield (
            f"{source}: no particle's view reaches {empty:.0%} of Fourier space at"
            f" {resolution:g} Å; maps are distorted there, and so are their differences"
        )


def _angles(particles: ParticleSet, row: int) -> list[float]:
    """Rot, tilt, psi of a particle in degrees."""
    return (matrix_to_euler(particles.rotations[[row]])[0].round(4) + 0.0).tolist()
