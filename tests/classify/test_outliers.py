"""Particles that fit no map: set aside, found elsewhere, or kept."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import fisher_exact

from emjax.classify.outliers import (
    JUNK,
    POSE,
    OutlierOptions,
    _near,
    describe_outliers,
    find_outliers,
    leave_out,
)
from emjax.errors import OptionError
from emjax.imaging.crop import crop_images
from emjax.imaging.fsc import volume_fsc
from emjax.imaging.grids import resample
from emjax.imaging.prepare import Prepared, PrepareOptions
from emjax.imaging.prepare import prepare as prepare_images
from emjax.simulate.particles import Simulation, coloured_noise, phantom, simulate

BOX, PIXEL = 48, 6.0
OPTIONS = PrepareOptions(18.0)
N, N_JUNK, N_LOST = 600, 60, 40
JUNK_ROWS, LOST_ROWS = np.arange(N_JUNK), np.arange(N_JUNK, N_JUNK + N_LOST)
GOOD_ROWS = np.arange(N_JUNK + N_LOST, N)


def spoiled(made: Simulation, shift: float = 0.0) -> Simulation:
    """The first images noise, the next ones at poses of others, their origins off by `shift`."""
    rng = np.random.default_rng(11)
    images, rotations, shifts = made.images.copy(), made.rotations.copy(), made.shifts.copy()
    images[JUNK_ROWS] = coloured_noise(N_JUNK, BOX, rng)
    turns = Rotation.from_rotvec(np.deg2rad(90) * rng.permutation(np.eye(3)[np.arange(N_LOST) % 3]))
    rotations[LOST_ROWS] = rotations[LOST_ROWS] @ turns.as_matrix()
    shifts[LOST_ROWS] += [shift, -shift]
    return replace(made, images=images, rotations=rotations, shifts=shifts)


def one_state(seed: int = 5, snr: float = 0.5, n: int = N) -> Simulation:
    """Particles of one state, whose contrast varies."""
    return simulate(phantom(1, BOX, 1), n, seed=seed, pixel_size=PIXEL, snr=snr, scale_sd=0.15)


@pytest.fixture(scope="module", autouse=True)
def fewer_decoys():
    """Enough for sets of this size, in a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emjax.classify.outliers.DECOYS", 2000)
        patch.setattr("emjax.classify.outliers.NOISE_IMAGES", 60)
        yield


@pytest.fixture(scope="module", name="clean")
def clean_simulation():
    """Particles that all fit."""
    return one_state()


@pytest.fixture(scope="module", name="kept_set")
def spoiled_set(clean):
    """The spoiled set, prepared; nothing changes it."""
    return prepare_images(spoiled(clean).aligned(), OPTIONS)


def copy(prepared: Prepared) -> Prepared:
    """Images of its own, which may be whitened anew."""
    particles = replace(prepared.particles, images=prepared.particles.images.copy())
    return replace(prepared, particles=particles)


@pytest.fixture(scope="module", name="case")
def set_aside_case(kept_set):
    """The spoiled set without what fits nothing, and what that was."""
    before = copy(kept_set)
    return leave_out(before, OutlierOptions(poses="set_aside"), OPTIONS)


def test_junk_and_lost_particles_are_told_apart(case):
    after, found = case
    assert np.mean(found.reason[JUNK_ROWS] == JUNK) > 0.95
    assert np.mean(found.reason[LOST_ROWS] == POSE) > 0.9
    # The rate allows 5 % of about 100.
    assert np.sum(found.reason[GOOD_ROWS] != "") <= 9
    used = (found.reason == "") & (np.isin(np.arange(N), after.bad_images.rows) == 0)
    np.testing.assert_array_equal(after.particles.weight, used)
    assert found.probability[JUNK_ROWS].max() < found.probability[GOOD_ROWS].mean()
    assert np.median(found.log_likelihood_ratio[GOOD_ROWS]) > 10
    assert len(found.recovered) == 0


