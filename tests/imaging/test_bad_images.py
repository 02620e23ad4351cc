"""Images that spoil the rest: each kind is found with its row, and honest ones are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.errors import InputError
from emjax.imaging.bad_images import (
    CONSTANT,
    HOT,
    NORM,
    NORM_FACTOR,
    NOT_FINITE,
    BadImages,
    Census,
    check_number,
    measure,
    most_bad_images,
    say_bad_images,
)
from emjax.imaging.crop import crop_images, grid_for
from emjax.simulate.particles import coloured_noise, phantom, project, simulate

N, BOX, PIXEL = 300, 32, 6.0
GRID = grid_for(BOX, PIXEL, 18.0)
NOISE = coloured_noise(N, BOX, np.random.default_rng(0))
DISC = np.hypot(*(np.mgrid[:BOX, :BOX] - BOX // 2))


def crop(images, group=None, reads=None) -> tuple[np.ndarray, BadImages, np.ndarray]:
    """Mean power by group, bad images, and prepared pixels of a stack."""
    n = len(images)

    def read(rows):
        if reads is not None:
            reads.extend(rows.tolist())
        return np.asarray(images[rows], np.float32)

    out = np.full((n, len(GRID.kx)), np.nan, np.complex64)
    group = np.zeros(n, np.int32) if group is None else group
    power, bad = crop_images(read, np.zeros((n, 2)), group, PIXEL, GRID, out)
    return power, bad, out


def census_of(images: np.ndarray) -> list[int]:
    """Bad images of a stack in one group, all added at once."""
    n = len(images)
    census = Census(np.zeros(n, int), images.shape[1])
    census.add(np.arange(n), images - images.mean((1, 2), keepdims=True), np.zeros(n, int))
    return census.bad_images().rows.tolist()


def spoil(kind: str, image: np.ndarray) -> None:
    """Make one image bad, in place."""
    y, x = 9, 20
    if kind == "blank":
        image[:] = 3.7
    elif kind == "NaN":
        image[y, x] = np.nan
    elif kind == "infinite":
        image[y, x], image[y, x + 1] = np.inf, -np.inf
    elif kind == "beyond single precision's sense":
        image[:] = 3e38
    elif kind == "bright":
        image *= 1000
    elif kind == "dim":
        image /= 1000
    elif kind == "hot pixel":
        image[y, x] = 3000
    elif kind == "warm pixel":
        image[y, x] = 15
    elif kind == "dead pixels":
        image[[3, 9, 30], [4, 9, 31]] = -40
    elif kind == "cluster":
        image[y : y + 2, x : x + 2] = 30
    elif kind == "dead line":
        image[:, x] = -30
    elif kind == "many":
        image[::5, ::3] = 50


REASONS = {
    "blank": CONSTANT,
    "NaN": NOT_FINITE,
    "infinite": NOT_FINITE,
    "beyond single precision's sense": NOT_FINITE,
    "bright": NORM,
    "dim": NORM,
    "hot pixel": HOT,
    "warm pixel": HOT,
    "dead pixels": HOT,
    "cluster": HOT,
    "dead line": HOT,
    "many": HOT,
}


@pytest.mark.parametrize("offset", [0, 500])
@pytest.mark.parametrize("kind", REASONS)
def test_each_kind_is_found_and_counts_for_nothing(kind, offset):
    rows = [0, 1, 77, 150, 298]
    images = NOISE.copy()
    for row in rows:
        spoil(kind, images[row])
    power, bad, out = crop(images + np.float32(offset))
    assert bad.rows.tolist() == rows
    assert set(bad.reasons) == {REASONS[kind]}
    if REASONS[kind] != CONSTANT:
        assert np.all((bad.values > bad.limits) | (bad.values < 1 / NORM_FACTOR))
    np.testing.assert_array_equal(out[rows], 0)
    good = np.delete(np.arange(N), rows)
    without, none, alone = crop(images[good] + np.float32(offset))
    assert len(none) == 0
    np.testing.assert_array_equal(out[good], alone)
    # Sums of other lengths, in float32.
    np.testing.assert_allclose(power, without, rtol=1e-5)


def test_all_kinds_at_once():
    images, rows = NOISE.copy(), np.arange(len(REASONS)) * 20 + 5
    for kind, row in zip(REASONS, rows, strict=True):
        spoil(kind, images[row])
    _, bad, _ = crop(images)
    assert dict(zip(bad.rows.tolist(), bad.reasons, strict=True)) == dict(
        zip(rows.tolist(), REASONS.values(), strict=True)
    )


@given(st.integers(0, 1000), st.sampled_from([16, 24, 64]))
@settings(max_examples=20, deadline=None)
def test_noise_alone_flags_none(seed, box):
    rng = np.random.default_rng(seed)
    assert census_of(coloured_noise(400, box, rng, slope=rng.uniform(0, 3))) == []


@pytest.mark.parametrize("value", [60, 3000])
def test_a_hot_pixel_in_every_image_is_no_matter_of_course(value):
    images = NOISE.copy()
    images[:, 9, 20] = value
    _, bad, _ = crop(images)
    assert len(bad) == N and set(bad.reasons) == {HOT}
    with pytest.raises(InputError, match="300 of 300 .* --white_dust 5"):
        check_number(bad, N, str, "drop")


@pytest.mark.parametrize("factor", [1e-5, 1e5])
def test_any_usual_scale_of_intensities_will_do(factor):
    power, bad, _ = crop(NOISE * np.float32(factor))
    assert len(bad) == 0
    np.testing.assert_allclose(power / factor**2, crop(NOISE)[0], rtol=1e-4)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_intensities_that_single_precision_does_not_hold_are_refused(factor):
    with pytest.raises(
        InputError, match="images: standard deviation: found 9.98e.*, expected from"
    ):
        crop(NOISE * np.float32(factor))


def gains(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Intensity of each image, by micrographs of 20."""
    micrograph = np.arange(N) // 20
    if kind == "ice and contrast":
        return rng.normal(1, 0.2, N).clip(0.4) * rng.uniform(0.6, 1.7, 15)[micrograph]
    if kind == "doses":
        return np.linspace(1, 4, N)
    if kind == "gains by micrograph":
        return np.exp(rng.normal(0, 0.7, 15))[micrograph]
    if kind == "two cameras":
        return np.where(micrograph % 2, 4, 1)
    return np.exp(rng.uniform(0, np.log(30), 15))[micrograph]


