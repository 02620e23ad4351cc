"""The first iterations without the finest frequencies."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.classify.em3d import iterations as em3d
from emjax.classify.em3d.coarse import Setup, coarse_setup, start_radius, to_all_frequencies
from emjax.classify.em3d.expectation import insert_columns, sweep
from emjax.classify.em3d.iterations import classify
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Run, Stage, make_scene
from emjax.classify.operators.passes import make_engine
from emjax.imaging.grids import resample, to_fourier
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
    return np.array_equal(a.maps, b.maps) and np.array_equal(a.posteriors, b.posteriors)


def test_first_some_pixels_then_all(results, fine, simulation):
    found, states = results
    for result in found:
        stages = [h.stage for h in result.history]
        order = {"online": 0, "coarse": 1, "full": 2, "last": 3}
        assert stages == sorted(stages, key=order.get) and set(stages) == set(order)
        shells = [len(h.fsc[0]) for h in result.history]
        assert set(shells) == {11, 15}
        assert [s in ("full", "last") for s in stages] == [n == 15 for n in shells]
    assert found[0].maps.shape[1:] == fine[1].mean_map.shape
    # Bayes-optimal labels with the true maps reach 0.97 in 8 shells.
    assert adjusted_rand_score(simulation.states, found[0].labels) > 0.9
    assert {s.volumes.shape[-1] for s, _ in states} == {20, 30}


def test_flow_sums_to_the_class_sizes_within_and_between_the_stages(results):
    for result in results[0]:
        assert not result.history[0].flow
        for before, after in zip(result.history, result.history[1:]):
            # A mini-batch is some of the particles.
            if "online" in (before.stage, after.stage):
                assert not after.flow
                continue
            flow = np.array(after.flow)
            np.testing.assert_array_equal(flow.sum(1), before.class_sizes)
            np.testing.assert_array_equal(flow.sum(0), after.class_sizes)
            assert 1 - np.trace(flow) / flow.sum() == pytest.approx(after.switched)


def test_alone_and_after_a_restart_in_either_stage_the_bits_are_the_same(results, fine):
    found, states = results
    (alone,) = classify(*fine, RUNS[1:], OPTIONS)
    assert same(alone, found[1])
    coarse = [i for i, (s, _) in enumerate(states) if s.stage is Stage.COARSE]
    assert 0 < len(coarse) < len(states)
    for i in (0, coarse[-1], coarse[-1] + 1):
        again = classify(*fine, RUNS, OPTIONS, resume=states[i])
        assert all(same(a, b) for a, b in zip(again, found, strict=True)), i


def test_runs_that_settled_at_different_times_share_the_passes(fine, monkeypatch):
    """Annealing over, nothing of a pass depends on how many iterations a run has behind it."""
    passes = []

    def counted(engine, blocks, states, *args, **kwargs):
        passes.append((engine.grid.radius, [s.iteration for s in states]))
        return sweep(engine, blocks, states, *args, **kwargs)

    monkeypatch.setattr(em3d, "sweep", counted)
    runs = [Run(3, seed) for seed in range(6)]
    results = classify(*fine, runs, OPTIONS)
    full = [iterations for radius, iterations in passes if radius == 12]
    assert any(len(set(iterations)) > 1 for iterations in full)
    longest = max(sum(h.stage == "full" for h in r.history) for r in results)
    assert len(full) == longest + OPTIONS.last_iterations + 1  # and the final pass


def test_given_maps_are_checked_on_their_own_box(fine):
    engine, scene = fine
    options = dataclasses.replace(OPTIONS, initial="input")
    maps = np.random.default_rng(0).normal(size=(2, 36, 36, 36)).astype(np.float32)
    with pytest.raises(ValueError, match=r"initial_maps: found a box of \(36, 36, 36\)"):
        classify(engine, scene, RUNS[1:], options, initial_volumes={RUNS[1]: maps})


def test_a_focus_mask_of_a_few_voxels_survives_the_coarse_box(fine):
    engine, scene = fine
    focus = np.zeros_like(scene.mean_map)
    focus[14, 15, 15] = 1
    small = make_scene(np.asarray(scene.mean_map), np.asarray(scene.solvent_mask), focus)
    (result,) = classify(engine, small, RUNS[1:], dataclasses.replace(OPTIONS, full_iterations=1))
    assert np.isfinite(result.log_likelihood)


def test_a_coarse_stage_takes_the_memory_of_the_blocks_before_it(fine):
    """The held-out evidence classifies twice with one engine."""
    engine = make_engine(fine[0].particles, block_pixels=30_000)
    insert_columns(engine, np.ones((engine.particles.n, 1), np.float32))
    assert engine.store.n_held and engine.spare_sums
    assert coarse_setup(Setup(engine, fine[1]), OPTIONS) is not None
    assert not engine.store.n_held and not engine.spare_sums


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
    pairs = engine.particles.images.view(np.float32).reshape(*engine.particles.images.shape, 2)
    narrow = dataclasses.replace(engine.particles, images=pairs.astype(np.float16))
    np.testing.assert_allclose(coarsen(narrow, 8).take(np.arange(5)).images, own, rtol=2e-3)


def test_the_mean_map_stands_in_for_the_frequencies_that_waited(results, fine):
    """Or the first iteration with all of them would explain the images worse than the mean map."""
    engine, scene = fine
    coarse_box = coarse_setup(Setup(engine, scene), OPTIONS)
    before = next(s for s, _ in reversed(results[1]) if s.stage is Stage.COARSE)
    (after,) = to_all_frequencies([before], coarse_box, Setup(engine, scene))
    mean = to_fourier(scene.mean_map * scene.solvent_mask, engine.grid)
    found = to_fourier(jnp.asarray(after.volumes), engine.grid)
    shells, kxyz = np.asarray(engine.grid.voxel_shells), np.asarray(engine.grid.kxyz)
    # Beyond the coarse box, whose corners hold a little of what the mask smears.
    fine_only = np.abs(kxyz).max(1) > coarse_box.engine.grid.box_size // 2
    assert fine_only.sum() > 1000
    expected = np.broadcast_to(mean[fine_only], (3, fine_only.sum()))
    error = 1e-3 * float(abs(expected).max())
    np.testing.assert_allclose(found[:, fine_only], expected, atol=error)
    coarse = to_fourier(jnp.asarray(before.volumes), coarse_box.engine.grid)
    own = np.asarray(coarse_box.engine.grid.voxel_shells) <= 6
    np.testing.assert_allclose(
        np.linalg.norm(found[:, shells <= 6]) / np.linalg.norm(coarse[:, own]),
        (engine.grid.box_size / coarse_box.engine.grid.box_size) ** 3,
        rtol=1e-3,
    )
    for result in results[0]:
        full = [h.log_likelihood for h in result.history if h.stage == "full"]
        before = [h for h in result.history if h.stage in ("online", "coarse")]
        assert full[0] > max(h.log_likelihood for h in before)


def test_given_maps_are_brought_to_the_coarse_box(fine, results):
    engine, scene = fine
    options = dataclasses.replace(OPTIONS, initial="input", full_iterations=2, online_epochs=0)
    given = {RUNS[0]: results[0][0].maps}
    (found,) = classify(engine, scene, RUNS[:1], options, initial_volumes=given)
    assert adjusted_rand_score(results[0][0].labels, found.labels) > 0.9


@pytest.mark.parametrize("value", [None, "auto"])
def test_no_stage_where_it_is_off_or_would_be_tiny(engine, scene, value):
    options = dataclasses.replace(OPTIONS, start_resolution=value, full_iterations=1)
    (result,) = classify(engine, scene, RUNS[1:], options)
    assert "coarse" not in {h.stage for h in result.history}


def test_a_resolution_outside_the_filters_is_refused(fine):
    for value in (15.0, 20.0, 90.0):
        options = dataclasses.replace(OPTIONS, start_resolution=value)
        with pytest.raises(
            ValueError, match=f"start_resolution: found {value:g} Å, expected coarser"
        ):
            classify(*fine, RUNS, options)
    for value in ("fine", 0.0, -5.0, float("nan")):
        with pytest.raises(ValueError, match="start_resolution: found .*, expected auto"):
            Em3dOptions(start_resolution=value)
    # A high-pass may leave too few shells for a stage of their own.
    assert start_radius("auto", 256.0, 12, 0.0) == 8
    assert start_radius("auto", 256.0, 12, 11.9) is None
    options = dataclasses.replace(OPTIONS, start_resolution=25.0, full_iterations=1)
    (result,) = classify(*fine, RUNS[1:], options)
    assert [len(h.fsc[0]) for h in result.history if h.stage == "coarse"] == [13]


def test_maps_keep_their_scale_between_the_boxes():
    volume = np.zeros((20, 20, 20), np.float32)
    volume[8:12, 8:12, 8:12] = 1
    assert resample(resample(volume, 30), 20) == pytest.approx(volume, abs=0.35)
    assert resample(volume, 30).mean() == pytest.approx(volume.mean(), rel=1e-5)
