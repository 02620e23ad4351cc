"""The basis, its statistics and pose errors against plain formulas, in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emjax.classify.operators.pixels import (
    from_table,
    insert_residuals,
    make_pixel_operators,
    slice_table,
    to_table,
)
from emjax.classify.pose_error import (
    PoseError,
    derivative_volumes,
    nuisance_coefficients,
)
from emjax.classify.subspace.basis import BasisOptions, fit_basis, joint_moments
from emjax.classify.subspace.mixture import posteriors_and_gain
from emjax.classify.subspace.polish import polish
from emjax.classify.subspace.projection import marginalise, project_statistics
from emjax.classify.subspace.volumes import (
    class_coefficients,
    components_from_coordinates,
    components_from_maps,
    to_maps,
)
from emjax.imaging.ctf import CTF
from emjax.imaging.grids import gridding, make_grid
from emjax.imaging.maps import slicing_values
from emjax.imaging.masks import radii, soft_edge
from emjax.imaging.particles import Particles, weights_of
from emjax.imaging.projector import make_slices, slice_volume
from emjax.simulate.particles import phantom

BOX, RADIUS, N = 18, 6, 90


@pytest.fixture(params=["states", "one", "scaled"])
def data_set(request):
    """Particles in double precision: four states, one state, and one with varying contrast."""
    with jax.enable_x64(True):
        yield make_data(request.param)


@pytest.fixture
def states():
    with jax.enable_x64(True):
        yield make_data("states")


def make_data(kind: str) -> tuple[Particles, np.ndarray, np.ndarray]:
    """Particles, the mean map, and a soft mask."""
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(3)
    volumes = phantom(4, BOX, 1).astype(np.float64)
    labels = rng.integers(4, size=N) if kind == "states" else np.zeros(N, int)
    one = np.ones(N)
    ctf = CTF(rng.uniform(8e3, 2e4, N), rng.uniform(8e3, 2e4, N), 0 * one, 0 * one, 300 * one,
              2.7 * one, 0.1 * one)  # fmt: skip
    grid = make_grid(BOX, RADIUS)
    particles = Particles(
        images=np.zeros((N, grid.kx.shape[0]), np.complex128),
        rotations=Rotation.random(N, random_state=rng).as_matrix(),
        ctf=ctf,
        scale=rng.uniform(0.5, 1.5, N) if kind == "scaled" else one,
        group=np.zeros(N, np.int32),
        half=np.arange(N, dtype=np.int8) % 2 + 1,
        noise_power=np.full((1, grid.n_shells), 20.0),
        box_size=BOX,
        stack_box_size=BOX,
        voxel_size=12.0,
        radius=RADIUS,
    )
    slices = make_slices(jnp.asarray(particles.rotations), grid)
    weights = weights_of(particles, grid)
    clean = [slice_volume(v, slices) for v in slicing_values(jnp.asarray(volumes), grid)]
    images = np.asarray(jnp.stack(clean) * weights)[labels, np.arange(N)]
    noise = rng.normal(size=(2, *images.shape))
    particles.images[:] = images + noise[0] + 1j * noise[1]
    mask = soft_edge(radii(BOX), 6.0, 8.0).astype(np.float64)
    return particles, volumes.mean(0), mask


def start(particles, mean, mask):
    return slicing_values(jnp.asarray(mean * mask), particles.grid)


def test_inserting_is_the_adjoint_of_slicing(states):
    particles, _, _ = states
    operators = make_pixel_operators(particles)
    rng = np.random.default_rng(0)
    for _, block in operators.blocks():
        table = jnp.asarray(rng.normal(size=(block.n_voxels, 8)))
        b, p, _ = block.pixels.shape
        images = jnp.asarray(rng.normal(size=(b, 3, 2 * p)))
        left = jnp.sum(slice_table(block, table, 3) * images)
        inserted = insert_residuals(block, images)
        keep = np.r_[0:3, 4:7]
        right = jnp.sum((table * inserted)[:, keep])
        np.testing.assert_allclose(left, right, rtol=1e-12)


def test_tables_hold_the_volumes(states):
    particles, _, _ = states
    rng = np.random.default_rng(0)
    values = jnp.asarray(rng.normal(size=(3, 50)) + 1j * rng.normal(size=(3, 50)))
    np.testing.assert_array_equal(from_table(to_table(values), 3), values)


def test_statistics_give_the_likelihood_of_the_images(states):
    check_exactness(*states, tolerance=1e-10)


def test_statistics_are_exact_in_single_precision():
    with jax.enable_x64(True):
        particles, mean, mask = make_data("states")
    from dataclasses import replace

    single = replace(
        particles,
        images=particles.images.astype(np.complex64),
        rotations=particles.rotations.astype(np.float32),
        ctf=jax.tree.map(lambda x: x.astype(np.float32), particles.ctf),
        scale=particles.scale.astype(np.float32),
        noise_power=particles.noise_power.astype(np.float32),
    )
    check_exactness(single, mean.astype(np.float32), mask.astype(np.float32), tolerance=1e-4)


def check_exactness(particles, mean, mask, tolerance):
    """ℓ from (g, G) against −½|F − CPV|² + ½|F − CPμ|² from slices of the class volumes."""
    operators = make_pixel_operators(particles)
    basis = fit_basis(operators, start(particles, mean, mask), mask, BasisOptions(3, 3))
    statistics = project_statistics(operators, basis)[0]
    z = np.random.default_rng(1).normal(size=(2, 3)).astype(statistics.features.dtype)
    volumes = class_coefficients(basis, z)
    slices = make_slices(jnp.asarray(particles.rotations), particles.grid)
    weights = weights_of(particles, particles.grid)

    def misfit(values):
        return jnp.sum(jnp.abs(particles.images - weights * slice_volume(values, slices)) ** 2, 1)

    expected = 0.5 * np.stack([misfit(basis.mean) - misfit(v) for v in volumes], 1)
    quadratic = np.einsum("ki,nij,kj->nk", z, statistics.quadratic(), z)
    found = statistics.linear() @ z.T - 0.5 * quadratic
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.ptp(expected))


@pytest.mark.parametrize("masked", [True, False])
def test_likelihood_never_falls(data_set, masked):
    particles, mean, mask = data_set
    support = mask if masked else np.ones_like(mask)
    operators = make_pixel_operators(particles)
    basis = fit_basis(operators, start(particles, mean, support), support, BasisOptions(3, 50))
    gains = np.diff(basis.objective)
    assert len(gains) == 50
    # Double precision sums of 90 particles: the last digits only.
    assert gains.min() > -1e-9 * abs(basis.objective[-1])
    assert basis.objective[-1] - basis.objective[0] > 10


def test_components_live_in_the_mask(states):
    particles, mean, mask = states
    operators = make_pixel_operators(particles)
    basis = fit_basis(operators, start(particles, mean, mask), mask, BasisOptions(2, 5))
    maps = to_maps(basis.components, particles.grid)
    outside, inside = maps[:, mask == 0], maps[:, mask > 0.9]
    # The grid keeps a sphere of coefficients, so the mask's edge rings a little.
    assert np.sqrt((outside**2).mean()) < 0.15 * np.sqrt((inside**2).mean())


def test_polishing_never_lowers_the_likelihood(states):
    particles, mean, mask = states
    operators = make_pixel_operators(particles)
    basis = fit_basis(operators, start(particles, mean, mask), mask, BasisOptions(2, 5))
    z = np.array([[1.0, 0], [-1, 0.5], [0, -1]])
    nuisance = nuisance_coefficients(mean, mask, particles.grid, 12.0, PoseError(1.0, 1.0))
    for used in (None, nuisance):
        result = polish(operators, class_coefficients(basis, z), np.full(3, 1 / 3), mask, 10, used)
        gains = np.diff(result.objective)
        assert len(gains) > 2 and gains.min() >= 0
        np.testing.assert_allclose(result.posteriors.sum(1), 1, atol=1e-6)


def test_marginalising_is_the_integral_over_the_pose_error():
    """Against the Gaussian integral written out with the covariance of the image."""
    rng = np.random.default_rng(0)
    pixels, residual = rng.normal(size=(40, 5)), rng.normal(size=40)
    linear, quadratic = pixels.T @ residual, pixels.T @ pixels
    scale = 0.7
    orders = np.array([1.0, 2.0])
    g, big_g, gained = marginalise(linear[None], quadratic[None], 3, scale, orders)
    nuisance = pixels[:, 3:] * scale**orders
    covariance = np.eye(40) + nuisance @ nuisance.T
    z = np.array([0.3, -0.2, 0.5])

    def log_density(x):
        return -0.5 * x @ np.linalg.solve(covariance, x) - 0.5 * np.linalg.slogdet(covariance)[1]

    expected = log_density(residual - pixels[:, :3] @ z) + 0.5 * residual @ residual
    found = g[0] @ z - 0.5 * z @ big_g[0] @ z + gained[0]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_derivatives_are_small_motions_of_the_map():
    from scipy.ndimage import gaussian_filter
    from scipy.spatial.transform import Rotation

    grid = np.stack(np.meshgrid(*[np.arange(24) - 12] * 3, indexing="ij"), -1)[..., ::-1]

    def blob(turn, shift):
        centre = turn @ np.array([3.0, 1, -2]) + shift
        return np.exp(-np.sum((grid - centre) ** 2, -1) / 8)

    identity, zero = np.eye(3), np.zeros(3)
    width = PoseError(rotation=1.0, shift=0.5)
    derivatives = derivative_volumes(blob(identity, zero), 2.0, width, 2)
    for axis in range(3):
        step = np.eye(3)[axis] * 0.01
        # The content moves by −shift where the density's derivative is +d/dx.
        numeric = (blob(identity, zero - step) - blob(identity, zero + step)) / 0.02 * 0.25
        np.testing.assert_allclose(derivatives[axis], numeric, atol=3e-4)
        turn = Rotation.from_rotvec(step).as_matrix()
        numeric = (blob(turn, zero) - blob(turn.T, zero)) / 0.02 * np.deg2rad(1.0)
        sign = np.sign(np.sum(numeric * derivatives[3 + axis]))
        np.testing.assert_allclose(sign * derivatives[3 + axis], numeric, atol=3e-4)
    assert derivatives.shape[0] == 27
    assert gaussian_filter(derivatives[6], 1).std() > 0


def test_exact_width_zero_changes_nothing(states):
    particles, mean, mask = states
    operators = make_pixel_operators(particles)
    basis = fit_basis(operators, start(particles, mean, mask), mask, BasisOptions(2, 2))
    nuisance = nuisance_coefficients(mean, mask, particles.grid, 12.0, PoseError(), 2)
    plain = project_statistics(operators, basis)[0]
    zero, wide = project_statistics(operators, basis, nuisance, (0.0, 1.0))
    np.testing.assert_allclose(zero.features, plain.features, rtol=1e-10)
    assert (wide.quadratic()[:, 0, 0] < plain.quadratic()[:, 0, 0]).all()
    _, gain = posteriors_and_gain(wide, np.zeros((1, 2)), np.ones(1))
    np.testing.assert_allclose(gain, 0, atol=1e-12)


def test_given_components_are_checked(states):
    particles, mean, mask = states
    with pytest.raises(ValueError, match="expected"):
        components_from_maps(np.ones((2, 8, 8, 8)), mask, particles.grid)
    with pytest.raises(ValueError, match="map 2 is empty"):
        components_from_maps(np.stack([mean, 0 * mean]), mask, particles.grid)
    values = components_from_maps(np.stack([mean, 2 * mean]), mask, particles.grid)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
    assert gridding(BOX).shape == mean.shape


def test_coordinates_of_another_program_become_volumes(states):
    """Regression on coordinates planted in noiseless images gives the planted component."""
    particles, mean, mask = states
    rng = np.random.default_rng(5)
    component = mask * phantom(2, BOX, 7).astype(np.float64)[1]
    values = slicing_values(jnp.asarray(np.stack([mean * mask, component])), particles.grid)
    slices = make_slices(jnp.asarray(particles.rotations), particles.grid)
    weights = weights_of(particles, particles.grid)
    base, change = (np.asarray(slice_volume(v, slices) * weights) for v in values)
    z = rng.normal(size=(N, 1))
    particles.images[:] = base + (z - z.mean()) / z.std() * change
    operators = make_pixel_operators(particles)
    found = components_from_coordinates(operators, values[0], 3 * z + 1, mask, 40)
    got, planted = (mask * to_maps(v, particles.grid)[0] for v in (found, values[1:]))
    # The images tell no more than the grid's frequencies, and 90 views not all of these alike.
    assert np.corrcoef(got.ravel(), planted.ravel())[0, 1] > 0.95
    with pytest.raises(ValueError, match="component 1 has the spread 0"):
        components_from_coordinates(operators, values[0], 0 * z, mask)


def test_moments_of_padding_particles_are_nothing(states):
    particles, mean, mask = states
    operators = make_pixel_operators(particles)
    values = to_table(start(particles, mean, mask)[None])
    for rows, block in operators.blocks():
        linear, _, slices = joint_moments(block, values, 1)
        assert linear.shape[1] == 0
        assert float(jnp.abs(slices[len(rows) :]).sum()) == 0
