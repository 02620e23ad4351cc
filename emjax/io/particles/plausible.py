"""Input that reads well and cannot be meant, or is more often a mistake."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.fields import star_columns
from emjax.io.particles.particle_set import ParticleSet
from emjax.io.star.relion import StarParticles

FEWEST = 20  # particles; held-out evidence makes half-sets of half-sets
LEAST_DEFOCUS = 100  # Å
ONE_VIEW = 20.0  # degrees between views
EDGE = 0.01  # share of the box's faces that a mask may touch
MOST = 0.5  # of the particles: what is wrong with these is wrong with the file


def check_particles(source: Path, particles: ParticleSet, uses_ctf: bool = True) -> None:
    """Refuse what reads well and cannot be meant; of the defocus only where it is used."""
    if particles.n < FEWEST:
        raise InputError(source, None, f"{particles.n} particles", f"at least {FEWEST}")
    largest = float(np.abs([particles.defocus_u, particles.defocus_v]).max())
    if uses_ctf and 0 < largest < LEAST_DEFOCUS:
        found = f"at most {largest:g}"
        raise InputError(source, "defocus", found, "values in Å, 10000 for a defocus of 1 µm")
    defocus = _mean_defocus(particles)
    if uses_ctf and (defocus < 0).mean() > MOST:
        found = f"{defocus[defocus < 0].mean():.0f} Å on average"
        raise InputError(source, "defocus", found, "underfocus, which is positive")
    beyond, said = _beyond_the_box(particles)
    if beyond > MOST * particles.n:
        expected = "origins in Å (rlnOriginXAngst) or pixels (rlnOriginX) that centre the particle"
        raise InputError(source, "origins", said, expected)


def doubts(source: Path, particles: ParticleSet, runs: dict) -> Iterator[str]:
    """What may be meant, and more often is a mistake."""
    lie = (runs["som"] or {}).get("aligned", False)
    if isinstance(particles.source, StarParticles) and not lie:
        table, shifts = particles.source.particles, star_columns("shifts")
        pairs = zip(shifts.labels, shifts.pixels, strict=True)
        missing = [name for name, old in pairs if name not in table and old not in table]
        if missing:
            what = f"no column _{missing[0]}; the images are taken as centred"
            yield f"{source}: {what} (shifts of 0)"
    beyond, said = _beyond_the_box(particles)
    if beyond:
        yield f"{source}: origins: {said}; are they in Å, and of these particles?"
    defocus = _mean_defocus(particles)
    for name, count in (("negative", (defocus < 0).sum()), ("0", (defocus == 0).sum())):
        # All 0 stands for images without CTF, which maps of images can do without.
        if count and (defocus.any() or not runs["som"]):
            yield (
                f"{source}: the defocus of {count} of {particles.n} particles is {name}; was their"
                " CTF estimated?"
            )
    if runs["som"] and (runs["em3d"] or runs["subspace"]):
        yield (
            "runs.som sorts images, by view as well as by state, and says nothing about 3D classes"
            " unless all views are the same; give it a campaign of its own"
        )
    elif runs["som"] and not lie and (spread := _spread_of_views(particles)) > ONE_VIEW:
        yield (
            f"{source}: its views lie {spread:.0f}° from each other (median); a map of images sorts"
            " them by view first: select one view, or a 2D class"
        )


def _spread_of_views(particles: ParticleSet) -> float:
    """Median angle in degrees between the viewing directions of two particles."""
    views = particles.rotations[:, 2]  # in the frame of the map
    a, b = np.random.default_rng(0).integers(0, particles.n, (2, 1000))
    cosine = np.clip(np.sum(views[a] * views[b], axis=1), -1, 1)
    return float(np.degrees(np.median(np.arccos(cosine))))


def _mean_defocus(particles: ParticleSet) -> np.ndarray:
    return (particles.defocus_u + particles.defocus_v) / 2


def _beyond_the_box(particles: ParticleSet) -> tuple[int, str]:
    """How many particles lie beyond the edges of their images by their origins, and in words."""
    edge = particles.box_size * particles.pixel_size / 2
    farthest = np.abs(particles.shifts).max(1)
    count = int((farthest > edge).sum())
    words = f"{count} of {particles.n} particles beyond the edge of their images"
    return count, f"{words} (up to {farthest.max():.0f} Å from the centre of {2 * edge:.0f} Å)"


def check_mask(path: str, mask: np.ndarray) -> None:
    """Refuse a map that is no mask; resampling may leave values a little beyond 0 and 1."""
    low, high = float(mask.min()), float(mask.max())
    if high < 0.5:
        raise InputError(path, None, "no voxel above 0.5", "a mask that is 1 inside")
    if low < -0.1 or high > 1.1:
        raise InputError(path, None, f"values from {low:.3g} to {high:.3g}", "a mask from 0 to 1")


def check_solvent_mask(path: str, mask: np.ndarray) -> None:
    """Refuse an inverted mask; of a focus mask all but a region may be meant."""
    inner, outer = _inside_and_outside(mask)
    if outer > 0.5 and outer > inner + 1e-3:
        found = f"{outer:.2f} beyond the sphere that fits the box and {inner:.2f} within it"
        expected = "1 where the particle is; if the mask is inverted, give 1 − mask"
        raise InputError(path, "mean", found, expected)


def doubts_of_mask(path: str, mask: np.ndarray) -> Iterator[str]:
    """A mask that the box cuts off, or that masks nothing."""
    if mask.min() > 0.5:
        yield f"{path}: above 0.5 in the whole box; it masks nothing"
        return
    faces = [np.take(mask, end, axis) for axis in range(mask.ndim) for end in (0, -1)]
    touched = float(np.mean([face > 0.5 for face in faces]))
    if touched > EDGE:
        yield (
            f"{path}: {touched:.0%} of the box's faces are inside the mask: the mask is inverted or"
            " made for other voxels, or the particle is too large for its box"
        )


def doubts_of_voxels(path: str, voxel_size: float, pixel_size: float) -> Iterator[str]:
    """A voxel size other than the particles'."""
    if voxel_size > 0 and abs(voxel_size / pixel_size - 1) > 0.01:
        also = ", as programs write that do not know it" if abs(voxel_size - 1) < 1e-6 else ""
        yield (
            f"{path}: voxels of {voxel_size:g} Å by its header{also}, particles of"
            f" {pixel_size:g} Å; it is taken to be on the particles' grid. Where it is not,"
            " resample it (relion_image_handler --rescale_angpix --new_box)"
        )


def _inside_and_outside(mask: np.ndarray) -> tuple[float, float]:
    """Means within the largest sphere and beyond it."""
    axis = np.arange(len(mask)) - (len(mask) - 1) / 2
    beyond = sum(np.meshgrid(axis**2, axis**2, axis**2, indexing="ij")) > (len(mask) / 2) ** 2
    return float(mask[~beyond].mean()), float(mask[beyond].mean())
