"""KerDenSOM: ascent, stationarity, recovery of a continuous motion, errors."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.classify.som import ecm
from emjax.classify.som.components import find_components, leading_eigenvectors
from emjax.classify.som.grid import Layout, MapGrid
from emjax.classify.som.images import MaskedPixels, circular_mask, class_averages
from emjax.classify.som.kerdensom import SomOptions, train_maps
from emjax.classify.som.quality import explained_variance, map_quality, property_map, u_matrix
from emjax.errors import InputError, OptionError
from emjax.simulate.images import gaussian_blobs, rotating_domain


def random_problem(seed: int) -> tuple[ecm.Blocks, ecm.Codes, jax.Array, jax.Array]:
    """Clustered data of random shape and size, a random start; both in float64."""
    rng = np.random.default_rng(seed)
    # Few shapes: each one is compiled.
    n, p = int(rng.choice([30, 110])), int(rng.choice([2, 5]))
    grid = MapGrid(3, 4, "rect" if seed % 2 else "hexa")
    data = rng.standard_normal((n, p)) + 3 * rng.standard_normal((4, p))[rng.integers(0, 4, n)]
    codes = ecm.Codes(
        jnp.asarray(rng.standard_normal((2, grid.n_nodes, p))), jnp.asarray(rng.uniform(0.3, 5, 2))
    )
    blocks = ecm.Blocks.create(jnp.asarray(data), rows_per_block=32)
    return blocks, codes, jnp.asarray(grid.laplacian), jnp.asarray(10.0 ** rng.uniform(0, 3))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_objective_never_rises(seed: int) -> None:
    with jax.enable_x64(True):
        blocks, codes, laplacian, regularisation = random_problem(seed)
        _, trace = ecm.anneal(
            blocks, codes, laplacian, regularisation, max_iterations=40, tolerance=0.0
        )
        objective = np.asarray(trace.objective)
    # Rounding of a sum of some hundred terms.
    assert np.all(np.diff(objective, axis=0) <= 1e-12 * np.abs(objective[1:]))


def test_a_converged_map_is_a_stationary_point_of_the_objective() -> None:
    with jax.enable_x64(True):
        blocks, codes, laplacian, regularisation = random_problem(3)

        def gradient(codes: ecm.Codes) -> ecm.Codes:
            def total(codes: ecm.Codes) -> jax.Array:
                sums = ecm.expect(blocks, codes)
                return jnp.sum(ecm.objective(sums, codes, laplacian, regularisation))

            return jax.grad(total)(codes)

        found, trace = ecm.anneal(
            blocks, codes, laplacian, regularisation, max_iterations=5000, tolerance=1e-12
        )
        assert trace.converged.all()
        before, after = gradient(codes), gradient(found)
        for name in ("vectors", "variance"):
            rest = jnp.abs(getattr(after, name)).max() / jnp.abs(getattr(before, name)).max()
            assert rest < 1e-6, name


def test_memberships_sum_to_one_and_blocks_do_not_matter() -> None:
    with jax.enable_x64(True):
        blocks, codes, _, _ = random_problem(5)
        data = blocks.data.reshape(-1, blocks.data.shape[-1])[: int(blocks.weights.sum())]
        posterior, log_likelihood = ecm.memberships(data, codes)
        np.testing.assert_allclose(posterior.sum(-1), 1, rtol=1e-14)
        whole = ecm.expect(ecm.Blocks.create(data), codes)
        parts = ecm.expect(blocks, codes)
        # Different orders of the same float64 sums.
        np.testing.assert_allclose(whole.moment, parts.moment, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(whole.log_likelihood, log_likelihood.sum(0), rtol=1e-12)


@pytest.fixture(scope="module")
def motion() -> tuple[np.ndarray, np.ndarray]:
    """Masked vectors of a domain rotating by 60 degrees, and the angles."""
    images, angles = rotating_domain(600, 40, signal_to_noise=0.5, seed=2)
    pixels = MaskedPixels(circular_mask(40, 18.0))
    return pixels.vectors(images), angles


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["rect", "hexa"])
def test_map_follows_a_continuous_motion(
    motion: tuple[np.ndarray, np.ndarray], layout: Layout
) -> None:
    vectors, angles = motion
    options = SomOptions(map=(5, 5), layout=layout, regularisation=(300.0, 60.0))
    runs = train_maps(vectors, options, [0, 1])
    for run in runs:
        # Nodes explain the angle; a random partition into 25 would explain 0.04.
        assert explained_variance(angles, run.labels) > 0.93
        assert run.quality.topographic_error < 0.3
        np.testing.assert_allclose(run.posteriors.sum(1), 1, rtol=1e-5)  # float32
    # All seeds lie the same way round: a node means much the same in each.
    agreement = np.mean(runs[0].labels == runs[1].labels)
    assert agreement > 0.6
    alone = train_maps(vectors, options, [1])[0]
    assert np.mean(alone.labels == runs[1].labels) > 0.98


@pytest.mark.slow
def test_random_start_and_xmipp_mode_train(motion: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, angles = motion
    options = SomOptions(map=(4, 4), regularisation=(300.0, 60.0), start="random")
    assert explained_variance(angles, train_maps(vectors, options, [3])[0].labels) > 0.85
    options = replace(options, mode="xmipp", max_iterations=20)
    run = train_maps(vectors, options, [3])[0]
    assert explained_variance(angles, run.labels) > 0.85
    assert run.code_vectors.shape == (16, vectors.shape[1])


def test_components_restore_what_they_span() -> None:
    rng = np.random.default_rng(0)
    planted = rng.standard_normal((500, 3)) * [9, 6, 4]
    basis = np.linalg.qr(rng.standard_normal((40, 3)))[0].T
    vectors = (planted @ basis + 0.5 * rng.standard_normal((500, 40))).astype(np.float32)
    components = find_components(vectors)
    assert np.argmax(components.held_out) + 1 == 3
    restored = components.restore(components.project(vectors))
    assert np.std(restored - vectors) < 0.5
    np.testing.assert_allclose(components.basis @ components.basis.T, np.eye(40), atol=1e-5)


@pytest.mark.parametrize("n_components", [3, 60])
def test_leading_eigenvectors_are_those_of_the_whole_decomposition(n_components: int) -> None:
    rng = np.random.default_rng(1)
    half = rng.standard_normal((400, 200)) * np.r_[20.0, 12.0, 7.0, np.ones(197)]
    covariance = (half.T @ half / 400).astype(np.float32)
    values, vectors = leading_eigenvectors(covariance, n_components)
    expected = np.linalg.eigvalsh(covariance)[::-1][:n_components]
    np.testing.assert_allclose(values, expected, rtol=1e-4)  # float32
    residual = vectors @ covariance - values[:, None] * vectors
    assert np.abs(residual).max() < 1e-3 * expected[0]
    again = leading_eigenvectors(covariance, n_components)
    np.testing.assert_array_equal(again[1], vectors)


def test_detail_is_admitted_until_held_out_vectors_no_longer_gain() -> None:
    rng = np.random.default_rng(0)
    pixels = MaskedPixels(circular_mask(32, 14.0))
    for width, least, most in ((0.7, 0.5, 1.0), (3.0, 0.125, 0.25)):
        # A blob of varying height; the noise hides it in any single pixel.
        blob = gaussian_blobs(32, np.array([[2.0, -3.0, width, 1.0]])) / width
        images = rng.standard_normal((600, 1, 1)) * blob + 0.5 * rng.standard_normal((600, 32, 32))
        found = find_components(pixels.vectors(images.astype(np.float32)), 2, pixels.low_pass)
        assert least <= found.band <= most
        planted = pixels.vectors(blob[None].astype(np.float32))[0]
        assert abs(found.basis[0] @ planted) > 0.9 * np.linalg.norm(planted)
    for fraction in (0.25, 0.5):
        basis = pixels.low_pass(fraction)
        np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-3)
        # As many as there are waves of that detail on the pixels of the mask.
        assert basis.shape[1] < 1.3 * np.pi / 4 * fraction**2 * pixels.n_pixels + 20


def test_empty_nodes_are_zero_images_and_averages_are_means() -> None:
    images = np.random.default_rng(0).standard_normal((7, 4, 4)).astype(np.float32)
    labels = np.array([0, 2, 2, -1, 0, 2, 0])
    averages = class_averages([images[:3], images[3:]], labels, 4)
    np.testing.assert_allclose(averages[0], images[labels == 0].mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(averages[[1, 3]], 0)
    with pytest.raises(InputError, match="found 3 images"):
        class_averages([images[:3]], labels, 4)


def test_masked_pixels_go_to_vectors_and_back() -> None:
    images = np.random.default_rng(0).standard_normal((3, 16, 16)).astype(np.float32)
    mask = circular_mask(16, 5.0, edge=3.0)
    pixels = MaskedPixels(mask)
    # The weights below 1e-3 are dropped.
    np.testing.assert_allclose(pixels.images(pixels.vectors(images)), images * mask, atol=4e-3)
    with pytest.raises(InputError, match="found box 16"):
        pixels.vectors(np.zeros((1, 8, 8), np.float32))
    with pytest.raises(InputError, match="^mask: found values"):
        MaskedPixels(np.zeros((4, 4)))


def test_quality_of_a_perfect_and_a_shuffled_line() -> None:
    grid = MapGrid(5, 1)
    line = np.arange(5.0)[:, None]
    data = np.linspace(-0.3, 4.3, 40)[:, None]
    good = map_quality(data, line, grid)
    assert good.topographic_error == 0 and good.empty_nodes == 0
    np.testing.assert_allclose(
        good.quantisation_error, np.abs(data - np.clip(np.rint(data), 0, 4)).mean(), rtol=1e-12
    )
    assert map_quality(data, line[[0, 3, 1, 4, 2]], grid).topographic_error > 0.5
    np.testing.assert_allclose(u_matrix(line, grid), np.ones((1, 5)))
    found = property_map(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 4]), grid)
    np.testing.assert_array_equal(found, [[2, np.nan, np.nan, np.nan, 5]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"regularisation": (200.0, 200.0)},
            "initial_regularisation: found 200, final_regularisation 200",
        ),
        ({"regularisation": (100.0, 200.0)}, "initial value above the final"),
        ({"regularisation": (100.0, 0.0)}, "both above 0"),
        ({"annealing_steps": 1}, "annealing_steps"),
        ({"map": (6, 6)}, "at most one per particle"),
        ({"n_components": 1}, "n_components"),
    ],
)
def test_wrong_options_are_errors(changes: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        train_maps(np.zeros((30, 9), np.float32), replace(SomOptions(map=(3, 3)), **changes), [0])
