"""Images that spoil the rest: whether each is found, and the mean map beside that of the clean set.

Usage: python benchmarks/outliers_images.py [--check]
--check: exit 1 where a bar is missed. Without the shared data (EMJAX_DATA) their rows are left out,
said aloud.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
from accuracy_rows import Row
from subspace_data import data_folder

from emjax.imaging.bad_images import BadImages
from emjax.imaging.particles import split_halves
from emjax.imaging.prepare import AlignedImages, Prepared, PrepareOptions, prepare

CORRELATION = 0.999
WITHOUT = 0.99999  # of the same particles: float32 sums in another order
FREE = (
    "spliceosome/particles.star",
    "ligand_small/particles.star",
    "null_small/particles.star",
    "realistic/particles.star",
    "realistic_null/particles.star",
)
"""Sets without bad images; realistic ones have ice, ramps, neighbours and a spread of contrast."""


class Clean(NamedTuple):
    """A set without bad images, in memory."""

    name: str
    images: np.ndarray
    aligned: AlignedImages


def _every_50th(images: np.ndarray) -> np.ndarray:
    return np.arange(0, len(images), 50)


def one_bright(images: np.ndarray) -> np.ndarray:
    """One image × 1000."""
    images[7] *= 1000
    return np.array([7])


def bright(images: np.ndarray) -> np.ndarray:
    """2 % × 30."""
    images[(rows := _every_50th(images))] *= 30
    return rows


def hot_pixel(images: np.ndarray) -> np.ndarray:
    """A hot pixel in 2 %."""
    images[(rows := _every_50th(images)), 20, 31] = 3000 * images.std()
    return rows


def hot_pixels(images: np.ndarray) -> np.ndarray:
    """Eleven hot or dead pixels in 2 %."""
    rows, sd = _every_50th(images), images.std()
    rng = np.random.default_rng(0)
    for row in rows:
        y, x = rng.integers(0, images.shape[1], (2, 11))
        images[row, y, x] = rng.choice([-1, 1], 11) * rng.uniform(20, 200, 11) * sd
    return rows


def blank(images: np.ndarray) -> np.ndarray:
    """Five blank images."""
    rows = np.linspace(5, len(images) - 1, 5).astype(int)
    images[rows] = 0
    return rows


def not_finite(images: np.ndarray) -> np.ndarray:
    """NaN in three images."""
    images[(rows := np.array([3, 40, 41])), 4, 5] = np.nan
    return rows


SPOILS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    one_bright,
    bright,
    hot_pixel,
    hot_pixels,
    blank,
    not_finite,
)


def clean_sets() -> Iterator[Clean]:
    """The first 300 and 2000 images of the spliceosome, and a simulated set of 1000."""
    from emjax.simulate.particles import phantom, simulate

    made = simulate(phantom(1, 48, seed=1), 1000, seed=2, snr=0.5, scale_sd=0.15)
    yield Clean("simulated, 1000", made.images, made.aligned())
    path = data_folder() / FREE[0]
    if not path.exists():
        print(f"left out: {path} is not there (EMJAX_DATA)", flush=True)
        return
    from emjax.io.particles.particle_set import read_particles
    from emjax.jobs.preparation import aligned_images

    for n in (300, 2000):
        aligned = aligned_images(read_particles(path).select(np.arange(n)))
        yield Clean(f"spliceosome, {n}", aligned.read(np.arange(n)), aligned)


def prepared(clean: Clean, images: np.ndarray, rows: np.ndarray | None = None) -> Prepared:
    """Some particles of the set (all where None) with other images, at 24 Å."""
    a = clean.aligned
    rows = np.arange(a.n) if rows is None else rows
    # Drawn once for all, so that leaving some out moves no other.
    half = split_halves(a.half if a.half is not None else np.zeros(a.n, int), np.arange(a.n), 0)
    some = AlignedImages(
        lambda m: images[rows[m]],
        a.rotations[rows],
        a.shifts[rows],
        a.ctf.take(rows),
        a.box_size,
        a.pixel_size,
        half=half[rows],
    )
    return prepare(some, PrepareOptions(24.0))


def spoiled_rows(clean: Clean) -> Iterator[Row]:
    """Each way to spoil a set: the images found, and the mean map's correlation."""
    whole = prepared(clean, clean.images)
    for spoil in SPOILS:
        images = clean.images.copy()
        rows = spoil(images)
        found = prepared(clean, images)
        without = prepared(clean, clean.images, np.delete(np.arange(clean.aligned.n), rows))
        first, second = (_correlation(found, other) for other in (whole, without))
        noise = found.particles.noise_power[:, 1:] / whole.particles.noise_power[:, 1:] - 1
        named = found.bad_images.rows.tolist() == rows.tolist()
        yield Row(
            f"{clean.name}: {spoil.__doc__}",
            f"{_found(found.bad_images)}; correlation of the mean map with the clean set's"
            f" {first:.5f}, with that of the clean set without them {second:.6f};"
            f" noise moved by at most {100 * np.abs(noise).max():.1f} %",
            f"those {len(rows)}; ≥ {CORRELATION}, ≥ {WITHOUT}",
            named and first >= CORRELATION and second >= WITHOUT,
        )