@pytest.mark.parametrize(
    "kind", ["ice and contrast", "doses", "gains by micrograph", "two cameras", "wide gains"]
)
@pytest.mark.parametrize("seed", range(5))
def test_intensities_that_spread_are_no_fault(kind, seed):
    factor = gains(kind, np.random.default_rng(seed)).astype(np.float32)
    power, bad, _ = crop(NOISE * factor[:, None, None])
    assert len(bad) == 0
    plain, *_ = crop(NOISE)
    # A mean weighted by gains that do not depend on the noise.
    np.testing.assert_allclose(power[:, 4:], plain[:, 4:] * np.mean(factor**2), rtol=0.15)


def test_groups_have_units_of_their_own():
    """Also one of four images, and one of a single image."""
    group = (np.arange(N) % 2).astype(np.int32)
    group[[10, 20, 31, 41]], group[50] = 2, 3
    images = NOISE * np.float32([1, 1e4, 1, 1])[group][:, None, None]
    images[[8, 31, 201]] *= 100
    _, bad, _ = crop(images, group)
    assert bad.rows.tolist() == [8, 31, 201]


@pytest.mark.parametrize("radius", [3, 4, 8])
def test_real_signal_is_no_hot_pixel(radius):
    """Gold beads, and ice, of twenty standard deviations of the noise."""
    images = NOISE.copy()
    shape = np.roll(DISC <= radius, (4, -3), (0, 1))
    images[[10, 60, 110]] -= 12 * shape
    _, bad, _ = crop(images)
    assert HOT not in bad.reasons


@pytest.mark.parametrize("snr", [1.5, 20.0, 1e4])
@pytest.mark.parametrize(("box", "pixel_size"), [(24, 12.0), (32, 8.0), (48, 4.0)])
def test_a_small_strong_particle_is_no_hot_pixel(box, pixel_size, snr):
    """Its peaks are hardly wider than a pixel; at the end there is next to no noise."""
    made = simulate(phantom(3, box, seed=1), 200, seed=3, pixel_size=pixel_size, snr=snr)
    assert census_of(made.images) == []
    made.images[::50, 3, 4] = 200 * made.images.std()
    assert census_of(made.images) == list(range(0, 200, 50))


def test_a_mask_of_zeros_is_no_fault(simulation, volume):
    poses = simulation.rotations, simulation.shifts, simulation.ctf, PIXEL
    images = project(volume[None], simulation.states, *poses)
    assert len(crop(images * (DISC < 8))[1]) == 0


