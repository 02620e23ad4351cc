"""M-step: maps filtered, symmetrised and masked."""

import dataclasses

import numpy as np
import pytest

from emjax.classify.em3d.expectation import insert_columns
from emjax.classify.em3d.iterations import iterate
from emjax.classify.em3d.maximisation import mask_volumes, solve_classes, solve_differences
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import start_runs
from emjax.classify.em3d.state import Run, clipped_fraction, make_scene

QUICK = Em3dOptions(particles_per_reconstruction=150, online_batch_per_class=100)


def test_fsc_filter_lowers_noise(engine, scene):
    options = [dataclasses.replace(QUICK, fsc_filter=on) for on in (True, False)]
    on, off = (start_runs(engine, scene, [Run(3, 0)], o)[0].volumes for o in options)
    assert (on**2).mean() < (off**2).mean()


def test_differences_of_classes_are_filtered_by_what_they_share(engine, scene, simulation):
    states, columns = np.asarray(simulation.states), slice(0, 3)
    spread = {}
    for name, labels in (
        ("true", states),
        ("random", np.random.default_rng(0).permutation(states)),
    ):
        sums = insert_columns(engine, labels[:, None] == np.arange(3))
        for filtered in (True, False):
            maps = (
                solve_differences(sums, columns, scene, engine.grid, "C1")
                if filtered
                else solve_classes(sums, columns, scene, engine.grid, QUICK)[0]
            )
            masked = np.asarray(mask_volumes(maps, scene))
            spread[name, filtered] = np.std(masked - masked.mean(0))
    assert spread["random", True] < 0.5 * spread["random", False]
    assert spread["true", True] > 0.8 * spread["true", False]


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
