"""3D classification: recovered states, the same bits however it is run, every option."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.classify.em3d.convergence import dead_classes
from emjax.classify.em3d.expectation import effective_sample_size, posteriors_of, sweep
from emjax.classify.em3d.iterations import classify, finish, iterate
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import _subsets, start_runs
from emjax.classify.em3d.state import Run, clipped_fraction, make_scene
from emjax.classify.operators.passes import make_engine
from emjax.simulate.particles import phantom, simulate

QUICK = Em3dOptions(particles_per_reconstruction=150, online_batch_per_class=100)


def same(a, b):
    """Whether two results hold the same bits."""
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("posteriors", "labels", "maps", "half_maps", "hard_maps", "fsc")
    )


@pytest.fixture(scope="module")
def results(engine, scene):
    """Five seeds with three classes and two with two, in one batch."""
    runs = [Run(3, seed) for seed in range(5)] + [Run(2, seed) for seed in range(2)]
    states = []
    found = classify(engine, scene, runs, QUICK, on_iteration=lambda s: states.append(list(s)))
    return runs, found, states


def test_the_likeliest_run_recovers_the_states(results, simulation):
    _, found, _ = results
    best = max(found[:5], key=lambda r: r.log_likelihood)
    # Bayes-optimal labels with the true maps reach 0.97 here.
    assert adjusted_rand_score(simulation.states, best.labels) > 0.9
    assert best.converged


def test_a_seed_gives_the_same_bits_alone_and_in_a_batch(engine, scene, results):
    runs, found, _ = results
    for index in (3, 6):
        (alone,) = classify(engine, scene, [runs[index]], QUICK)
        assert same(alone, found[index])


def test_little_memory_gives_the_same_bits(prepared, scene, results):
    """Blocks are made in each pass, and the runs' columns take turns."""
    runs, found, _ = results
    frugal = make_engine(prepared[0], 1e-6, block_pixels=15_000)
    assert len(list(frugal.portions([run.n_classes for run in runs]))) == 2
    results_again = classify(frugal, scene, runs, QUICK)
    assert all(same(a, b) for a, b in zip(results_again, found, strict=True))


def test_a_restart_gives_the_same_bits(engine, scene, results):
    runs, found, states = results
    resumed = classify(engine, scene, runs, QUICK, resume=states[2])
    assert all(same(a, b) for a, b in zip(resumed, found, strict=True))


def test_posteriors_sum_to_one_and_labels_are_their_maxima(results):
    for result in results[1]:
        # Float32 softmax.
        np.testing.assert_allclose(result.posteriors.sum(1), 1, atol=1e-5)
        assert np.array_equal(result.labels, result.posteriors.argmax(1))


def test_posteriors_and_annealing():
    ell = np.log(np.array([[1.0, 3.0], [2.0, 2.0]], np.float32))
    weights = np.array([0.5, 0.5], np.float32)
    p, evidence = posteriors_of(ell, weights, np.float32(0))
    np.testing.assert_allclose(p, [[0.25, 0.75], [0.5, 0.5]], rtol=1e-5)
    np.testing.assert_allclose(evidence, np.log([2.0, 2.0]), rtol=1e-5)
    alike, _ = posteriors_of(ell, weights, np.float32(1))
    np.testing.assert_allclose(alike, 0.5, rtol=1e-6)


def test_similarity_falls_to_zero():
    options = Em3dOptions(class_similarity=0.5, anneal_until=10)
    assert options.similarity(1) == 0.5
    assert options.similarity(11) == 0
    assert all(options.similarity(i) > options.similarity(i + 1) for i in range(1, 11))


def test_learning_rate_halves():
    options = Em3dOptions(learning_rate=0.4, learning_rate_halflife=0.5)
    assert options.rate(1, 8) == 0.4
    assert options.rate(5, 8) == pytest.approx(0.2)


