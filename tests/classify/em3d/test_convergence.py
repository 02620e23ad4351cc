"""Stopping rules, dead classes, and the warnings of a finished run."""

import dataclasses

import numpy as np
import pytest

from emjax.classify.em3d.convergence import advance, dead_classes
from emjax.classify.em3d.expectation import Tally
from emjax.classify.em3d.iterations import classify, finish, iterate
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import start_runs
from emjax.classify.em3d.state import Run, RunState, Stage, make_scene
from emjax.classify.operators.passes import make_engine
from emjax.simulate.particles import phantom, simulate

QUICK = Em3dOptions(particles_per_reconstruction=150, online_batch_per_class=100)
THREE = Run(3, 0)


def found(engine, scene, run=THREE, **changes):
    """Result of a short run."""
    (result,) = classify(engine, scene, [run], dataclasses.replace(QUICK, **changes))
    return result


@pytest.mark.parametrize(
    "rule", [{"switch_convergence": 1.0, "rms_convergence": 0.0}, {"rms_convergence": 100.0}]
)
def test_either_stopping_rule_stops(engine, scene, rule):
    loose = found(engine, scene, anneal_until=0, online_epochs=0, **rule)
    assert loose.converged
    assert [h.stage for h in loose.history] == ["full", "full", "last", "last"]


def test_shares_forget_at_the_rate_of_the_maps(scene):
    """A mini-batch without a class takes the rate's part of its share, not all of it."""
    shares, labels = np.array([0.6, 0.4], np.float32), np.zeros(4, np.int32)
    volumes = np.zeros((2, *scene.mean_map.shape), np.float32)
    state = RunState(Run(2, 0), volumes, shares, labels)
    tally = Tally(0, labels, np.array([4.0, 0.0]))
    batch = (state, tally, volumes, np.ones((2, 4)), scene, QUICK, Stage.ONLINE)
    np.testing.assert_allclose(advance(*batch, 0.25).class_weights, [0.7, 0.3], rtol=1e-6)
    np.testing.assert_allclose(advance(*batch).class_weights, [1, 0])


def test_reorder_by_size(engine, scene):
    result = found(engine, scene, reorder_by_size=True)
    sizes = np.bincount(result.labels, minlength=3)
    assert np.all(np.diff(sizes) <= 0)
    # What the record says of the classes follows their new numbers.
    assert np.array_equal(np.argsort(result.history[-1].class_sizes)[::-1], [0, 1, 2])
    assert np.array_equal(np.sum(result.history[-1].flow, 0), result.history[-1].class_sizes)
    plain = found(engine, scene)
    numbers = np.array(result.facts["initial_numbers"])
    assert plain.facts["initial_numbers"] == [1, 2, 3] and sorted(numbers) == [1, 2, 3]
    before = np.array(plain.facts["initial_differences"])
    assert result.facts["initial_differences"] == before[numbers - 1].tolist()
    assert np.array_equal(plain.class_sizes[numbers - 1], result.class_sizes)
    assert np.array_equal(result.labels, result.posteriors.argmax(1))


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


def test_a_stop_amid_switching_is_warned_of(engine, scene):
    rule = {"online_epochs": 0, "anneal_until": 0, "full_iterations": 4, "rms_convergence": 100.0}
    early = found(engine, scene, switch_convergence=0.001, **rule)
    assert any(w.startswith("rms_convergence stopped it while ") for w in early.warnings)
    wanted = found(engine, scene, switch_convergence=0.0, **rule)
    assert not any(w.startswith("rms_convergence") for w in wanted.warnings)


def test_too_many_classes_for_the_particles_are_warned_of(engine, scene):
    result = found(engine, scene, Run(100, 0), online_epochs=0, full_iterations=1)
    warning = "n_classes: 100 classes are more than 900 particles can fill; with fewer than 10"
    assert any(w.startswith(warning) for w in result.warnings)


def test_a_focus_mask_outside_the_solvent_is_warned_of(engine, scene, prepared):
    solvent = np.zeros_like(prepared[1].solvent_mask)
    middle = len(solvent) // 2
    solvent[middle:] = 1

    def lines(focus):
        masks = make_scene(prepared[1].volume, solvent, focus)
        warnings = found(engine, masks, online_epochs=0, full_iterations=1).warnings
        return [w for w in warnings if w.startswith("masks.focus: ")]

    focus = np.zeros_like(solvent)
    focus[middle - 6 : middle + 2] = 1
    warning = "masks.focus: 75 % of it lies outside the solvent mask and has no effect"
    assert lines(focus) == [warning]
    focus[:middle] = 0
    assert lines(focus) == lines(None) == []
