"""3D classification: recovered states, the same bits however it is run, every option."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.classify.em3d.iterations import classify
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import start_runs
from emjax.classify.em3d.state import Run
from emjax.classify.operators.passes import make_engine

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
    """Blocks are made in each pass, and the runs' columns alternate."""
    runs, found, _ = results
    frugal = make_engine(prepared[0], 1e-6, block_pixels=15_000)
    assert len(list(frugal.portions([run.n_classes for run in runs]))) == 2
    results_again = classify(frugal, scene, runs, QUICK)
    assert all(same(a, b) for a, b in zip(results_again, found, strict=True))


def test_a_restart_gives_the_same_bits(engine, scene, results):
    runs, found, states = results
    resumed = classify(engine, scene, runs, QUICK, resume=states[2])
    assert all(same(a, b) for a, b in zip(resumed, found, strict=True))


def test_first_maps_are_shown_once_before_the_first_iteration(engine, scene):
    calls = []
    listeners = {
        "on_start": lambda states: calls.append(("start", states)),
        "on_iteration": lambda states: calls.append(("iteration", states)),
    }
    short = {"full_iterations": 1, "last_iterations": 0, "start_resolution": None}
    options = dataclasses.replace(QUICK, **short)
    (found,) = classify(engine, scene, [Run(2, 0)], options, **listeners)
    assert [kind for kind, _ in calls] == ["start", "iteration", "iteration"]
    (state,) = start_runs(engine, scene, [Run(2, 0)], options)
    np.testing.assert_array_equal(calls[0][1][0].volumes, state.volumes)
    assert found.facts["initial_differences"] == list(state.initial_differences)
    classify(engine, scene, [Run(2, 0)], options, resume=calls[1][1], **listeners)
    assert [kind for kind, _ in calls].count("start") == 1


def test_posteriors_sum_to_one_and_labels_are_their_maxima(results):
    for result in results[1]:
        # Float32 softmax.
        np.testing.assert_allclose(result.posteriors.sum(1), 1, atol=1e-5)
        assert np.array_equal(result.labels, result.posteriors.argmax(1))


def test_likelihood_rises_after_annealing(engine, scene):
    """No iteration lowers it by more than 1e-3 of the gain over the first.

    The per-voxel M-step is not exact: masks, interpolation, FSC filter.
    """
    exact = {"anneal_until": 0, "switch_convergence": 0.0, "last_iterations": 0}
    options = dataclasses.replace(QUICK, online_epochs=0, **exact)
    (result,) = classify(engine, scene, [Run(3, 0)], options)
    likelihood = np.array([h.log_likelihood for h in result.history])
    gain = likelihood[-1] - likelihood[0]
    assert gain > 0
    assert np.diff(likelihood).min() > -1e-3 * gain


def history(engine, scene, **changes):
    (result,) = classify(engine, scene, [Run(3, 0)], dataclasses.replace(QUICK, **changes))
    return result


def test_online_epochs_run_mini_batches_first(engine, scene):
    with_online = history(engine, scene, full_iterations=2)
    stages = [h.stage for h in with_online.history]
    assert stages[0] == "online"
    assert stages[-4:] == ["full", "full", "last", "last"]
    assert with_online.history[0].particles < engine.particles.n
    changes = {"full_iterations": 2, "online_epochs": 0}
    for none in ({"last_iterations": 0}, {"fsc_filter": False}):
        found = history(engine, scene, **changes, **none)
        assert [h.stage for h in found.history] == ["full", "full"]


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


def test_hard_posteriors_are_zero_or_one(engine, scene):
    result = history(engine, scene, hard=True)
    assert set(np.unique(result.posteriors)) == {0.0, 1.0}


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


def test_seeds_of_given_maps_differ_by_the_order_of_their_mini_batches(engine, scene, results):
    options = dataclasses.replace(QUICK, initial="input", full_iterations=2)
    truth = results[1][0].maps
    runs = [Run(3, seed) for seed in (0, 1, 2)]
    given = dict.fromkeys(runs, truth)
    found = classify(engine, scene, runs, options, initial_volumes=given)
    assert len(engine.layout.batches(300)) > 1
    assert not same(found[0], found[1]) and not same(found[1], found[2])
    (alone,) = classify(engine, scene, runs[2:], options, initial_volumes=given)
    assert same(alone, found[2])
    # Without mini-batches nothing is left to chance: the consensus counts such runs once.
    still = dataclasses.replace(options, online_epochs=0)
    one, other = classify(engine, scene, runs[:2], still, initial_volumes=given)
    assert same(one, other)


def test_particle_limit_still_assigns_everyone(engine, scene, prepared):
    few = make_engine(prepared[0], particle_limit=300, block_pixels=15_000)
    (result,) = classify(few, scene, [Run(3, 0)], QUICK, everyone=engine)
    assert len(result.labels) == engine.particles.n
    assert result.labels.min() >= 0
    assert result.history[-1].particles == 300
