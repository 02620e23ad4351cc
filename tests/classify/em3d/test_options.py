"""Every option of a 3D classification changes the result in the way it should."""

import dataclasses

import numpy as np
import pytest

from emjax.classify.em3d.iterations import classify
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import start_runs
from emjax.classify.em3d.state import Run, Stage
from emjax.classify.operators.passes import make_engine

QUICK = Em3dOptions(
    particles_per_reconstruction=150, online_batch_per_class=50, full_iterations=1, anneal_until=0
)

THREE = Run(3, 0)


def first_maps(engine, scene, run=THREE, **changes):
    """Maps that a run starts from."""
    options = dataclasses.replace(QUICK, **changes)
    return start_runs(engine, scene, [run], options)[0].volumes


def found(engine, scene, run=THREE, **changes):
    """Result of a short run."""
    return classify(engine, scene, [run], dataclasses.replace(QUICK, **changes))[0]


def online_changes(result):
    """RMS change of the maps in each online iteration after the first."""
    return [h.rms_change for h in result.history if h.stage == "online"][1:]


def ambiguity(record) -> float:
    """Mean effective number of classes of a particle, from the histogram of an iteration."""
    counts = np.array(record.ess_histogram)
    return float(counts @ np.linspace(1.1, 2.9, 10) / counts.sum())


@pytest.mark.slow
def test_smaller_mini_batches_are_more(scene, prepared):
    fine = make_engine(prepared[0], block_pixels=3_000)
    small, large = (found(fine, scene, online_batch_per_class=n) for n in (30, 200))
    n_small, n_large = (len(online_changes(r)) + 1 for r in (small, large))
    assert n_small > 2 * n_large
    assert small.history[0].particles < large.history[0].particles


def test_a_short_halflife_calms_the_last_mini_batches(engine, scene):
    short, long = (
        online_changes(found(engine, scene, learning_rate_halflife=h)) for h in (0.1, 10.0)
    )
    assert short[-1] < 0.5 * long[-1]


def test_class_similarity_makes_the_first_classes_similar(engine, scene):
    sure, similar = (
        found(engine, scene, online_epochs=0, class_similarity=b, anneal_until=5).history[0]
        for b in (0.0, 0.95)
    )
    assert ambiguity(similar) > ambiguity(sure) + 0.2


def test_annealing_ends_where_it_should_and_nothing_converges_before(engine, scene):
    loose = {"online_epochs": 0, "full_iterations": 6, "switch_convergence": 1.0}
    early, late = (found(engine, scene, anneal_until=n, **loose) for n in (1, 4))
    assert [h.class_similarity for h in late.history[:5]] == [0.5, 0.375, 0.25, 0.125, 0]
    early_search, late_search = (
        [h for h in result.history if h.stage is not Stage.LAST] for result in (early, late)
    )
    assert len(early_search) < len(late_search) == 5
    assert early.converged and late.converged


def test_a_highpass_hides_coarse_differences(engine, scene, prepared):
    """Without the coarse shells the classes differ less in likelihood: less is gained."""
    filtered = make_engine(prepared[0], highpass_resolution=60.0, block_pixels=15_000)
    all_of_it, part = (found(e, scene, online_epochs=0) for e in (engine, filtered))
    assert part.log_likelihood < 0.8 * all_of_it.log_likelihood


def test_wrong_point_group():
    with pytest.raises(ValueError, match="symmetry: found 'C'"):
        Em3dOptions(symmetry="C")


def test_similarity_falls_to_zero():
    options = Em3dOptions(class_similarity=0.5, anneal_until=10)
    assert options.similarity(1) == 0.5
    assert options.similarity(11) == 0
    assert all(options.similarity(i) > options.similarity(i + 1) for i in range(1, 11))


def test_learning_rate_halves():
    options = Em3dOptions(learning_rate=0.4, learning_rate_halflife=0.5)
    assert options.rate(1, 8) == 0.4
    assert options.rate(5, 8) == pytest.approx(0.2)


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