def test_likelihood_rises_after_annealing(engine, scene):
    """The per-voxel M-step is not exact (masks, interpolation, FSC filter), so a fall by 1e-3 of
    the gain over the first iteration is allowed for."""
    options = dataclasses.replace(QUICK, online_epochs=0, anneal_until=0, switch_convergence=0.0)
    (result,) = classify(engine, scene, [Run(3, 0)], options)
    likelihood = np.array([h.log_likelihood for h in result.history])
    gain = likelihood[-1] - likelihood[0]
    assert gain > 0
    assert np.diff(likelihood).min() > -1e-3 * gain


def test_tallies_agree_with_the_posteriors(engine, scene):
    states = start_runs(engine, scene, [Run(3, 0)], QUICK)
    _, (tally,) = sweep(engine, engine.blocks(), states, 0.0, keep_posteriors=True)
    np.testing.assert_allclose(tally.mass, tally.posteriors.sum(0, dtype=np.float64), rtol=1e-6)
    ess = effective_sample_size(tally.posteriors)
    assert np.array_equal(tally.ess, np.histogram(ess, bins=10, range=(1, 3))[0])


def history(engine, scene, **changes):
    (result,) = classify(engine, scene, [Run(3, 0)], dataclasses.replace(QUICK, **changes))
    return result


def test_online_epochs_run_mini_batches_first(engine, scene):
    with_online = history(engine, scene, full_iterations=2)
    stages = [h.stage for h in with_online.history]
    assert stages[0] == "online"
    assert stages[-2:] == ["full", "full"]
    assert with_online.history[0].particles < engine.particles.n
    without = history(engine, scene, full_iterations=2, online_epochs=0)
    assert [h.stage for h in without.history] == ["full", "full"]


def test_learning_rate_changes_the_online_stage(engine, scene):
    slow = history(engine, scene, learning_rate=0.05, full_iterations=1)
    fast = history(engine, scene, learning_rate=0.9, full_iterations=1)
    online = [i for i, h in enumerate(slow.history) if h.stage == "online"][1:]
    assert sum(slow.history[i].rms_change for i in online) < sum(
        fast.history[i].rms_change for i in online
    )


def test_full_iterations_limit(engine, scene):
    result = history(engine, scene, full_iterations=1)
    assert sum(h.stage == "full" for h in result.history) == 1
    assert not result.converged
    assert any("not converged" in w for w in result.warnings)


@pytest.mark.parametrize(
    "rule", [{"switch_convergence": 1.0, "rms_convergence": 0.0}, {"rms_convergence": 100.0}]
)
def test_either_stopping_rule_stops(engine, scene, rule):
    loose = history(engine, scene, anneal_until=0, online_epochs=0, **rule)
    assert loose.converged
    assert len(loose.history) == 2


def test_hard_posteriors_are_zero_or_one(engine, scene):
    result = history(engine, scene, hard=True)
    assert set(np.unique(result.posteriors)) == {0.0, 1.0}


def test_initial_lowpass_smooths_the_first_maps(engine, scene):
    sharp, smooth = (
        start_runs(engine, scene, [Run(2, 0)], dataclasses.replace(QUICK, initial_lowpass=r))[0]
        for r in (20.0, 80.0)
    )
    roughness = [np.abs(np.diff(s.volumes, axis=1)).mean() for s in (sharp, smooth)]
    assert roughness[1] < roughness[0]


def test_pca_start_takes_up_more_of_the_differences_than_a_random_one(engine, scene, prepared):
    options = dataclasses.replace(
        QUICK, initial="pca", pca_reconstructions=30, particles_per_reconstruction=60
    )
    (pca,) = start_runs(engine, scene, [Run(3, 0)], options)
    assert pca.volumes.shape[0] == 3
    assert np.ptp(pca.volumes, axis=0).max() > 0
    one = start_runs(engine, scene, [Run(3, 0)], dataclasses.replace(options, pca_components=1))[0]
    assert not np.array_equal(one.volumes, pca.volumes)


