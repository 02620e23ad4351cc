"""First maps of the classes."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.classify.em3d import start
from emjax.classify.em3d.iterations import classify
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import _mixture_means, _subsets, differences, overall, start_runs
from emjax.classify.em3d.state import Run
from emjax.classify.operators.passes import make_engine
from emjax.classify.subspace.volumes import GivenComponents
from emjax.imaging.grids import resample
from emjax.imaging.maps import lowpass
from emjax.simulate.particles import phantom

QUICK = Em3dOptions(
    particles_per_reconstruction=150, online_batch_per_class=50, full_iterations=1, anneal_until=0
)

THREE = Run(3, 0)


def first_maps(engine, scene, run=THREE, **changes):
    """Maps that a run starts from."""
    options = dataclasses.replace(QUICK, **changes)
    return start_runs(engine, scene, [run], options)[0].volumes


def spread(maps, scene) -> float:
    """Squared distance of maps from the mean map, for the most part noise in first maps."""
    return float(np.mean((maps - np.asarray(scene.solvent_mask * scene.mean_map)) ** 2))


def test_n_classes_and_seed(engine, scene):
    assert len(first_maps(engine, scene, Run(2, 0))) == 2
    one, other = (first_maps(engine, scene, Run(3, seed)) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_more_particles_per_reconstruction_leave_less_noise(engine, scene):
    few, many = (
        first_maps(engine, scene, particles_per_reconstruction=n, fsc_filter=False)
        for n in (40, 400)
    )
    # Ten times the particles, a tenth of the variance; CTF zeros keep some of it.
    assert spread(many, scene) < 0.3 * spread(few, scene)


def test_few_particles_give_different_first_maps(prepared, scene):
    few = make_engine(prepared[0], particle_limit=200, block_pixels=15_000)
    maps = first_maps(few, scene, particles_per_reconstruction=1000)
    assert min(np.ptp(maps[[a, b]], axis=0).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 0


def test_first_maps_come_from_the_particles_in_use(prepared):
    few = make_engine(prepared[0], particle_limit=60, block_pixels=15_000)
    columns = _subsets(few, (0, 3), 20, 3)
    assert columns.sum(0).tolist() == [20, 20, 20]
    assert not columns[np.setdiff1d(np.arange(900), few.layout.rows)].any()


def test_initial_lowpass_smooths_the_first_maps(engine, scene):
    sharp, smooth = (
        start_runs(engine, scene, [Run(2, 0)], dataclasses.replace(QUICK, initial_lowpass=r))[0]
        for r in (20.0, 80.0)
    )
    roughness = [np.abs(np.diff(s.volumes, axis=1)).mean() for s in (sharp, smooth)]
    assert roughness[1] < roughness[0]


def test_initial_lowpass_holds_for_given_maps(engine, scene):
    run, rough = Run(3, 0), first_maps(engine, scene)
    options = dataclasses.replace(QUICK, initial="input", initial_lowpass=80.0)
    (state,) = start_runs(engine, scene, [run], options, {run: rough})
    assert np.abs(np.diff(state.volumes, axis=1)).mean() < np.abs(np.diff(rough, axis=1)).mean()


@pytest.mark.slow
def test_more_pca_reconstructions_leave_less_noise(engine, scene):
    options = {"initial": "pca", "particles_per_reconstruction": 40, "fsc_filter": False}
    few, many = (
        first_maps(engine, scene, Run(2, 0), pca_reconstructions=n, **options) for n in (4, 48)
    )
    assert spread(many, scene) < 0.7 * spread(few, scene)


def test_pca_components_are_those_the_mixture_sees(scene):
    """Groups that differ along the second component are separated with two, not with one."""
    d = scene.mean_map.shape[0]
    rng = np.random.default_rng(0)
    table = rng.normal(0, 0.01, (60, d**3)).astype(np.float32)
    table[:, 0] += np.linspace(-3.8, 3.8, 60)
    table[:, 1] += 4 * (np.arange(60) % 2)

    def gap(n_components):
        options = dataclasses.replace(QUICK, pca_components=n_components)
        maps = _mixture_means(table, Run(2, 0), options)
        return abs(maps[0, 1] - maps[1, 1])

    assert gap(1) < 2
    assert gap(2) > 3.9


def test_pca_averages_the_maps_assigned_to_each_group():
    """Groups that overlap: hard averages are those of the members, soft ones are more alike."""
    rng = np.random.default_rng(0)
    table = rng.normal(0, 1, (60, 4)).astype(np.float32)
    table[:30, 0] += 2.5
    options = dataclasses.replace(QUICK, pca_components=1)
    hard = _mixture_means(table, Run(2, 0), options)
    soft = _mixture_means(table, Run(2, 0), dataclasses.replace(options, pca_assignment="soft"))
    assert np.ptp(soft, 0)[0] < 0.97 * np.ptp(hard, 0)[0]
    # Along one component the members of a group are the first so many maps, or the last.
    order = np.argsort(np.linalg.svd(table - table.mean(0), full_matrices=False)[0][:, 0])
    halves = ((table[order[:m]].mean(0), table[order[m:]].mean(0)) for m in range(1, 60))
    apart = [min(np.abs(hard - pair).max(), np.abs(hard[::-1] - pair).max()) for pair in halves]
    assert min(apart) < 1e-5


def test_a_group_without_maps_gets_the_one_that_fits_best(monkeypatch):
    table = np.array([[0.0, 0], [1, 0], [4, 0]], np.float32)
    members = np.array([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3]])
    monkeypatch.setattr(start.GaussianMixture, "fit", lambda self, scores: self)
    monkeypatch.setattr(start.GaussianMixture, "predict_proba", lambda self, scores: members.copy())
    found = _mixture_means(table, Run(2, 0), QUICK)
    np.testing.assert_allclose(found, [table.mean(0), table[0]], atol=1e-6)


def test_differences_are_relative_to_the_mean_map():
    mean = np.full((4, 4, 4), 2.0)
    found = differences(np.stack([1.1 * mean, 0.9 * mean, mean, mean]), mean)
    np.testing.assert_allclose(found, [0.1, 0.1, 0, 0], atol=1e-12)
    assert overall(found) == pytest.approx(0.1 / 2**0.5)


def test_a_run_knows_how_different_its_first_maps_are(engine, scene):
    (state,) = start_runs(engine, scene, [THREE], QUICK)
    assert state.initial_differences == tuple(
        differences(state.volumes, np.asarray(scene.mean_map * scene.solvent_mask))
    )
    assert overall(state.initial_differences) > 0.01


def test_given_components_are_ends_as_they_are(engine, scene):
    """Two maps as components: as many classes start one along each, twice as many from both ends.

    The seed draws sides only, so all starts lie in the plane of the two components.
    """
    mask = np.asarray(scene.solvent_mask)
    d = len(mask)
    rng = np.random.default_rng(0)
    smooth = lowpass(
        jnp.asarray(rng.normal(size=(2, d, d, d)), jnp.float32), engine.grid, jnp.float32(5)
    )
    given = GivenComponents(np.asarray(smooth) * mask)
    options = dataclasses.replace(QUICK, initial="components", initial_lowpass=1.0)
    runs = [Run(4, 0), Run(2, 0), Run(2, 1), Run(2, 2), Run(2, 3), Run(6, 0)]
    states = start_runs(engine, scene, runs, options, components=given)
    center = states[0].volumes.mean(0)
    plane = np.linalg.svd(given.maps.reshape(2, -1), full_matrices=False)[2]
    for state in states:
        gaps = (state.volumes - center).reshape(len(state.volumes), -1)
        outside = gaps - gaps @ plane.T @ plane
        # Interpolation and the band of the images take some of it away.
        assert np.linalg.norm(outside) < 0.35 * np.linalg.norm(gaps)
    both, one = ((s.volumes - center).reshape(len(s.volumes), -1) for s in states[:2])
    tolerance = 1e-3 * np.abs(both).max()
    np.testing.assert_allclose(both[2:], -both[:2], atol=tolerance)
    np.testing.assert_allclose(one, both[:2], atol=tolerance)
    sides = {
        tuple(np.sign((s.volumes - center).reshape(2, -1) @ plane.T).ravel()) for s in states[1:5]
    }
    assert len(sides) > 1
    six = (states[5].volumes - center).reshape(6, -1)
    np.testing.assert_allclose(six[4:], 2 * both[:2], atol=2 * tolerance)


def explained(maps, scene, size) -> float:
    """Share of the true differences that lies in the span of the first maps' differences."""
    gaps = (maps[1:] - maps[:1]).reshape(2, -1)
    basis = np.linalg.svd(gaps, full_matrices=False)[2]
    mask = np.asarray(scene.solvent_mask)
    truth = np.stack([resample(v, size) * mask for v in phantom(3, 32, seed=1)])
    wanted = (truth[1:] - truth[:1]).reshape(2, -1)
    return float(np.sum((wanted @ basis.T) ** 2) / np.sum(wanted**2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_pca_start_takes_up_more_of_the_differences_than_a_random_one(
    engine, scene, prepared, seed
):
    pca, simple = (
        first_maps(engine, scene, Run(3, seed), initial=initial, particles_per_reconstruction=60)
        for initial in ("pca", "simple")
    )
    size = prepared[0].box_size
    assert explained(pca, scene, size) > 0.4
    assert explained(pca, scene, size) > 2 * explained(simple, scene, size)


@pytest.mark.slow
def test_variability_starts_nearer_to_the_states(engine, scene, prepared):
    size = prepared[0].box_size
    variability, simple = (
        explained(first_maps(engine, scene, initial=initial), scene, size)
        for initial in ("variability", "simple")
    )
    assert variability > 0.6
    assert variability > 2 * simple


@pytest.mark.slow
def test_variability_takes_up_given_components(engine, scene, prepared, simulation):
    """The truth's differences as components are better than two short of them, for any K."""
    size = prepared[0].box_size
    truth = np.stack([resample(v, size) for v in phantom(3, 32, seed=1)])
    given = GivenComponents(truth[1:] - truth[:1])
    options = dataclasses.replace(QUICK, initial="variability")
    (state,) = start_runs(engine, scene, [THREE], options, components=given)
    assert explained(state.volumes, scene, size) > 0.8
    (wide,) = start_runs(engine, scene, [Run(5, 0)], options, components=given)
    assert len(wide.volumes) == 5


@pytest.mark.slow
def test_coordinates_of_the_particles_serve_as_components(engine, scene, prepared, simulation):
    """Coordinates that name the states; rows of a limited engine are its own particles'."""
    few = make_engine(prepared[0], particle_limit=600, block_pixels=15_000)
    states = np.eye(3)[simulation.states][:, 1:]
    given = GivenComponents(coordinates=(states,))
    options = dataclasses.replace(QUICK, initial="components")
    (state,) = start_runs(few, scene, [Run(2, 0)], options, components=given)
    truth = np.stack([resample(v, prepared[0].box_size) for v in phantom(3, 32, seed=1)])
    mask = np.asarray(scene.solvent_mask)
    wanted = ((truth[1:] - truth[:1]) * mask).reshape(2, -1)
    gap = (state.volumes - np.asarray(scene.mean_map) * mask).reshape(2, -1)
    alike = np.corrcoef(np.concatenate([gap, wanted]))[:2, 2:]
    assert min(alike[0, 0], alike[1, 1]) > 0.5
    assert alike[0, 0] > alike[0, 1] and alike[1, 1] > alike[1, 0]


@pytest.mark.slow
def test_variability_finds_the_states_from_any_seed(engine, scene, simulation):
    runs = [Run(3, seed) for seed in range(3)]
    options = dataclasses.replace(QUICK, initial="variability", full_iterations=10)
    for result in classify(engine, scene, runs, options):
        assert adjusted_rand_score(simulation.states, result.labels) > 0.9


def test_more_classes_than_particles(engine, scene):
    with pytest.raises(ValueError, match=r"n_classes: found 1000, expected at most the 900"):
        start_runs(engine, scene, [Run(1000, 0)], QUICK)
    few = make_engine(engine.particles, particle_limit=2)
    with pytest.raises(ValueError, match=r"n_classes: found 3, expected at most the 2"):
        start_runs(few, scene, [Run(3, 0)], QUICK)
    pca = dataclasses.replace(QUICK, initial="pca", pca_reconstructions=3)
    with pytest.raises(ValueError, match="pca_reconstructions: found 3, expected at least the 5"):
        start_runs(engine, scene, [Run(5, 0)], pca)