def _correlation(one: Prepared, other: Prepared) -> float:
    return float(np.corrcoef(one.mean.volume.ravel(), other.mean.volume.ravel())[0, 1])


def _found(bad: BadImages) -> str:
    reasons = ", ".join(sorted(set(bad.reasons)))
    return f"{len(bad)} found ({reasons})" if len(bad) else "none found"


def free_rows() -> Iterator[Row]:
    """Sets without bad images, and with gains that differ by micrograph."""
    from emjax.io.particles.particle_set import read_particles
    from emjax.jobs.preparation import aligned_images

    for name in FREE:
        if not (path := data_folder() / name).exists():
            print(f"left out: {path} is not there (EMJAX_DATA)", flush=True)
            continue
        table = read_particles(path)
        aligned = aligned_images(table)
        assert table.micrograph is not None
        micrograph = np.unique(table.micrograph, return_inverse=True)[1]
        gain = np.exp(np.random.default_rng(0).normal(0, 0.7, micrograph.max() + 1))
        for what, factor in (
            ("as it is", np.ones(table.n)),
            ("gains by micrograph", gain[micrograph]),
        ):
            bad = _census(aligned, factor.astype(np.float32))
            spread = f"{factor.min():.2g} … {factor.max():.2g}" if np.ptp(factor) else "1"
            yield Row(
                f"{name}, {what}: bad images of {table.n}",
                f"{len(bad)}; intensities × {spread}",
                "0",
                len(bad) == 0,
            )


def _census(aligned: AlignedImages, factor: np.ndarray) -> BadImages:
    from emjax.imaging.crop import crop_images, grid_for

    grid = grid_for(aligned.box_size, aligned.pixel_size, 24.0)
    out = np.empty((aligned.n, len(grid.kx)), np.complex64)
    group = np.zeros(aligned.n, np.int32)

    def read(rows: np.ndarray) -> np.ndarray:
        return aligned.read(rows) * factor[rows][:, None, None]

    return crop_images(read, aligned.shifts, group, aligned.pixel_size, grid, out)[1]


def image_rows() -> list[Row]:
    """The whole table."""
    rows = []
    spoiled = chain.from_iterable(map(spoiled_rows, clean_sets()))
    for row in chain(spoiled, free_rows()):
        print(row, flush=True)
        rows.append(row)
    return rows


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Images that spoil the rest")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    rows = image_rows()
    print("\n| what | found | bar | |\n| --- | --- | --- | --- |")
    for what, found, bar, holds in rows:
        print(f"| {what} | {found} | {bar} | {'ok' if holds else 'MISSED'} |")
    return int(arguments.check and not all(row.holds for row in rows))


if __name__ == "__main__":
    sys.exit(main())
