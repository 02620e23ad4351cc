"""Every option of a 3D classification changes the result in the way it should."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.classify.em3d.iterations import classify, iterate
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import _mixture_means, start_runs
from emjax.classify.em3d.state import Run, make_scene
from emjax.classify.operators.passes import make_engine
from emjax.imaging.grids import resample
from emjax.simulate.particles import phantom

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


@pytest.mark.slow
def test_more_pca_reconstructions_leave_less_noise(engine, scene):
    options = {"initial": "pca", "particles_per_reconstruction": 40, "fsc_filter": False}
    few, many = (
        first_maps(engine, scene, Run(2, 0), pca_reconstructions=n, **options) for n in (4, 48)
    )
    assert spread(many, scene) < 0.7 * spread(few, scene)


def test_pca_components_are_those_the_mixture_sees(scene):
    """Groups that differ along the second component are told apart with two, not with one."""
    d = scene.mean_map.shape[0]
    rng = np.random.default_rng(0)
    table = rng.normal(0, 0.01, (60, d**3)).astype(np.float32)
    table[:, 0] += np.linspace(-3.8, 3.8, 60)
    table[:, 1] += 4 * (np.arange(60) % 2)

    def gap(n_components):
        maps = np.asarray(_mixture_means(table, Run(2, 0), scene, n_components)).reshape(2, -1)
        return abs(maps[0, 1] - maps[1, 1])

    assert gap(1) < 2
    assert gap(2) > 3.9


@pytest.mark.slow
def test_variability_starts_nearer_to_the_states(engine, scene, prepared):
    """Share of the true differences that lies in the span of the first maps' differences."""
    size = prepared[0].box_size
    mask = np.asarray(scene.solvent_mask)
    shares = {}
    for initial in ("simple", "variability"):
        maps = first_maps(engine, scene, initial=initial)
        gaps = (maps[1:] - maps[:1]).reshape(2, -1)
        basis = np.linalg.svd(gaps, full_matrices=False)[2]
        truth = np.stack([resample(v, size) * mask for v in phantom(3, 32, seed=1)])
        wanted = (truth[1:] - truth[:1]).reshape(2, -1)
        shares[initial] = np.sum((wanted @ basis.T) ** 2) / np.sum(wanted**2)
    assert shares["variability"] > 0.6
    assert shares["variability"] > 2 * shares["simple"]


@pytest.mark.slow
def test_variability_finds_the_states_from_any_seed(engine, scene, simulation):
    runs = [Run(3, seed) for seed in range(3)]
    options = dataclasses.replace(QUICK, initial="variability", full_iterations=10)
    for result in classify(engine, scene, runs, options):
        assert adjusted_rand_score(simulation.states, result.labels) > 0.9


def test_initial_lowpass_holds_for_given_maps(engine, scene):
    run, rough = Run(3, 0), first_maps(engine, scene)
    options = dataclasses.replace(QUICK, initial="input", initial_lowpass=80.0)
    (state,) = start_runs(engine, scene, [run], options, {run: rough})
    assert np.abs(np.diff(state.volumes, axis=1)).mean() < np.abs(np.diff(rough, axis=1)).mean()


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


def test_class_similarity_makes_the_first_classes_alike(engine, scene):
    sure, alike = (
        found(engine, scene, online_epochs=0, class_similarity=b, anneal_until=5).history[0]
        for b in (0.0, 0.95)
    )
    assert ambiguity(alike) > ambiguity(sure) + 0.2


def test_annealing_ends_where_it_is_told_to_and_nothing_converges_before(engine, scene):
    loose = {"online_epochs": 0, "full_iterations": 6, "switch_convergence": 1.0}
    early, late = (found(engine, scene, anneal_until=n, **loose) for n in (1, 4))
    assert [h.class_similarity for h in late.history[:5]] == [0.5, 0.375, 0.25, 0.125, 0]
    assert len(early.history) < len(late.history) == 5
    assert early.converged and late.converged


def test_a_highpass_hides_coarse_differences(engine, scene, prepared):
    """Without the coarse shells the classes differ less in likelihood: less is gained."""
    filtered = make_engine(prepared[0], highpass_resolution=60.0, block_pixels=15_000)
    all_of_it, part = (found(e, scene, online_epochs=0) for e in (engine, filtered))
    assert part.log_likelihood < 0.8 * all_of_it.log_likelihood


def test_the_point_group_is_that_of_the_maps(engine, scene):
    """Quarter turns about z permute voxels, up to the plane that an even box has no mate of."""
    for symmetry, same in (("C1", False), ("C4", True)):
        (state,) = iterate(
            engine,
            make_scene(np.asarray(scene.mean_map), np.ones_like(scene.mean_map)),
            start_runs(engine, scene, [Run(2, 0)], QUICK),
            dataclasses.replace(QUICK, symmetry=symmetry),
        )
        inner = state.volumes[0][1:, 1:, 1:]
        turned = np.rot90(inner, axes=(1, 2))
        difference = np.abs(turned - inner).max() / np.abs(inner).max()
        # Float32 transforms.
        assert bool(difference < 1e-4) == same


def test_wrong_point_group():
    with pytest.raises(ValueError, match="symmetry: found 'C'"):
        Em3dOptions(symmetry="C")


def test_a_stop_amid_switching_is_warned_of(engine, scene):
    rule = {"online_epochs": 0, "full_iterations": 4, "rms_convergence": 100.0}
    early = found(engine, scene, switch_convergence=0.001, **rule)
    assert any(w.startswith("rms_convergence stopped it while ") for w in early.warnings)
    wanted = found(engine, scene, switch_convergence=0.0, **rule)
    assert not any(w.startswith("rms_convergence") for w in wanted.warnings)


def test_too_many_classes_for_the_particles_are_warned_of(engine, scene):
    result = found(engine, scene, Run(100, 0), online_epochs=0)
    told = "n_classes: 100 classes are more than 900 particles can fill; with fewer than 10"
    assert any(w.startswith(told) for w in result.warnings)


def test_a_focus_mask_outside_the_solvent_is_warned_of(engine, scene, prepared):
    mean, solvent = prepared[1].volume, prepared[1].solvent_mask
    outside = np.zeros_like(solvent)
    outside[: len(outside) // 2] = 1
    inside = (solvent > 0.99).astype(np.float32)
    for focus, warned in ((outside, True), (inside, False), (None, False)):
        result = found(engine, make_scene(mean, solvent, focus), online_epochs=0)
        lines = [w for w in result.warnings if w.startswith("masks.focus: ")]
        assert bool(lines) is warned
        if warned:
            part = 100 * (1 - (outside * solvent).sum() / outside.sum())
            assert lines == [
                f"masks.focus: {part:.0f} % of it lies outside the solvent mask and has no effect"
            ]