@pytest.mark.parametrize(
    ("dtype", "gain", "zero"),
    [
        (np.int8, 4, 0),
        (np.uint8, 20, 128),
        (np.int8, 0.6, 0),
        (np.int8, 0.35, 0),
        (np.int8, 60, 0),
        (np.float16, 1, 0),
    ],
)
def test_few_bits_are_no_fault(dtype, gain, zero):
    info = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else np.finfo(dtype)
    levels = NOISE * gain + zero
    rounded = np.rint(levels) if gain != 1 else levels
    images = rounded.clip(float(info.min), float(info.max)).astype(dtype)
    assert len(crop(images)[1]) == 0
    images[40] = images[40, 0, 0]
    if gain in (4, 1):
        images[41, 9, 20] = 127  # saturated, and thirty times the noise
    _, bad, _ = crop(images)
    assert bad.rows.tolist() == ([40, 41] if gain in (4, 1) else [40])


@pytest.mark.parametrize("first", [12, 40, 100])
def test_what_comes_first_does_not_decide(first, monkeypatch):
    """Bad images at the start look like the rest until more is read."""
    monkeypatch.setattr("emjax.imaging.crop.READ_PIXELS", 40 * BOX**2)
    images = NOISE.copy()
    images[:first] *= 50
    reads: list[int] = []
    power, bad, _ = crop(images, reads=reads)
    assert bad.rows.tolist() == list(range(first))
    without, *_ = crop(NOISE[first:])
    # What was counted at first has 2500 times the power, in single precision.
    np.testing.assert_allclose(power, without, rtol=2e-3)
    assert len(reads) <= 2 * N + 1


def test_a_clean_set_is_read_once():
    reads: list[int] = []
    crop(NOISE, reads=reads)
    assert sorted(reads[1:]) == list(range(N))  # the first tells the box


def test_a_group_of_bad_images_has_the_noise_of_the_others():
    group = (np.arange(N) >= 290).astype(np.int32)
    images = NOISE.copy()
    images[290:] = 0
    power, bad, _ = crop(images, group)
    assert bad.rows.tolist() == list(range(290, 300))
    np.testing.assert_array_equal(power[1], power[0])


def test_share_of_a_hot_pixel_is_that_of_its_power():
    images = NOISE[:20].copy()
    images[:, 9, 20] = 100
    images -= images.mean((1, 2), keepdims=True)
    sd, share, few = measure(images, 6.0)
    np.testing.assert_array_equal(few, share)
    np.testing.assert_allclose(sd, images.std((1, 2)), rtol=1e-5)
    # Neighbours of up to three standard deviations are taken off.
    np.testing.assert_allclose(share, 1e4 / (1e4 + BOX**2), rtol=0.1)


@pytest.mark.parametrize(
    ("n", "most"), [(4, 1), (8, 2), (20, 5), (60, 5), (300, 15), (10**6, 50000)]
)
def test_few_may_go(n, most):
    assert most_bad_images(n) == most


def bad_images(number: int, reason: str = CONSTANT) -> BadImages:
    rows = np.arange(number) * 2
    return BadImages(rows, (reason,) * number, np.zeros(number), np.full(number, 5.0))


def name(row: int) -> str:
    return f"{row + 1:06d}@a.mrcs"


def test_the_first_few_are_named():
    assert (
        say_bad_images(bad_images(2), name) == "000001@a.mrcs (constant), 000003@a.mrcs (constant)"
    )
    assert say_bad_images(bad_images(9), name).endswith("000005@a.mrcs (constant), …")


def test_many_are_refused_and_all_of_them_noted():
    check_number(bad_images(15), 300, name, "drop")
    with pytest.raises(InputError) as caught:
        check_number(bad_images(16), 300, name, "drop")
    assert str(caught.value) == (
        "images: found 16 of 300 that would spoil the rest: 000001@a.mrcs (constant),"
        " 000003@a.mrcs (constant), 000005@a.mrcs (constant), …, expected at most 15;"
        " mend or remove them (the log lists all)"
    )
    notes = caught.value.__notes__
    assert len(notes) == 16 and notes[-1].startswith("000031@a.mrcs: constant (standard deviation")
    with pytest.raises(InputError, match="normalise the images"):
        check_number(bad_images(16, NORM), 300, name, "drop")


def test_any_is_refused_where_none_may_be():
    check_number(bad_images(0), 300, name, "error")
    with pytest.raises(InputError, match="found 1 of 300 .* expected none; or check.bad_images"):
        check_number(bad_images(1), 300, name, "error")