def test_poses_of_lost_particles_are_the_true_ones(case, clean):
    found = case[1]
    rows, poses = found.rows[found.certain], found.found.rotations[found.certain]
    turned = np.swapaxes(poses, 1, 2).astype(float) @ clean.rotations[rows]
    off = np.degrees(Rotation.from_matrix(turned).magnitude())
    own = np.isin(rows, LOST_ROWS)
    assert own.sum() > 0.9 * N_LOST and np.mean(off[own] < 5) > 0.8


@pytest.mark.parametrize(("scale", "gain"), [("none", 0.001), ("optimal", -0.001)])
def test_the_mean_map_is_better_without_them(clean, scale, gain):
    """A fitted scale leaves out nearly all of what fits nothing by itself: then it is no worse."""
    options = replace(OPTIONS, scale=scale)
    before = prepare_images(spoiled(clean).aligned(), options)
    first = before.mean
    after, found = leave_out(before, OutlierOptions(poses="set_aside"), options)
    assert (found.reason != "").sum() > 0.9 * (N_JUNK + N_LOST)
    truth = resample(phantom(1, BOX, 1)[0], after.particles.box_size)
    mask = after.mean.solvent_mask

    def likeness(mean) -> float:
        return float(volume_fsc(mean.volume * mask, truth * mask)[1:16].mean())

    assert likeness(after.mean) > likeness(first) + gain


def test_particles_set_aside_are_as_if_they_were_not_there(case, clean):
    """Noise and mean map of a preparation that never saw them."""
    after, found = case
    kept = np.flatnonzero(found.reason == "")
    whole = spoiled(clean).aligned()
    part = replace(
        whole,
        read=lambda rows: whole.read(kept[rows]),
        rotations=whole.rotations[kept],
        shifts=whole.shifts[kept],
        ctf=whole.ctf.take(kept),
        half=after.particles.half[kept],
    )
    alone = prepare_images(part, OPTIONS)
    ratio = after.particles.noise_power / alone.particles.noise_power
    # Rounds of maximum likelihood from another start.
    np.testing.assert_allclose(ratio[:, 2:16], 1, atol=0.05)
    mask = after.mean.solvent_mask
    fsc = volume_fsc(after.mean.volume * mask, alone.mean.volume * mask)
    assert fsc[1:12].min() > 0.995


def test_a_clean_set_stays_what_it_was(clean):
    before = prepare_images(clean.aligned(), OPTIONS)
    bits = before.particles.images.copy()
    after, found = leave_out(before, OutlierOptions(poses="set_aside"), OPTIONS)
    if len(found.rows) == 0:
        assert after is before
        np.testing.assert_array_equal(before.particles.images, bits)
    assert np.sum(found.reason != "") <= 0.005 * N


def test_a_rate_of_zero_changes_nothing(kept_set):
    before = copy(kept_set)
    bits = before.particles.images.copy()
    after, found = leave_out(before, OutlierOptions(0.0), OPTIONS)
    assert after is before and not (found.reason != "").any()
    np.testing.assert_array_equal(after.particles.images, bits)
    # How well each fits is known all the same.
    assert found.probability[JUNK_ROWS].mean() < 0.1


@pytest.fixture(scope="module", name="recovered")
def recovered_case(clean):
    """A spoiled set whose lost particles are also off centre, used at the poses found."""
    made = spoiled(clean, shift=8.0)
    before = prepare_images(made.aligned(), OPTIONS)
    return made, leave_out(before, OutlierOptions(), OPTIONS)


def test_recovered_particles_take_part_at_their_true_pose(recovered, clean):
    made, (after, found) = recovered
    rows = found.recovered
    assert np.mean(np.isin(LOST_ROWS, rows)) > 0.9
    assert (after.particles.weight[rows] == 1).all() and (found.reason[rows] == "").all()
    own = rows[np.isin(rows, LOST_ROWS)]
    turned = np.swapaxes(after.particles.rotations[own], 1, 2).astype(float) @ clean.rotations[own]
    off = np.degrees(Rotation.from_matrix(turned).magnitude())
    right = off < 5
    assert right.mean() > 0.8
    error = np.hypot(*(after.shifts - clean.shifts)[own[right]].T)
    # Å; they began 11 Å off.
    assert np.median(error) < 2
    untouched = np.setdiff1d(np.arange(N), rows)
    np.testing.assert_array_equal(after.shifts[untouched], made.shifts[untouched])


