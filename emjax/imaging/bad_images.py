"""Images that would spoil the noise spectra and the mean map of all the others.

Four things are looked for while a set is read: pixels that are NaN or infinite; nothing but one
value; single pixels that hold much of the image's power; and a norm far from that of the others.
The harm counts, not the oddity: an X-ray hit of ten standard deviations in a box of 256 pixels adds
0.2 % to the noise of its image, which is as good as any.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri

from emjax.errors import InputError

NOT_FINITE, CONSTANT, HOT, NORM = "not finite", "constant", "hot or dead pixels", "norm"
MEASURES = {
    NOT_FINITE: "pixels that are NaN or infinite",
    CONSTANT: "standard deviation",
    HOT: "share of the power in single pixels",
    NORM: "standard deviation over the optics group's median",
}
"""What is measured for each reason."""

# Chance of one hot pixel in the whole set, were its noise Gaussian.
FALSE_ALARM = 1e-3
# That share of its power raises the noise of the image by a tenth.
HOT_SHARE = 0.1
# In the few hottest pixels; it is a fault even where it is common.
MOST_HOT, FEW_PIXELS = 0.5, 8
# Less sharp pixels (two by two, lines) must hold four times as much: small particles hold some.
LEAST_SHARPNESS = 0.25
# 25 in power, so that one in 300 adds 8 % to the noise of all; contrast, ice and dose of
# normalised images stay within 2.
NORM_FACTOR = 5.0
# Where gains differ (by micrograph, without normalisation), standard deviations of the logarithm.
NORM_SPREAD = 6.0
NORMALISE = "relion_preprocess --norm"
# Standard deviations beyond which single precision does not hold sums of squares.
LEAST_SD, LARGEST_SD = 1e-6, 1e6
# The median of fewer images may be an outlier itself.
GROUP_SIZE = 10
# Of the pixels, from which the noise's standard deviation is taken: the extremes may be hot.
CORE = 0.8


@dataclass(frozen=True)
class BadImages:
    """Images that are left out, in their order."""

    rows: Int[np.ndarray, " b"]
    reasons: tuple[str, ...]
    values: Float[np.ndarray, " b"]  # of what MEASURES says for the reason
    limits: Float[np.ndarray, " b"]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.rows)


def say_bad_images(bad: BadImages, name: Callable[[int], str], most: int = 3) -> str:
    """The first few images with their reasons."""
    first = zip(bad.rows[:most].tolist(), bad.reasons, strict=False)
    said = ", ".join(f"{name(row)} ({reason})" for row, reason in first)
    return f"{said}, …" if len(bad) > most else said


def check_number(bad: BadImages, n: int, name: Callable[[int], str], option: str) -> None:
    """Refuse more bad images than a set of n can do without, or any.

    Args:
        bad: images of the set.
        n: images of the set.
        name: of the image of a row.
        option: `drop`, or `error` where none may be bad.

    Raises:
        InputError: with the first few; all are in its notes, which a log has.
    """
    most = most_bad_images(n) if option == "drop" else 0
    if len(bad) <= most:
        return
    remedy = "mend or remove them (the log lists all)"
    if option == "error":
        remedy = "or check.bad_images: drop, which leaves them out"
    elif bad.reasons.count(NORM) > most:
        remedy = f"normalise the images ({NORMALISE}) or remove these (the log lists all)"
    elif bad.reasons.count(HOT) > most:
        remedy = f"replace these pixels ({NORMALISE} --white_dust 5 --black_dust 5)"
    error = InputError(
        place="images",
        found=f"{len(bad)} of {n} that would spoil the rest: {say_bad_images(bad, name)}",
        expected=f"{f'at most {most}' if most else 'none'}; {remedy}",
    )
    listed = zip(bad.rows.tolist(), bad.reasons, bad.values, bad.limits, strict=True)
    for row, reason, value, limit in listed:
        error.add_note(f"{name(row)}: {reason} ({MEASURES[reason]} {value:.4g}, limit {limit:.4g})")
    raise error


class Limits(NamedTuple):
    """What an image of a group may have."""

    centre: float  # of log standard deviation
    width: float  # about it
    hot: float  # share of power in single pixels


def most_bad_images(n: int) -> int:
    """What n images can do without: a twentieth, or a handful where they are few."""
    return max(n // 20, min(5, n // 4))


class Census:
    """What is measured of each image while a set is read in its order, and which images are bad.

    That is known in the end, with all medians; until then `add` judges by the images of the group
    that were read so far.
    """

    def __init__(self, group: Int[np.ndarray, " n"], box_size: int) -> None:
        """Args: group of common noise of each image, 0-based; pixels along an edge."""
        n = len(group)
        order = np.argsort(group, kind="stable")
        self._group = group
        self._members = np.split(order, np.cumsum(np.bincount(group))[:-1])
        self._broken, self._sd = np.zeros(n, np.int32), np.zeros(n)
        self._hot, self._few = np.zeros(n), np.zeros(n)
        self._noise_limit = float(-ndtri(FALSE_ALARM / 2 / (n * box_size**2)))
        # In a box of few pixels one of the noise alone holds much.
        self._hot_limit = max(HOT_SHARE, 2 * self._noise_limit**2 / box_size**2)
        self._limits: list[Limits | None] = [None] * len(self._members)
        self._seen, self._asked = (np.zeros(len(self._members), int) for _ in range(2))

    def add(
        self,
        rows: Int[np.ndarray, " m"],
        images: Float[np.ndarray, "m d d"],
        broken: Int[np.ndarray, " m"],
    ) -> Bool[np.ndarray, " m"]:
        """Measure the next images; which of them are good as far as is known.

        Args:
            rows: of the set.
            images: without their means; zero where a pixel is not finite.
            broken: number of pixels that are not finite.
        """
        self._broken[rows] = broken
        measured = measure(images, self._noise_limit)
        self._sd[rows], self._hot[rows], self._few[rows] = measured
        good = np.zeros(len(rows), bool)
        for g in np.unique(self._group[rows]):
            own = self._group[rows] == g
            self._seen[g] += own.sum()
            # Medians of what was read so far, each time that this has doubled.
            if self._seen[g] >= max(2 * self._asked[g], GROUP_SIZE):
                self._asked[g] = self._seen[g]
                self._limits[g] = self._limits_of(self._members[g][: self._seen[g]])
            if (limits := self._limits[g]) is not None:
                good[own] = self._judge(rows[own], limits)[0] < 0
        return good

    def bad_images(self) -> BadImages:
        """Those of the whole set; groups of a few images share their limits."""
        few = [members for members in self._members if len(members) < GROUP_SIZE]
        groups = [members for members in self._members if len(members) >= GROUP_SIZE]
        rows = np.concatenate([*groups, *few])
        groups += [np.concatenate(few)] if few else []
        judged = [self._judge(part, self._limits_of(part)) for part in groups]
        reason, value, limit = (np.concatenate(column) for column in zip(*judged, strict=True))
        self._check_scale()
        found = np.flatnonzero(reason >= 0)
        found = found[np.argsort(rows[found])]
        names = tuple(list(MEASURES)[k] for k in reason[found])
        return BadImages(rows[found], names, value[found], limit[found])

    def _check_scale(self) -> None:
        """Refuse intensities beyond what single precision holds."""
        good = self._sd[(self._broken == 0) & (self._sd > 0) & np.isfinite(self._sd)]
        sd = float(np.median(good)) if len(good) else 1.0
        if not LEAST_SD <= sd <= LARGEST_SD:
            expected = f"from {LEAST_SD:g} to {LARGEST_SD:g}; normalise the images ({NORMALISE})"
            raise InputError(None, "images: standard deviation", f"{sd:.3g}", expected)

    def _limits_of(self, rows: Int[np.ndarray, " m"]) -> Limits:
        """Limits from medians over images, which a few bad ones do not move."""
        sd = self._sd[rows]
        rows = rows[(self._broken[rows] == 0) & (sd > 0) & np.isfinite(sd)]
        if not len(rows):
            return Limits(0.0, np.log(NORM_FACTOR), self._hot_limit)
        level = np.log(self._sd[rows])
        centre = float(np.median(level))
        spread = float(np.median(np.abs(level - centre))) / ndtri(0.75)
        width = max(np.log(NORM_FACTOR), NORM_SPREAD * spread)
        # Where it is common (images without noise), it is no fault of an image.
        return Limits(centre, width, self._hot_limit + 3 * float(np.median(self._hot[rows])))

    def _judge(
        self, rows: Int[np.ndarray, " m"], limits: Limits
    ) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Reason of each image (place in MEASURES, or −1), its measure and the limit."""
        broken, sd, hot = self._broken[rows], self._sd[rows], self._hot[rows]
        few = self._few[rows] > MOST_HOT
        hot_limit = np.where(few, min(MOST_HOT, limits.hot), limits.hot)
        level = np.log(np.where(sd > 0, sd, 1)) - limits.centre
        cases = [broken > 0, sd == 0, hot > hot_limit, np.abs(level) > limits.width]
        nothing = np.zeros(len(rows))
        reason = np.select(cases, range(4), -1)
        value = np.select(cases, [broken, nothing, hot, np.exp(level)])
        factor = np.exp(np.sign(level) * limits.width)
        limit = np.select(cases, [nothing, nothing, hot_limit, factor])
        return reason, value, limit