def test_given_maps_are_used_or_refused(engine, scene, results):
    options = dataclasses.replace(QUICK, initial="input", online_epochs=0)
    truth = results[1][0].maps
    run = Run(3, 0)
    (result,) = classify(engine, scene, [run], options, initial_volumes={run: truth})
    assert result.log_likelihood >= results[1][0].log_likelihood - 0.01
    for maps, message in (
        (truth[:2], "found 2, expected 3"),
        (truth[:, 2:, 2:, 2:], "found a box of"),
        (np.repeat(truth[:1], 3, 0), "identical maps"),
    ):
        with pytest.raises(ValueError, match=message):
            start_runs(engine, scene, [run], options, {run: maps})


def test_focus_mask_keeps_the_mean_outside(engine, scene, prepared):
    focus = np.zeros_like(prepared[1].solvent_mask)
    half = focus.shape[0] // 2
    focus[half:] = 1
    focused = make_scene(prepared[1].volume, prepared[1].solvent_mask, focus)
    state = start_runs(engine, focused, [Run(3, 0)], QUICK)
    (state,) = iterate(engine, focused, state, QUICK)
    outside = np.asarray(scene.mean_map * scene.solvent_mask)[:half]
    np.testing.assert_allclose(state.volumes[:, :half], np.stack([outside] * 3), atol=1e-5)
    assert np.ptp(state.volumes[:, half:], axis=0).max() > 0.01
    assert clipped_fraction(focus, prepared[1].solvent_mask) > 0.5
    with pytest.raises(ValueError, match="no voxel inside the solvent mask"):
        make_scene(prepared[1].volume, prepared[1].solvent_mask, 0 * focus)


def test_reorder_by_size(engine, scene):
    result = history(engine, scene, reorder_by_size=True)
    sizes = np.bincount(result.labels, minlength=3)
    assert np.all(np.diff(sizes) <= 0)
    # What the record says of the classes follows their new numbers.
    assert np.array_equal(np.argsort(result.history[-1].class_sizes)[::-1], [0, 1, 2])
    assert np.array_equal(result.flow[-1].sum(0), result.history[-1].class_sizes)
    assert np.array_equal(result.labels, result.posteriors.argmax(1))


def test_fsc_filter_lowers_noise(engine, scene):
    options = [dataclasses.replace(QUICK, fsc_filter=on) for on in (True, False)]
    on, off = (start_runs(engine, scene, [Run(3, 0)], o)[0].volumes for o in options)
    assert (on**2).mean() < (off**2).mean()


def test_a_dead_class_is_named(engine, scene):
    run = Run(3, 0)
    (state,) = start_runs(engine, scene, [run], QUICK)
    # A class far from all data wins no particle.
    volumes = state.volumes.copy()
    volumes[2] = -5 * np.asarray(scene.mean_map * scene.solvent_mask)
    dead = dataclasses.replace(state, volumes=volumes)
    plain = dataclasses.replace(QUICK, full_iterations=1, online_epochs=0, anneal_until=0)
    (warned,) = classify(engine, scene, [run], plain, resume=[dead])
    assert any(w.startswith("class 3 is dead") for w in warned.warnings)
    assert dead_classes(np.array([500.0, 3.0]), 503) == [1]


def dead_states(engine, scene, dead, options):
    """One iteration after classes that lie far from all data."""
    (state,) = start_runs(engine, scene, [Run(3, 0)], options)
    volumes = state.volumes.copy()
    volumes[dead] = -5 * np.asarray(scene.mean_map * scene.solvent_mask)
    return iterate(engine, scene, [dataclasses.replace(state, volumes=volumes)], options)[0]


RESEED = dataclasses.replace(
    QUICK,
    dead_class="reseed",
    full_iterations=6,
    online_epochs=0,
    anneal_until=0,
    switch_convergence=0.0,
    rms_convergence=0.0,
)