def test_recovered_images_are_centred_anew(recovered):
    """The same as preparing them at the origins found."""
    made, (after, found) = recovered
    particles, rows = after.particles, found.recovered
    pixels = np.empty((len(rows), particles.images.shape[1]), np.complex64)
    crop_images(
        lambda some: made.images[rows[some]],
        after.shifts[rows],
        np.zeros(len(rows), np.int32),
        PIXEL,
        particles.grid,
        pixels,
    )
    shells = np.asarray(particles.grid.pixel_shells)
    pixels *= np.sqrt(2 / particles.noise_power[0])[shells]
    difference = np.abs(particles.images[rows] - pixels).max()
    assert difference < 0.01 * np.abs(pixels).max()


def test_a_rare_state_keeps_its_particles():
    """3 % that lack a domain, beside 97 %, noise and lost particles."""
    states = phantom(2, BOX, 1)
    fractions = np.array([0.97, 0.03])
    lost, kept = np.zeros(2, int), np.zeros(2, int)
    for seed in range(3):
        made = simulate(
            states, N, seed=seed, pixel_size=PIXEL, snr=0.5, fractions=fractions, scale_sd=0.15
        )
        before = prepare_images(spoiled(made).aligned(), OPTIONS)
        aside = leave_out(before, OutlierOptions(poses="set_aside"), OPTIONS)[1].reason != ""
        for state in (0, 1):
            own = GOOD_ROWS[made.states[GOOD_ROWS] == state]
            lost[state] += aside[own].sum()
            kept[state] += (~aside[own]).sum()
    assert lost[1] + kept[1] > 40
    table = [[lost[1], kept[1]], [lost[0], kept[0]]]
    assert fisher_exact(table, alternative="greater")[1] > 0.05


def test_particles_of_weight_zero_are_not_judged(kept_set):
    bad = np.concatenate([JUNK_ROWS[:5], GOOD_ROWS[:5]])
    before = copy(kept_set)
    weight = np.where(np.isin(np.arange(N), bad), 0, 1).astype(np.float32)
    before = replace(before, particles=replace(before.particles, weight=weight))
    after, found = leave_out(before, OutlierOptions(poses="set_aside"), OPTIONS)
    assert (found.reason[bad] == "").all() and not np.isin(bad, found.rows).any()
    assert (after.particles.weight[bad] == 0).all()
    assert np.mean(found.reason[JUNK_ROWS[5:]] == JUNK) > 0.95


def test_noise_is_not_found_at_any_pose_where_the_two_are_not_separated():
    """A search takes the best of many poses: with little signal it finds as much in noise."""
    weak = prepare_images(spoiled(one_state(snr=0.05)).aligned(), OPTIONS)
    found = leave_out(weak, OutlierOptions(poses="set_aside"), OPTIONS)[1]
    assert not np.isin(found.rows[found.certain], JUNK_ROWS).any()
    assert np.mean(found.reason[GOOD_ROWS] != "") < 0.05


def test_noise_is_hardly_ever_found_at_a_pose(case):
    found = case[1]
    # The rate allows 5 % of those found.
    assert np.isin(found.rows[found.certain], JUNK_ROWS).sum() <= 0.05 * N_JUNK


def find(prepared: Prepared):
    """Outliers against the mean map."""
    mean = prepared.mean
    return find_outliers(prepared.particles, mean.volume[None], mean.solvent_mask)


def test_without_a_search_all_that_fits_nothing_is_junk(kept_set):
    found = find(kept_set)
    assert set(found.reason) == {"", JUNK}
    assert np.mean(found.reason[np.concatenate([JUNK_ROWS, LOST_ROWS])] == JUNK) > 0.9


