"""The first iterations without the finest frequencies."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.classify.em3d import classify
from emjax.classify.engine import make_engine
from emjax.classify.expectation import insert_columns
from emjax.classify.runs import Em3dOptions, Run, make_scene
from emjax.imaging.grids import resample
from emjax.imaging.particles import coarsen

OPTIONS = Em3dOptions(particles_per_reconstruction=150, online_batch_per_class=100)
RUNS = [Run(3, 0), Run(2, 1)]


@pytest.fixture(scope="module")
def fine(prepare, simulation):
    """Twelve shells, of which eight hold half of the pixels."""
    particles, mean = prepare(simulation, resolution=20.0)
    assert particles.radius == 12
    engine = make_engine(particles, block_pixels=30_000)
    return engine, make_scene(mean.volume, mean.solvent_mask)


@pytest.fixture(scope="module")
def results(fine):
    states = []
    found = classify(*fine, RUNS, OPTIONS, on_iteration=lambda s: states.append(list(s)))
    return found, states


def same(a, b):
    """Whether two results hold the same bits."""
    return np.array_equal(a.volumes, b.volumes) and np.array_equal(a.posteriors, b.posteriors)


def test_first_some_pixels_then_all(results, fine, simulation):
    found, states = results
    for result in found:
        stages = [h["stage"] for h in result.history]
        order = {"online": 0, "coarse": 1, "full": 2}
        assert stages == sorted(stages, key=order.get) and set(stages) == set(order)
        shells = [len(h["fsc"][0]) for h in result.history]
        assert set(shells) == {11, 15}
        assert [s == "full" for s in stages] == [n == 15 for n in shells]
    assert found[0].volumes.shape[1:] == fine[1].mean_map.shape
    # Bayes-optimal labels with the true maps reach 0.97 in 8 shells.
    assert adjusted_rand_score(simulation.states, found[0].labels) > 0.9
    assert {s.volumes.shape[-1] for s, _ in states} == {20, 30}


def test_alone_and_after_a_restart_in_either_stage_the_bits_are_the_same(results, fine):
    found, states = results
    (alone,) = classify(*fine, RUNS[1:], OPTIONS)
    assert same(alone, found[1])
    coarse = [i for i, (s, _) in enumerate(states) if s.coarse]
    assert 0 < len(coarse) < len(states)
    for i in (0, coarse[-1], coarse[-1] + 1):
        again = classify(*fine, RUNS, OPTIONS, resume=states[i])
        assert all(same(a, b) for a, b in zip(again, found, strict=True)), i


def test_a_coarser_engine_sees_the_same_coarse_frequencies(fine):
    engine, _ = fine
    coarser, ones = engine.coarser(8), np.ones((engine.particles.n, 1), np.float32)
    taken = coarser.particles.take(np.arange(5)).images
    kx, ky = (np.asarray(k) for k in (engine.grid.kx, engine.grid.ky))
    own = engine.particles.images[:5][:, kx**2 + ky**2 <= 64]
    assert np.array_equal(taken, own)
    assert coarser.particles.extent == pytest.approx(engine.particles.extent)
    # Voxels that only pixels up to the radius touch get the same sums.
    few, all_of_them = insert_columns(coarser, ones), insert_columns(engine, ones)
    inside = np.sum(np.asarray(coarser.grid.kxyz) ** 2, 1) <= 6**2
    rows = engine.grid.lookup[tuple((np.asarray(coarser.grid.kxyz)[inside] + [0, 13, 13]).T)]
    ratio = few.numerator[..., inside] / np.asarray(all_of_them.numerator)[..., rows]
    # Cropped boxes differ in the scale of their transforms.
    np.testing.assert_allclose(ratio, ratio[0, 0, 0], rtol=2e-3)
    narrow = dataclasses.replace(engine.particles, images=engine.particles.images.astype("c8"))
    assert coarsen(narrow, 8).take(np.arange(3)).images.shape == (3, own.shape[1])


def test_given_maps_are_brought_to_the_coarse_box(fine, results):
    engine, scene = fine
    options = dataclasses.replace(OPTIONS, initial="input", full_iterations=2, online_epochs=0)
    given = {RUNS[0]: results[0][0].volumes}
    (found,) = classify(engine, scene, RUNS[:1], options, initial_volumes=given)
    assert adjusted_rand_score(results[0][0].labels, found.labels) > 0.9


@pytest.mark.parametrize("value", [None, "auto"])
def test_no_stage_where_it_is_off_or_would_be_tiny(engine, scene, value):
    options = dataclasses.replace(OPTIONS, start_resolution=value, full_iterations=1)
    (result,) = classify(engine, scene, RUNS[1:], options)
    assert "coarse" not in {h["stage"] for h in result.history}


def test_a_resolution_outside_the_filters_is_refused(fine):
    for value in (15.0, 20.0, 90.0):
        options = dataclasses.replace(OPTIONS, start_resolution=value)
        with pytest.raises(
            ValueError, match=f"start_resolution: found {value:g} Å, expected coarser"
        ):
            classify(*fine, RUNS, options)
    with pytest.raises(ValueError, match="start_resolution: found 'fine', expected auto"):
        Em3dOptions(start_resolution="fine")
    options = dataclasses.replace(OPTIONS, start_resolution=25.0, full_iterations=1)
    (result,) = classify(*fine, RUNS[1:], options)
    assert [len(h["fsc"][0]) for h in result.history if h["stage"] == "coarse"] == [13]


def test_maps_keep_their_scale_between_the_boxes():
    volume = np.zeros((20, 20, 20), np.float32)
    volume[8:12, 8:12, 8:12] = 1
    assert resample(resample(volume, 30), 20) == pytest.approx(volume, abs=0.35)
    assert resample(volume, 30).mean() == pytest.approx(volume.mean(), rel=1e-5)