@pytest.mark.parametrize("dead", [[1, 2], [0, 1]])
def test_several_dead_classes_get_maps_of_their_own(engine, scene, dead):
    state = dead_states(engine, scene, dead, RESEED)
    assert state.history[-1].reseeded == tuple(dead)
    assert not np.array_equal(*state.volumes[dead])
    assert state.volumes[dead].std((1, 2, 3)).min() > 0.5 * state.volumes.std((1, 2, 3)).max()
    np.testing.assert_allclose(state.class_weights.sum(), 1, rtol=1e-5)
    for _ in range(3):
        (state,) = iterate(engine, scene, [state], RESEED)
    assert min(state.history[-1].class_sizes) > 10
    (result,) = finish(engine, scene, [state], RESEED)
    assert any("started anew after iteration 1" in w for w in result.warnings)


def test_a_reseeded_class_does_not_follow_the_half_sets(prepare):
    one = simulate(phantom(1, 32, seed=1), 800, seed=3, pixel_size=8.0, snr=0.3)
    particles, mean = prepare(one)
    scene = make_scene(mean.volume, mean.solvent_mask)
    engine = make_engine(particles)
    state = dead_states(engine, scene, [1, 2], RESEED)
    (result,) = finish(engine, scene, [state], RESEED)
    share = [np.mean(particles.half[result.labels == k] == 1) for k in range(3)]
    assert np.ptp(share) < 0.2, share


def test_nothing_is_reseeded_in_the_last_iteration_or_without_a_living_class(engine, scene):
    last = dataclasses.replace(RESEED, full_iterations=1)
    assert not dead_states(engine, scene, [2], last).history[-1].reseeded
    few = make_engine(engine.particles.subset(np.arange(12)))
    (state,) = start_runs(few, scene, [Run(3, 0)], RESEED)
    (state,) = iterate(few, scene, [state], RESEED)
    assert np.isfinite(state.volumes).all() and not state.history[-1].reseeded


def test_first_maps_come_from_the_particles_in_use(prepared):
    few = make_engine(prepared[0], particle_limit=60, block_pixels=15_000)
    columns = _subsets(few, (0, 3), 20, 3)
    assert columns.sum(0).tolist() == [20, 20, 20]
    assert not columns[np.setdiff1d(np.arange(900), few.layout.rows)].any()


def test_particle_limit_still_assigns_everyone(engine, scene, prepared):
    few = make_engine(prepared[0], particle_limit=300, block_pixels=15_000)
    (result,) = classify(few, scene, [Run(3, 0)], QUICK, everyone=engine)
    assert len(result.labels) == engine.particles.n
    assert result.labels.min() >= 0
    assert result.history[-1].particles == 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial": "magic"}, "initial: found 'magic'"),
        ({"dead_class": "bury"}, "dead_class: found 'bury'"),
        ({"reorder_by_size": True, "write_each_iteration": True}, "reorder_by_size: found on"),
    ],
)
def test_contradictory_options(changes, message):
    with pytest.raises(ValueError, match=message):
        Em3dOptions(**changes)


def test_more_classes_than_particles(engine, scene):
    with pytest.raises(ValueError, match=r"n_classes: found 1000, expected at most the 900"):
        start_runs(engine, scene, [Run(1000, 0)], QUICK)
    few = make_engine(engine.particles, particle_limit=2)
    with pytest.raises(ValueError, match=r"n_classes: found 3, expected at most the 2"):
        start_runs(few, scene, [Run(3, 0)], QUICK)
    pca = dataclasses.replace(QUICK, initial="pca", pca_reconstructions=3)
    with pytest.raises(ValueError, match="pca_reconstructions: found 3, expected at least the 5"):
        start_runs(engine, scene, [Run(5, 0)], pca)


def test_class_flow_counts_every_particle(results):
    for result in results[1]:
        n_full = sum(h.stage == "full" for h in result.history)
        assert len(result.flow) == n_full - 1
        assert all(f.sum() == len(result.labels) for f in result.flow)