def measure(
    images: Float[np.ndarray, "m d d"], noise_limit: float
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Standard deviation of images, share of their power in hot pixels, and in the hottest few.

    Hot are those that the noise does not explain and that stand alone: of the eight pixels two away
    a line of them has two, and so has a binned one, while at the edge of gold, ice or a large
    particle three are like it. Peaks of a small particle stand alone too, but are not as sharp.

    Args:
        images: without their means.
        noise_limit: of Gaussian noise, in standard deviations.
    """
    flat = images.reshape(len(images), -1)
    low, high = flat.min(1), flat.max(1)
    # The mean of a constant has rounding errors.
    sd = np.where(low == high, 0, np.sqrt(np.einsum("mp,mp->m", flat, flat) / flat.shape[1]))
    centre, noise = _noise_of(images)
    limit = noise_limit * noise
    share, few = np.zeros((2, len(images)))
    for i in np.flatnonzero(np.maximum(high - centre, centre - low) > limit):
        image = images[i].astype(np.float64) - centre[i]
        alone = _standing_alone(image)
        sharp = np.clip(_sharpness(image), LEAST_SHARPNESS, 1)
        power = np.sort((sharp * alone**2)[alone > limit[i]]) / np.sum(image**2)
        share[i], few[i] = power.sum(), power[-FEW_PIXELS:].sum()
    return sd.astype(np.float64), share, few


def _standing_alone(image: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """How far each pixel is from zero beyond the third of the eight around it, two pixels away."""
    around, d = np.pad(image, 2, mode="reflect"), len(image)
    offsets = [(y, x) for y in (0, 2, 4) for x in (0, 2, 4) if (y, x) != (2, 2)]
    beside = np.stack([around[y : y + d, x : x + d] for y, x in offsets]) * np.sign(image)
    return np.abs(image) - np.maximum(np.sort(beside, axis=0)[-3], 0)


def _sharpness(image: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """How much of each pixel its neighbours do not foretell, along both axes.

    1 of a hot pixel, a quarter of two by two, 0.15 of a blob of one pixel's standard deviation.
    """
    rest = image
    for _ in range(2):
        around = np.pad(rest, ((1, 1), (0, 0)), mode="reflect")
        rest = (rest - (around[:-2] + around[2:]) / 2).T
    return rest / np.where(image == 0, 1, image)


def _noise_of(
    images: Float[np.ndarray, "m d d"],
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Mean and standard deviation of the noise, from a thousand pixels without the extremes.

    A median absolute deviation would be 0 in images of few bits.
    """
    step = max(1, images.shape[1] // 32)
    sample = np.sort(images[:, ::step, ::step].reshape(len(images), -1), axis=1)
    left_out = round((1 - CORE) / 2 * sample.shape[1])
    core = sample[:, left_out : sample.shape[1] - left_out]
    edge = -ndtri((1 - CORE) / 2)
    density = np.exp(-(edge**2) / 2) / np.sqrt(2 * np.pi)
    return core.mean(1), core.std(1) / np.sqrt(1 - 2 * edge * density / CORE)
