"""Preparation of simulated particles: noise, scale, mean map, and what it refuses."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.errors import InputError, OptionError
from emjax.imaging.crop import crop_images, filter_radius, grid_for
from emjax.imaging.fsc import volume_fsc
from emjax.imaging.grids import cropped_box_size, resample
from emjax.imaging.maps import back_project, slicing_values
from emjax.imaging.masks import resample_mask
from emjax.imaging.particles import cropped_particles, split_halves, weights_of
from emjax.imaging.prepare import PrepareOptions, estimate
from emjax.imaging.prepare import prepare as prepare_images
from emjax.imaging.projector import make_slices, slice_volume
from emjax.simulate.particles import coloured_noise

BOX, PIXEL, FILTER = 32, 6.0, 18.0


def residuals(particles, volume) -> np.ndarray:
    """|F − s·C·P·V·√(2/S)|² of each particle and pixel."""
    grid = particles.grid
    slices = make_slices(jnp.asarray(particles.rotations), grid)
    model = slice_volume(slicing_values(jnp.asarray(volume), grid), slices)
    return np.abs(particles.images - np.asarray(weights_of(particles, grid) * model)) ** 2


def test_residuals_have_power_two(prepared):
    particles, mean = prepared.particles, prepared.mean
    power = residuals(particles, mean.volume * mean.solvent_mask)
    # The mean map takes up part of the noise: thousands of voxels from 800 × 145 pixels.
    assert power.mean() == pytest.approx(2, abs=0.1)
    shells = np.asarray(particles.grid.pixel_shells)
    for s in range(1, particles.radius + 1):
        # 800 particles × at least 3 pixels: a standard error of 4 % in the first shell.
        assert power[:, shells == s].mean() == pytest.approx(2, abs=0.3)


def test_noise_is_that_of_the_simulation(prepared, simulation):
    particles, power = prepared.particles, prepared.image_power
    first, last = 2, particles.radius
    noise = coloured_noise(800, BOX, np.random.default_rng(0))
    nothing = np.zeros((800, 2)), np.zeros(800, np.int32)
    grid = grid_for(BOX, PIXEL, FILTER)
    out = np.empty((800, len(grid.kx)), np.complex64)
    pure, _ = crop_images(lambda rows: noise[rows], *nothing, PIXEL, grid, out)
    # The images hold signal too; a third of the particles' worth of shells has few pixels.
    ratio = particles.noise_power[0, first:last] / pure[0, first:last]
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert ratio.std() / ratio.mean() < 0.1
    assert (power[0, 2:6] > 1.2 * particles.noise_power[0, 2:6]).all()


def test_scale_is_recovered(prepared, simulation):
    particles = prepared.particles
    assert particles.scale.mean() == pytest.approx(1, abs=0.02)
    assert 0.05 < particles.scale.std() < 0.2
    assert np.corrcoef(particles.scale, simulation.scale)[0, 1] > 0.7


def test_scale_is_one_where_none_is_asked_for(simulation, prepare):
    found = prepare(simulation, kind="none")
    np.testing.assert_array_equal(found.particles.scale, 1)


def test_a_given_scale_is_kept(simulation, prepare):
    given = simulation.scale.astype(np.float32)
    found = prepare(simulation, kind="input", scale=given)
    np.testing.assert_array_equal(found.particles.scale, given)


def test_static_noise_is_the_power_of_the_images(simulation, prepare, prepared):
    found = prepare(simulation, static_noise=True)
    particles, power, fitted = found.particles, found.image_power, prepared.particles
    np.testing.assert_allclose(particles.noise_power[0, 1:], power[0, 1:13], rtol=1e-5)
    # The particle's own power counts as noise, most of it at low frequency.
    assert (particles.noise_power[0, 2:6] > 1.2 * fitted.noise_power[0, 2:6]).all()
    assert (fitted.noise_power[0, 1:] < 1.02 * particles.noise_power[0, 1:]).all()


def test_the_mean_map_has_the_point_group(simulation, prepare):
    """Quarter turns about z permute voxels; the first plane of an even box has no mate."""
    for name, symmetric in (("C1", False), ("C4", True)):
        volume = prepare(simulation, symmetry=name, rounds=1).mean.volume[1:, 1:, 1:]
        difference = np.abs(np.rot90(volume, axes=(1, 2)) - volume).max() / volume.max()
        assert bool(difference < 1e-4) == symmetric


def test_mean_map_is_the_truth(prepared, volume):
    particles, mean = prepared.particles, prepared.mean
    assert particles.box_size == cropped_box_size(particles.radius)
    assert particles.extent == pytest.approx(BOX * PIXEL)
    truth = resample(volume, particles.box_size) * mean.solvent_mask
    fsc = volume_fsc(mean.volume * mean.solvent_mask, truth)
    assert (fsc[1:8] > 0.98).all() and fsc[8] > 0.95
    assert (mean.fsc[1:7] > 0.95).all()
    assert mean.solvent_mask.min() >= 0 and mean.solvent_mask.max() == 1
    for half in mean.half_maps:
        assert (volume_fsc(half * mean.solvent_mask, mean.volume)[1:7] > 0.9).all()


def test_noise_reaches_nyquist(prepared):
    particles, power = prepared.particles, prepared.image_power
    kept = particles.radius + 3
    assert power.shape == prepared.noise_power.shape == (1, BOX // 2)
    np.testing.assert_array_equal(prepared.noise_power[:, :kept], particles.noise_power)
    np.testing.assert_array_equal(prepared.noise_power[:, kept:], power[:, kept:])


def test_images_go_where_they_are_wanted_and_a_mask_may_have_any_box(simulation, prepared):
    whole = simulation.aligned()
    images = dataclasses.replace(whole, half=np.arange(whole.n) % 2 + 1)
    out = np.empty_like(prepared.particles.images)
    mask = resample_mask(prepared.mean.solvent_mask, BOX)
    found = prepare_images(images, PrepareOptions(FILTER), mask, out)
    assert found.particles.images is out
    # The automatic mask, resampled forth and back.
    size = found.particles.box_size
    np.testing.assert_array_equal(found.mean.solvent_mask, resample_mask(mask, size))


def test_half_sets_that_are_not_given_are_drawn_by_image(simulation):
    images = dataclasses.replace(simulation.aligned(), identity=np.arange(800) // 2)
    halves = [
        prepare_images(images, PrepareOptions(FILTER, split_seed=s)).particles.half for s in (0, 1)
    ]
    for half in halves:
        np.testing.assert_array_equal(half[::2], half[1::2])
    assert not np.array_equal(*halves)


@pytest.mark.parametrize("changes", [{"scale": "best"}, {"symmetry": "Q"}, {"bad_images": "mend"}])
def test_unknown_options_are_refused(changes):
    (name,) = changes
    with pytest.raises(OptionError, match=f"^{name}: found '{changes[name]}', expected"):
        PrepareOptions(FILTER, **changes)


def test_groups_have_noise_of_their_own(simulation, prepare):
    """The second group's images are three times as strong; a third holds four particles."""
    group = (np.arange(800) % 2).astype(np.int32)
    group[[10, 200, 401, 701]] = 2
    factor = np.where(group == 1, 3, 1).astype(np.float32)
    louder = dataclasses.replace(simulation, images=simulation.images * factor[:, None, None])
    found = prepare(louder, group)
    particles, mean = found.particles, found.mean
    ratio = particles.noise_power[1, 2:9] / particles.noise_power[0, 2:9]
    np.testing.assert_allclose(ratio, 9, rtol=0.15)
    few = particles.noise_power[2, 1:9] / particles.noise_power[0, 1:9]
    # 4 particles with 3 pixels in the first shell: the pooled spectrum steadies theirs.
    assert (few > 0.4).all() and (few < 2.5).all()
    assert np.isfinite(mean.volume).all()