def test_a_particle_that_fits_one_of_several_volumes_fits():
    """Two bodies that share nothing: the mean map of both is wrong for each."""
    bodies = np.concatenate([phantom(1, BOX, 1), phantom(1, BOX, 8)])
    made = simulate(bodies, N, seed=9, pixel_size=PIXEL, snr=0.5)
    prepared = prepare_images(spoiled(made).aligned(), OPTIONS)
    size, mask = prepared.particles.box_size, prepared.mean.solvent_mask
    volumes = np.stack([resample(body, size) for body in bodies])
    found = find_outliers(prepared.particles, volumes, np.ones_like(mask))
    assert np.mean(found.reason[GOOD_ROWS] != "") < 0.02
    assert np.mean(found.reason[JUNK_ROWS] == JUNK) > 0.95
    assert np.mean(found.best[GOOD_ROWS] == made.states[GOOD_ROWS]) > 0.95


def test_what_was_found_is_said(case, recovered):
    found = case[1]
    junk, pose = (int(np.sum(found.reason == reason)) for reason in (JUNK, POSE))
    assert describe_outliers(found) == [
        f"{junk + pose} of {N} particles fit no map and are set aside: {junk} no particle in the"
        f" image (junk), {pose} a particle at another pose"
    ]
    again = recovered[1][1]
    assert describe_outliers(again)[-1] == (
        f"{len(again.recovered)} of {N} particles fit at another pose only and are used there"
    )
    record = found.record()
    assert record["set_aside"] == {JUNK: junk, POSE: pose}
    assert record["searched"] == len(found.rows) and record["recovered"] == 0
    overlapping = replace(found.calibration, separation=1.2, share=0.0)
    (said,) = describe_outliers(replace(found, calibration=overlapping))
    assert "separation 1.2, at least 2 expected" in said and "none is set aside" in said


@pytest.mark.parametrize(("option", "value"), [("rate", 1.0), ("rate", -0.1), ("poses", "delete")])
def test_unknown_options_are_refused(option, value):
    name = {"rate": "outliers.junk", "poses": "outliers.poses"}[option]
    with pytest.raises(OptionError, match=f"^{name}: found "):
        OutlierOptions(**{option: value})


def test_the_images_are_whitened_by_the_noise_that_is_left(case):
    after, found = case
    particles = after.particles
    kept = np.flatnonzero(found.reason == "")
    power = np.abs(particles.images[kept]) ** 2
    shells = np.asarray(particles.grid.pixel_shells)
    # At the highest frequencies the particle adds little to noise of power 2.
    assert jnp.mean(power[:, shells >= particles.radius - 1]) == pytest.approx(2, abs=0.15)


def test_weights_of_what_clearly_fits_nothing_never_say_that_it_was_left_out_before():
    """Scores so far apart that single precision holds no probability."""
    made = simulate(phantom(1, 48, seed=2), 300, seed=4, pixel_size=6.0, snr=3.0)
    pixels = made.images.copy()
    pixels[:60] = coloured_noise(60, 48, np.random.default_rng(1)) * pixels.std()
    images = replace(made.aligned(), read=lambda rows: pixels[rows])
    options = PrepareOptions(12.5)
    kept, found = leave_out(
        prepare_images(images, options), OutlierOptions(poses="set_aside"), options
    )
    assert (found.reason[:60] == JUNK).all()
    np.testing.assert_array_equal(kept.particles.weight[:60], 0)
    assert kept.particles.weight[60:].mean() > 0.98


def test_symmetric_mates_of_a_pose_are_near_it():
    given = Rotation.random(20, rng=3).as_matrix()
    mates = given @ Rotation.from_euler("z", 90, degrees=True).as_matrix()
    turned = given @ Rotation.from_rotvec([0.1, 0, 0.1]).as_matrix()
    assert _near(given, mates, "C4").all() and not _near(given, mates, "C1").any()
    assert _near(given, turned, "C1").all()
