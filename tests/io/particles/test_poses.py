"""Poses in the place of those that a file came with, in either kind of file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.io.particles.particle_set import ParticleSet, read_particles, write_particles
from emjax.io.particles.poses import with_poses


def moved(particles: ParticleSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses turned by some degrees and shifted by some Å, and every other row."""
    rng = np.random.default_rng(2)
    turn = Rotation.from_rotvec(0.1 * rng.normal(size=(particles.n, 3))).as_matrix()
    shifts = particles.shifts + rng.normal(0, 5, (particles.n, 2))
    return particles.rotations @ turn, shifts, np.arange(particles.n) % 2 == 0


@pytest.mark.parametrize("suffix", [".star", ".cs"])
@pytest.mark.parametrize("output", [".star", ".cs"])
def test_chosen_rows_get_the_poses_and_others_keep_theirs(
    star_set: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    output: str,
):
    monkeypatch.chdir(tmp_path)
    source = star_set()
    if suffix == ".cs":
        write_particles(tmp_path / "in.cs", read_particles(source))
        source = tmp_path / "in.cs"
    particles = read_particles(source)
    rotations, shifts, rows = moved(particles)
    changed = with_poses(particles, rotations, shifts, rows)
    write_particles(tmp_path / f"out{output}", changed)
    found = read_particles(tmp_path / f"out{output}")
    for now, new, old in (
        (found.rotations, rotations, particles.rotations),
        (found.shifts, shifts, particles.shifts),
    ):
        # What float32 fields and six decimals keep.
        np.testing.assert_allclose(now[rows], new[rows], atol=2e-5)
        np.testing.assert_allclose(now[~rows], old[~rows], atol=2e-5)
        assert np.abs(now[rows] - old[rows]).max() > 0.01
    np.testing.assert_array_equal(found.identity.shape, particles.identity.shape)
