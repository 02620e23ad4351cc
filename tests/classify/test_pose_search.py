"""Search of poses: from anywhere to the truth, and nowhere for images without a particle."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.classify.fit import fit_particles, make_target
from emjax.classify.outliers import without_particle
from emjax.classify.pose_search import Poses, disc, orientations, search_poses
from emjax.imaging.crop import crop_images, grid_for
from emjax.imaging.prepare import PrepareOptions, prepare
from emjax.simulate.particles import phantom, simulate

BOX, PIXEL, RESOLUTION = 48, 6.0, 18.0
MAX_SHIFT = 18.0  # Å


def errors(one, other) -> np.ndarray:
    """Degrees between rotations."""
    turned = np.swapaxes(one, 1, 2).astype(float) @ other
    return np.degrees(Rotation.from_matrix(turned).magnitude())


@pytest.fixture(name="simulation", scope="module")
def one_state():
    """400 particles of one state."""
    return simulate(phantom(1, BOX, 1), 400, seed=3, pixel_size=PIXEL, snr=3.0)


@pytest.fixture(name="prepared", scope="module")
def prepared_particles(simulation):
    """Particles and mean map, from their true poses."""
    found = prepare(simulation.aligned(), PrepareOptions(RESOLUTION))
    return found.particles, found.mean


@pytest.fixture(name="few", scope="module")
def few_particles(prepared):
    """40 of them at poses that say nothing."""
    particles = prepared[0]
    turned = Rotation.random(40, random_state=0).as_matrix().astype(np.float32)
    return replace(particles.subset(np.arange(40)), rotations=turned)


@pytest.fixture(name="found", scope="module")
def found_poses(few, prepared):
    """What a search makes of them."""
    mean = prepared[1]
    return search_poses(few, mean.volume, mean.solvent_mask, MAX_SHIFT)


def test_orientations_cover_all_rotations_evenly():
    table = orientations(0.3)
    np.testing.assert_allclose(
        table @ np.swapaxes(table, 1, 2), np.tile(np.eye(3), (len(table), 1, 1)), atol=1e-6
    )
    anywhere = Rotation.random(400, random_state=1).as_matrix()
    # cos of the angle to the nearest, from the trace of the product.
    trace = np.einsum("nij,rij->nr", anywhere, table).max(1)
    nearest = np.arccos((trace - 1) / 2)
    assert nearest.max() < 0.3 and nearest.mean() > 0.3 / 4


def test_a_disc_holds_the_shifts_within_its_radius():
    shifts = disc(10.0, 4.0)
    assert np.hypot(*shifts.T).max() <= 10
    assert [0, 0] in shifts.tolist() and [8, 4] in shifts.tolist()
    # As many as the area says: 19 or 21 of π·2.5² = 19.6.
    assert len(shifts) == 21
    assert disc(1.0, 4.0).tolist() == [[0, 0]]


def test_poses_are_found_from_anywhere(found, few, prepared, simulation):
    truth = simulation.rotations[:40]
    off = errors(found.rotations, truth)
    # At 18 Å a turn by 2° changes the images of so small a body little.
    assert np.median(off) < 2 and np.mean(off < 6) > 0.95
    # Nowhere does the search stop short of the truth.
    mean = prepared[1]
    target = make_target(mean.volume[None], mean.solvent_mask, few)
    there = fit_particles(replace(few, rotations=truth.astype(np.float32)), target)
    assert (found.score > there.best - 0.2).all()
    # The images are centred: nothing is to be moved, on either axis.
    assert np.median(np.hypot(*found.moves.T)) < 2
    product = found.rotations @ np.swapaxes(found.rotations, 1, 2)
    np.testing.assert_allclose(product, np.tile(np.eye(3), (40, 1, 1)), atol=1e-5)


def test_shifts_are_found_with_them(few, prepared, simulation):
    """Origins off by up to 14 Å: what is found, added to them, is the true one."""
    rng = np.random.default_rng(2)
    angle, length = rng.uniform(0, 2 * np.pi, 40), rng.uniform(4, 14, 40)
    off = np.stack([length * np.cos(angle), length * np.sin(angle)], 1).astype(np.float32)
    particles, mean = prepared
    grid = grid_for(BOX, PIXEL, RESOLUTION)
    pixels = np.empty((40, len(grid.kx)), np.complex64)
    shifts, group = simulation.shifts[:40] + off, np.zeros(40, np.int32)
    crop_images(lambda rows: simulation.images[rows], shifts, group, PIXEL, grid, pixels)
    shells = np.asarray(grid.pixel_shells)
    whitened = pixels * np.sqrt(2 / particles.noise_power[0])[shells]
    moved = replace(few, images=whitened.astype(np.complex64), rows=None)
    found = search_poses(moved, mean.volume, mean.solvent_mask, MAX_SHIFT)
    right = errors(found.rotations, simulation.rotations[:40]) < 6
    assert right.mean() > 0.9
    # Å, on pixels of 6 Å.
    assert np.median(np.hypot(*(found.moves + off)[right].T)) < 2


def test_the_given_poses_play_no_part(few, found, prepared):
    mean = prepared[1]
    turned = replace(few, rotations=few.rotations[::-1].copy())
    again = search_poses(turned, mean.volume, mean.solvent_mask, MAX_SHIFT)
    np.testing.assert_array_equal(again.rotations, found.rotations)
    np.testing.assert_array_equal(again.score, found.score)


def test_images_without_a_particle_score_less(few, found, prepared):
    mean = prepared[1]
    noise = without_particle(few, 0)
    assert noise.n == 300
    # Each has the spectrum of one of the images.
    own = np.abs(few.take(np.arange(40)).images).sum(1)
    nearest = np.abs(np.abs(noise.images).sum(1)[:, None] - own).min(1)
    assert nearest.max() < 1e-3 * own.min()
    none = search_poses(
        noise.subset(np.arange(0, 300, 8)), mean.volume, mean.solvent_mask, MAX_SHIFT
    )
    assert np.median(none.score) < found.score.min()


def test_poses_of_some():
    poses = Poses(np.stack([np.eye(3)] * 3), np.arange(6.0).reshape(3, 2), np.arange(3.0))
    some = poses.take(np.array([False, True, True]))
    assert some.score.tolist() == [1, 2] and some.moves.tolist() == [[2, 3], [4, 5]]
    assert len(Poses.none().score) == 0