def test_a_chunk_more_or_less_changes_nothing(simulation, prepare, prepared, monkeypatch):
    first = prepared.particles
    monkeypatch.setattr("emjax.imaging.prepare.CHUNK", 96)
    monkeypatch.setattr("emjax.imaging.maps.CHUNK", 96)
    monkeypatch.setattr("emjax.imaging.crop.READ_PIXELS", 70 * BOX**2)
    second = prepare(simulation).particles
    # Sums of other lengths, in float32.
    np.testing.assert_allclose(second.images, first.images, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(second.scale, first.scale, rtol=1e-3)


def test_a_large_offset_costs_no_digits(simulation):
    grid = grid_for(BOX, PIXEL, FILTER)

    def crop(images):
        out = np.empty((50, len(grid.kx)), np.complex64)
        power, _ = crop_images(
            lambda rows: images[rows],
            simulation.shifts[:50],
            np.zeros(50, np.int32),
            PIXEL,
            grid,
            out,
        )
        return out, power

    plain, power = crop(simulation.images[:50])
    # An exact multiple of the images' last digit.
    offset, power_offset = crop(np.round(simulation.images[:50] * 512) / 512 + 8192)
    np.testing.assert_allclose(offset, plain, atol=0.1)
    np.testing.assert_allclose(power_offset, power, rtol=1e-3)


def test_mates_of_the_plane_are_added(prepared):
    particles = prepared.particles
    grid = particles.grid
    numerator, denominator = back_project(particles, grid)
    kxyz = np.asarray(grid.kxyz)
    plane = np.flatnonzero(kxyz[:, 0] == 0)
    row = {tuple(k): i for i, k in enumerate(kxyz.tolist())}
    mates = [row[tuple((-kxyz[i]).tolist())] for i in plane]
    np.testing.assert_allclose(numerator[:, plane], numerator[:, mates].conj(), rtol=1e-5)
    np.testing.assert_allclose(denominator[:, plane], denominator[:, mates], rtol=1e-5)


def cropped(simulation, rows, weight):
    """Some of the images as `estimate` takes them, and their power."""
    grid = grid_for(BOX, PIXEL, FILTER)
    out = np.empty((len(rows), len(grid.kx)), np.complex64)
    group = (rows % 3).astype(np.int32)
    read = lambda m: simulation.images[rows[m]]  # noqa: E731
    power, _ = crop_images(read, simulation.shifts[rows], group, PIXEL, grid, out)
    particles = cropped_particles(
        out,
        simulation.rotations[rows],
        simulation.ctf.take(rows),
        rows % 2 + 1,
        group,
        BOX,
        PIXEL,
        grid.radius,
        weight=weight,
    )
    return particles, power


def test_a_particle_of_weight_zero_is_as_if_it_were_not_there(simulation):
    weight = np.where(np.arange(700) % 5, np.where(np.arange(700) % 4, 1, 0.3), 0)
    everyone, power = cropped(simulation, np.arange(700), weight)
    used = np.flatnonzero(weight)
    alone, _ = cropped(simulation, used, weight[used])
    everyone.images[weight == 0] *= 1e4
    options = PrepareOptions(FILTER)
    (first, mean), (second, without) = (estimate(p, power, options) for p in (everyone, alone))
    np.testing.assert_array_equal(first.noise_power, second.noise_power)
    np.testing.assert_array_equal(first.scale[used], second.scale)
    np.testing.assert_array_equal(first.images[used], second.images)
    np.testing.assert_array_equal(mean.volume, without.volume)
    np.testing.assert_array_equal(mean.half_maps, without.half_maps)


def test_two_of_half_the_weight_are_one(simulation):
    rows = np.arange(600)
    once, _ = cropped(simulation, rows, np.ones(600))
    twice, _ = cropped(simulation, np.concatenate([rows, rows]), np.full(1200, 0.5))
    for one, two in zip(*(back_project(p, p.grid) for p in (once, twice)), strict=True):
        # Sums in another order, in float32.
        np.testing.assert_allclose(two, one, atol=1e-5 * np.abs(one).max())


def test_a_half_set_of_no_weight_is_reported(simulation):
    particles, _ = cropped(simulation, np.arange(20), np.arange(20) % 2.0)
    with pytest.raises(InputError, match="half-set 1: found no particle of weight above 0"):
        back_project(particles, particles.grid)


def test_bad_images_are_as_if_they_were_not_there(simulation):
    bad = np.arange(3, 800, 40)
    images = simulation.images.copy()
    images[bad[:5]] *= 1000
    images[bad[5:10]] = np.nan
    images[bad[10:15]] = 0
    images[bad[15:], 20, 7] = 500
    used = np.delete(np.arange(800), bad)
    whole = dataclasses.replace(simulation.aligned(), half=np.arange(800) // 3 % 2 + 1)
    ctf = whole.ctf.take(used)
    part = dataclasses.replace(
        whole,
        read=lambda rows: simulation.images[used[rows]],
        rotations=whole.rotations[used],
        shifts=whole.shifts[used],
        ctf=ctf,
        half=whole.half[used],
    )
    spoiled = dataclasses.replace(whole, read=lambda rows: images[rows])
    found, without = (prepare_images(one, PrepareOptions(FILTER)) for one in (spoiled, part))
    assert found.bad_images.rows.tolist() == bad.tolist()
    assert len(without.bad_images) == 0
    np.testing.assert_array_equal(found.particles.weight, ~np.isin(np.arange(800), bad))
    np.testing.assert_array_equal(found.particles.half, whole.half)
    np.testing.assert_array_equal(found.particles.images[bad], 0)
    np.testing.assert_array_equal(found.particles.scale[bad], 1)
    # Sums of chunks of other lengths, in float32.
    for one, other in (
        (found.image_power, without.image_power),
        (found.noise_power, without.noise_power),
        (found.particles.images[used], without.particles.images),
        (found.particles.scale[used], without.particles.scale),
        (found.mean.volume, without.mean.volume),
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


def test_bad_images_can_be_refused(simulation):
    images = simulation.images.copy()
    images[33] = np.nan
    spoiled = dataclasses.replace(simulation.aligned(), read=lambda rows: images[rows])
    with pytest.raises(InputError, match=r"1 of 800 .*: image of particle 34 \(not finite\)"):
        prepare_images(spoiled, PrepareOptions(FILTER, bad_images="error"))


def test_many_bad_images_are_refused(simulation):
    images = simulation.images.copy()
    images[:60] *= 100
    spoiled = dataclasses.replace(simulation.aligned(), read=lambda rows: images[rows])
    with pytest.raises(InputError, match=r"60 of 800 .* expected at most 40"):
        prepare_images(spoiled, PrepareOptions(FILTER))


def test_filter_resolution_must_fit():
    assert filter_radius(64, 6.0, 24.0) == 16
    with pytest.raises(ValueError, match="beyond Nyquist"):
        filter_radius(64, 6.0, 12.0)
    with pytest.raises(ValueError, match="leaves 3 shells"):
        filter_radius(64, 6.0, 120.0)


@given(st.lists(st.integers(0, 20), min_size=4, max_size=60), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_copies_stay_in_one_half(images, seed):
    identity = np.array([f"{i:06d}@stack.mrcs" for i in [*images, 98, 99]])
    half = split_halves(np.zeros(len(identity), np.int8), identity, seed)
    assert set(half.tolist()) == {1, 2}
    for key in np.unique(identity):
        assert len(set(half[identity == key].tolist())) == 1
    unique = [half[np.flatnonzero(identity == k)[0]] for k in np.unique(identity)]
    assert abs(np.sum(np.array(unique) == 1) - len(unique) / 2) < 1
    np.testing.assert_array_equal(half, split_halves(half, identity, seed + 1))


def test_another_seed_splits_otherwise():
    identity = np.arange(40).astype(str)
    one, other = (split_halves(np.zeros(40, np.int8), identity, seed) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_a_known_half_draws_its_copies():
    identity = np.array(["a", "a", "b", "b", "c", "d"])
    half = split_halves(np.array([0, 2, 1, 0, 0, 0], np.int8), identity, 0)
    np.testing.assert_array_equal(half[:4], [2, 2, 1, 1])


def test_an_empty_half_is_reported():
    with pytest.raises(ValueError, match="half-set 2: found no particle"):
        split_halves(np.ones(4, np.int8), np.array(list("abcd")), 0)
