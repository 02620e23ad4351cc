"""A consensus that has the images: classes settle, over-splits are joined or named."""

from dataclasses import replace
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.classify.subspace.basis import Basis
from emjax.classify.subspace.mixture import posteriors_and_gain
from emjax.classify.subspace.settle import HeldOut
from emjax.consensus import settle
from emjax.consensus.build import Consensus, build_consensus
from emjax.consensus.options import ConsensusOptions
from emjax.consensus.planted import cut_gradient
from emjax.consensus.settle import Images
from tests.classify.subspace.test_settle import N, draw


@pytest.fixture(name="case")
def images_and_truth(monkeypatch) -> tuple[Images, np.ndarray]:
    """Particles in a basis; the iteration of full maps is replaced by one inside the basis."""
    statistics, truth = draw(5)
    blocks = np.arange(N) // 30

    def polish(rows, volumes, shares, mask, iterations, derivatives):
        found = posteriors_and_gain(statistics.take(rows), volumes, shares)[0]
        return SimpleNamespace(posteriors=found)

    monkeypatch.setattr(settle, "polish", polish)
    monkeypatch.setattr(settle, "class_coefficients", lambda basis, z: z)
    held_out = HeldOut(statistics, blocks % 2 + 1, 3, blocks)
    basis = Basis(jnp.zeros(1, complex), jnp.zeros((3, 1), complex))
    needs = lambda rows: (rows, None, 1, None)  # noqa: E731
    return Images(basis, statistics, held_out, needs, np.arange(N), 3), truth  # type: ignore[arg-type]


def runs_of(truth: np.ndarray, noise: float, cut: bool, seed: int = 0) -> np.ndarray:
    """Six runs with wrong labels; all may share a random cut of the first state."""
    rng = np.random.default_rng(seed)
    shared = np.where((truth == 0) & (rng.random(N) < 0.5), 3, truth) if cut else truth
    k = int(shared.max()) + 1
    wrong = rng.random((N, 6)) < noise
    return np.where(wrong, rng.integers(0, k, (N, 6)), shared[:, None])


def consensus(
    labels: np.ndarray, images: Images | None, supported: int | None = None, **options
) -> Consensus:
    names = [f"r{s}" for s in range(labels.shape[1])]
    chosen = ConsensusOptions(resamples=3, **options)
    return build_consensus(
        labels, names, options=chosen, images=images, max_classes_supported=supported
    )


def test_settled_classes_are_nearer_the_truth(case):
    images, truth = case
    labels = runs_of(truth, 0.45, cut=False)
    before, after = consensus(labels, None), consensus(labels, images)
    assert before.number.labelled_by == "model" and after.number.labelled_by == "images"
    one, other = (adjusted_rand_score(truth, found.labels) for found in (before, after))
    assert other > one + 0.02
    assert after.classes["distinct"].all()
    assert set(after.classes["distinct_by"]) == {"images"}
    assert ((after.stability >= 0) & (after.stability <= 1 + 1e-6)).all()


def test_a_cut_that_all_runs_share_is_joined(case):
    images, truth = case
    labels = runs_of(truth, 0.05, cut=True)
    assert len(consensus(labels, None).classes["size"]) == 4
    found = consensus(labels, images)
    assert len(found.classes["size"]) == 3 == found.number.recommended == found.number.chosen
    assert "held-out particles do not tell 1 from another" in found.number.why
    # Resamplings of the runs hold the two parts, which are the class.
    assert (found.classes["resampled"] == 1).all()
    assert (found.number.recommended_low, found.number.recommended_high) == (3, 3)
    assert adjusted_rand_score(truth, found.labels) > 0.9


def test_a_number_asked_for_is_kept_and_the_cut_named(case):
    images, truth = case
    found = consensus(runs_of(truth, 0.05, cut=True), images, n_classes=4)
    assert found.number.labelled_by == "tree" and len(found.classes["size"]) == 4
    states = [np.bincount(truth[found.labels == c]).argmax() for c in range(4)]
    np.testing.assert_array_equal(found.classes["distinct"], np.array(states) != 0)


def test_labels_stay_where_the_basis_does_not_hold_the_classes(case):
    images, truth = case
    labels = runs_of(np.random.default_rng(6).permutation(truth), 0.05, cut=False)
    found = consensus(labels, images)
    assert found.number.labelled_by == "model" and not found.classes["distinct"].any()


def test_particles_without_images_stay_out(case):
    """Of more particles than were prepared: those that no run has."""
    images, truth = case
    labels = np.insert(runs_of(truth, 0.05, cut=False), [0, 10], -1, axis=0)
    rows = np.insert(np.arange(N), [0, 10], -1)
    moved = Images(images.basis, images.statistics, images.held_out, images.full_maps, rows, 3)
    found = consensus(labels, moved)
    np.testing.assert_array_equal(np.flatnonzero(found.labels < 0)[:2], [0, 11])
    assert adjusted_rand_score(truth, np.delete(found.labels, [0, 11])) > 0.9


def test_what_does_not_vary_is_no_continuum(case):
    """Runs that cut noise along its strongest direction are associated within any classes."""
    images, _ = case
    labels = cut_gradient([5, 6, 4, 7, 5, 6], 0.05, N, np.random.default_rng(8))
    assert consensus(labels, images).number.verdict == "continuum"
    held = images.held_out
    blind = HeldOut(held.statistics, held.fold, 0, held.blocks)
    still = Images(images.basis, images.statistics, blind, images.full_maps, images.rows, 1)
    assert consensus(labels, still, supported=1).number.verdict == "one"


def test_a_continuum_that_held_out_particles_show_is_called_one(case):
    """Though all runs cut it at the same places."""
    images, truth = case
    shown = replace(images, continuum=True)
    found = consensus(runs_of(truth, 0.05, cut=False), shown, supported=1)
    assert found.number.verdict == "continuum" and "wide ones" in found.number.why
    found = consensus(runs_of(truth, 0.05, cut=False), images, supported=1)
    assert found.number.verdict == "one" and "no number of classes raises their" in found.number.why
