"""Campaigns on synthetic statistics: the same numbers as plain formulas, and planted classes."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.metrics import adjusted_rand_score

from emjax.classify.evidence import block_interval, choose_number
from emjax.classify.subspace.held_out import (
    Fold,
    component_gains,
    held_out_evidence,
    spread_gain,
)
from emjax.classify.subspace.mixture import (
    FitOptions,
    assign,
    fit_seeds,
    posteriors_and_gain,
)
from emjax.classify.subspace.optima import distinct_optima, information, seed_array
from emjax.classify.subspace.statistics import (
    Statistics,
    latent_means,
    latent_mix,
    pack,
    unpack,
)
from tests.campaigns import ROOT


def planted(n, z, seed=0, strength=3.0):
    """Statistics of particles whose coordinates are rows of z, in random order."""
    rng = np.random.default_rng(seed)
    k, q = z.shape
    labels = rng.integers(k, size=n)
    design = rng.normal(size=(n, q + 2, q)) * np.sqrt(strength / (q + 2))
    quadratic = np.einsum("nai,naj->nij", design, design)
    linear = np.einsum("nij,nj->ni", quadratic, z[labels])
    linear += np.einsum("nai,na->ni", design, rng.normal(size=(n, q + 2)))
    features = pack(linear, quadratic).astype(np.float32)
    return Statistics(features, np.zeros(n), q), labels


@pytest.fixture(scope="module")
def three_classes():
    return planted(1500, np.array([[2.0, 0, 0], [-1, 1.7, 0], [-1, -1.7, 0]]))


def test_packing_is_its_own_inverse(three_classes):
    statistics, _ = three_classes
    again = pack(statistics.linear(), statistics.quadratic())
    np.testing.assert_array_equal(again, statistics.features)
    square = unpack(np.array([[1.0, 2, 3, 4, 5, 6]]), 3)[0]
    np.testing.assert_array_equal(square, [[1, 2, 4], [2, 3, 5], [4, 5, 6]])


def test_leading_components_are_the_statistics_of_the_smaller_basis(three_classes):
    statistics, _ = three_classes
    small = statistics.leading(2)
    np.testing.assert_array_equal(small.quadratic(), statistics.quadratic()[:, :2, :2])
    np.testing.assert_array_equal(small.linear(), statistics.linear()[:, :2])


def test_posteriors_and_gain_are_those_of_the_formula(three_classes):
    statistics, _ = three_classes
    rng = np.random.default_rng(1)
    z, weights = rng.normal(size=(4, 3)).astype(np.float32), np.array([0.4, 0.3, 0.2, 0.1])
    posteriors, gain = posteriors_and_gain(statistics, z, weights)
    quadratic = np.einsum("ki,nij,kj->nk", z, statistics.quadratic(), z)
    scores = statistics.linear() @ z.T - 0.5 * quadratic + np.log(weights)
    np.testing.assert_allclose(gain, logsumexp(scores, axis=1), atol=2e-4)  # float32
    np.testing.assert_allclose(posteriors.sum(1), 1, atol=1e-5)
    labels = assign(statistics, z[None], weights[None])[:, 0]
    np.testing.assert_array_equal(labels, scores.argmax(1))


def test_the_planted_classes_are_found_by_most_seeds(three_classes):
    statistics, labels = three_classes
    campaign = fit_seeds(statistics, 3, range(40))
    best = [campaign.best()]
    found = assign(statistics, campaign.coordinates[best], campaign.class_weights[best])[:, 0]
    assert adjusted_rand_score(labels, found) > 0.85  # the classes overlap
    optima = distinct_optima(campaign, information(statistics))
    assert len(optima[0].members) >= 32
    assert sum(len(o.members) for o in optima) == 40
    assert campaign.converged.all()
    assert (np.diff(campaign.class_weights, axis=1) <= 0).all()


def test_all_seeds_are_one_array(three_classes):
    statistics, _ = three_classes
    two, three = (fit_seeds(statistics, k, range(4)) for k in (2, 3))
    array = seed_array([two, three])
    assert array.shape == (8, 3, 4) and np.isnan(array[:4, 2]).all()
    np.testing.assert_array_equal(array[4:, :, :3], three.coordinates)
    np.testing.assert_array_equal(array[:4, :2, 3], two.class_weights)


def test_likelihood_never_falls(three_classes):
    statistics, _ = three_classes
    history = [
        fit_seeds(statistics, 3, [5], FitOptions(max_iterations=i)).log_likelihood[0]
        for i in range(1, 25)
    ]
    # float32 sums of 1500 particles
    assert np.diff(history).min() > -1e-2


def test_a_seed_does_not_depend_on_its_batch(three_classes):
    statistics, _ = three_classes
    options = FitOptions(tile_columns=48)
    many = fit_seeds(statistics, 3, range(30), options)
    alone = fit_seeds(statistics, 3, [7], options)
    np.testing.assert_array_equal(alone.coordinates[0], many.coordinates[7])
    assert alone.log_likelihood[0] == many.log_likelihood[7]


def test_streaming_in_blocks_gives_the_same_answer(three_classes):
    statistics, _ = three_classes
    whole = fit_seeds(statistics, 3, range(4))
    streamed = fit_seeds(statistics, 3, range(4), FitOptions(block_rows=512))
    # Only the order of float32 sums differs.
    np.testing.assert_allclose(streamed.log_likelihood, whole.log_likelihood, rtol=1e-4)
    np.testing.assert_allclose(streamed.coordinates, whole.coordinates, atol=5e-3)


def test_a_part_of_the_particles_first_gives_the_same_optimum(three_classes):
    statistics, _ = three_classes
    whole = fit_seeds(statistics, 3, range(4))
    found = fit_seeds(statistics, 3, range(4), FitOptions(first_particles=400))
    assert (found.iterations > whole.iterations.min()).all() and found.converged.all()
    gap = found.log_likelihood[found.best()] - whole.log_likelihood[whole.best()]
    assert abs(gap) < 1e-3 * whole.log_likelihood[whole.best()]


def test_memory_mapped_statistics_serve(three_classes, tmp_path):
    statistics, _ = three_classes
    np.save(tmp_path / "features.npy", statistics.features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    again = Statistics(mapped, statistics.offset, 3)
    a, b = fit_seeds(statistics, 2, [0]), fit_seeds(again, 2, [0])
    np.testing.assert_array_equal(a.coordinates, b.coordinates)


def test_one_class_is_the_mean(three_classes):
    statistics, _ = three_classes
    campaign = fit_seeds(statistics, 1, [0])
    system = statistics.quadratic().sum(0) + np.eye(3)
    expected = np.linalg.solve(system, statistics.linear().sum(0))
    np.testing.assert_allclose(campaign.coordinates[0, 0], expected, rtol=1e-3, atol=1e-4)


def test_impossible_numbers_are_refused(three_classes):
    statistics, _ = three_classes
    with pytest.raises(ValueError, match="n_classes: found 2000"):
        fit_seeds(statistics, 2000, [0])
    with pytest.raises(ValueError, match="0 seeds"):
        fit_seeds(statistics, 2, [])


def test_latent_means_solve_their_system(three_classes):
    statistics, _ = three_classes
    means = latent_means(statistics)
    left = np.einsum("nij,nj->ni", statistics.quadratic(), means) + means
    np.testing.assert_allclose(left, statistics.linear(), atol=1e-3)


def halves_of(statistics):
    train = np.arange(statistics.n) // 50 % 2 == 0
    return [Fold(statistics, ~train), Fold(statistics, train)]


@pytest.mark.slow
def test_evidence_chooses_the_planted_number(three_classes):
    statistics, _ = three_classes
    micrographs = np.arange(statistics.n) // 50
    evidence = held_out_evidence(halves_of(statistics), [2, 3, 4, 5], micrographs, seeds=10)
    assert evidence.components.chosen == 2
    assert evidence.classes.chosen == 3
    assert evidence.found
    assert len(evidence.per_class) == 3
    assert all(loss.low > 0 for loss in evidence.per_class)
    assert evidence.spread and not evidence.spread.continuum
    assert evidence.discrete_classes == 3


@pytest.mark.slow
def test_a_continuum_is_not_called_states():
    line = np.zeros((3000, 3))
    line[:, 0] = np.linspace(-3, 3, 3000)
    statistics, _ = planted(3000, line, strength=8.0)
    evidence = held_out_evidence(halves_of(statistics), [2, 3, 4], seeds=6)
    assert evidence.classes.chosen > 1  # the pieces of a line explain more than its mean
    assert evidence.spread and evidence.spread.continuum
    assert evidence.discrete_classes == 1 and not evidence.found


def test_the_spread_of_classes_is_integrated_out():
    statistics, _ = planted(5, np.zeros((1, 2)), 3)
    z, weights = np.array([[1.0, 0.5], [-1.0, 0.0]]), np.array([0.6, 0.4])
    rng = np.random.default_rng(0)
    centred = z - weights @ z
    between = (centred * weights[:, None]).T @ centred / 3  # of K² − 1 = 3 pieces
    drawn = rng.multivariate_normal(np.zeros(2), between, 400_000)
    g, big_g = statistics.linear().astype(float), statistics.quadratic().astype(float)
    total = np.zeros(5)
    for centre, weight in zip(z, weights):
        at = centre + drawn
        ell = g @ at.T - 0.5 * np.einsum("mi,nij,mj->nm", at, big_g, at)
        total += weight * np.exp(ell).mean(1)
    # Averages of 400,000 draws.
    np.testing.assert_allclose(spread_gain(statistics, z, weights, 1.0), np.log(total), atol=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_evidence_of_noise_is_one_class(seed):
    statistics, _ = planted(1000, np.zeros((1, 3)), seed)
    evidence = held_out_evidence(halves_of(statistics), [2, 3], seeds=10)
    assert evidence.components.chosen == 0
    assert evidence.classes.chosen == 1
    assert not evidence.found
    assert "no number of classes" in evidence.classes.reason


def test_a_change_of_basis_changes_no_likelihood(three_classes):
    statistics, _ = three_classes
    mix = latent_mix(statistics)
    changed = change_basis(statistics, mix)
    z = np.random.default_rng(0).normal(size=(2, 3))
    _, gain = posteriors_and_gain(changed, z, np.array([0.5, 0.5]))
    _, same = posteriors_and_gain(statistics, z @ mix.T, np.array([0.5, 0.5]))
    np.testing.assert_allclose(gain, same, atol=1e-3)  # float32
    means = latent_means(changed)
    # The third coordinate is zero in all particles, so its direction has no variance left.
    assert np.var(means[:, 0]) > 0.5 and np.abs(mix[:, 2]).max() < 0.3


def test_component_gains_are_differences_of_gaussian_evidence(three_classes):
    statistics, _ = three_classes
    gains = component_gains(statistics)
    g, big_g = statistics.linear()[3].astype(float), statistics.quadratic()[3].astype(float)
    for j in (1, 2, 3):
        system = big_g[:j, :j] + np.eye(j)
        expected = 0.5 * g[:j] @ np.linalg.solve(system, g[:j])
        expected -= 0.5 * np.linalg.slogdet(system)[1]
        np.testing.assert_allclose(gains[j, 3], expected, rtol=1e-8)
    choice = choose_number(gains, range(4), None, "components")
    assert choice.chosen == 2  # the third coordinate is zero everywhere


def test_intervals_over_micrographs_see_shared_errors():
    rng = np.random.default_rng(0)
    micrographs = np.repeat(np.arange(50), 40)
    shared = rng.normal(size=50)[micrographs] + 0.1 * rng.normal(size=2000)
    single, blocked = block_interval(shared), block_interval(shared, micrographs)
    assert blocked.high - blocked.low > 4 * (single.high - single.low)
    assert single.value == blocked.value


SUMS = """
import hashlib
import jax, jax.numpy as jnp, numpy as np
from emjax.classify.subspace.products import accumulate, accumulate_labels
rng = np.random.default_rng(0)
found = []
for q in (4, 8, 16):
    rows = jnp.asarray(rng.normal(size=(3, 512, q * (q + 3) // 2 + 1)).astype(np.float32))
    z = rng.normal(size=(64, 4, q)).astype(np.float32) / 10
    found += accumulate(rows, z, np.full((64, 4), 0.25, np.float32))
    found.append(accumulate_labels(rows, jax.vmap(jax.random.key)(jnp.arange(64)), 4))
print(hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in found)).hexdigest())
"""


def test_any_number_of_threads_gives_the_same_bits():
    bits = [
        subprocess.run(
            [sys.executable, "-c", SUMS],
            env=os.environ | {"NPROC": threads, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for threads in ("1", "4")
    ]
    assert bits[0] == bits[1]
