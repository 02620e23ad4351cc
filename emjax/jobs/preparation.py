"""Particles as the preparation takes them, and the files that it leaves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.folder import PrepareFolder
from emjax.classify.outliers import AUTO_RATE, OutlierOptions, Outliers, describe_outliers
from emjax.classify.pose_error import PoseError
from emjax.classify.pose_refinement import Refinement, describe_poses
from emjax.errors import InputError
from emjax.imaging.bad_images import MEASURES, BadImages, say_bad_images
from emjax.imaging.crop import grid_for
from emjax.imaging.masks import share_inside
from emjax.imaging.prepare import AlignedImages, Prepared, PrepareOptions
from emjax.io.fields import FIT, SET_ASIDE
from emjax.io.files import atomic_memmap, open_npy, write_half_precision, write_json, write_tsv
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.columns import has_poses, refined_columns
from emjax.io.particles.overlaps import overlapping
from emjax.io.particles.particle_set import ParticleSet, write_particles
from emjax.io.particles.scales import given_scales
from emjax.jobs.optics import describe_optics
from emjax.jobs.prepared import distortions_of, groups_of
from emjax.resolution import resolution_at

# Of the mean map's density in a solvent mask.
LEAST_INSIDE, HARDLY_INSIDE = 0.5, 0.1


def prepare_options(params: Any) -> PrepareOptions:
    """Options of the library from those of the rule."""
    return PrepareOptions(
        params.filter_resolution,
        params.scale,
        params.static_noise,
        params.symmetry,
        **{name: params.masks[name] for name in ("threshold", "near", "far")},
        split_seed=params.split_seed,
        bad_images=params.bad_images,
    )


def outlier_options(
    options: dict[str, Any], table: ParticleSet, symmetry: str = "C1"
) -> OutlierOptions:
    """Options of the library from those of the configuration; off for images aligned in 2D.

    These have no map of the volume that they could fit.
    """
    # YAML reads off as false.
    named = {"auto": AUTO_RATE, "off": 0.0, False: 0.0}
    junk = options["junk"]
    rate = named[junk] if junk in named else junk
    rate = rate if has_poses(table.source) else 0.0
    return OutlierOptions(rate, options["poses"], symmetry=symmetry)


def pose_error_option(given: str | bool | dict[str, float]) -> str | PoseError:
    """Option of the library from that of the configuration."""
    if isinstance(given, dict):
        return PoseError(given["rotation"], given["shift"])
    # YAML reads off as false.
    return given if isinstance(given, str) else "off"


def aligned_images(table: ParticleSet, given_scale: bool = False) -> AlignedImages:
    """A particle set's images, poses and CTFs; its own scale where that is to be kept."""
    distortions = distortions_of(table)
    plain = {} if not distortions.any else {"undo": distortions.undo}
    return AlignedImages(
        # Preparation finds NaN itself, and goes without those images.
        ImageStacks(table, any_pixels=True).read,
        table.rotations,
        table.shifts,
        distortions.ctf,
        table.box_size,
        table.pixel_size,
        groups_of(table),
        table.half,
        table.image,
        overlapping(table),
        given_scales(table) if given_scale else None,
        table.image_name,
        **plain,
    )


@contextmanager
def images_file(
    folder: PrepareFolder, table: ParticleSet, filter_resolution: float, precision: str
) -> Iterator[np.ndarray]:
    """The array on disk that the prepared images go to; `float16` narrows it in the end."""
    grid = grid_for(table.box_size, table.pixel_size, filter_resolution)
    narrow = precision == "float16"
    full = folder.wide_images if narrow else folder.images
    with atomic_memmap(full, np.complex64, (table.n, len(grid.kx))) as images:
        yield images
    if narrow:
        write_half_precision(folder.images, open_npy(full))
        full.unlink()


def write_prepared(
    folder: PrepareFolder,
    found: Prepared,
    outliers: Outliers,
    poses: Refinement,
    table: ParticleSet,
    suffixes: tuple[str, ...],
    doubts: Sequence[str] = (),
) -> None:
    """Write noise, mean map, masks, bad images and, last, the particles with what was found."""
    particles, mean, bad = found.particles, found.mean, found.bad_images
    groups = np.unique(table.optics_group)
    write_tsv(folder.noise, noise_table(found.noise_power, groups, particles.extent, mean.fsc))
    write_volume(folder.mean_map, mean.volume, particles.voxel_size)
    write_volume(folder.solvent_mask, mean.solvent_mask, particles.voxel_size)
    for path, volume in zip(folder.half_maps, mean.half_maps, strict=True):
        write_volume(path, volume, particles.voxel_size)
    write_tsv(folder.bad_images, bad_images_table(bad, table.image_name))
    write_json(folder.outliers, outliers.record())
    write_json(folder.poses, poses.record())
    write_json(folder.doubts, list(doubts))
    reason = np.where(outliers.reason == "", "none", outliers.reason).astype("U5")
    reason[bad.rows] = "image"
    columns = {
        "rlnRandomSubset": particles.half,
        "emjaxScale": particles.scale,
        FIT: outliers.log_likelihood_ratio,
        SET_ASIDE: reason,
    }
    if len(outliers.recovered) or poses.width:
        columns |= refined_columns(particles.rotations, found.shifts)
    for path in folder.particles.all(suffixes):
        write_particles(path, table, columns)


def describe_preparation(
    folder: PrepareFolder,
    found: Prepared,
    outliers: Outliers,
    poses: Refinement,
    table: ParticleSet,
) -> Iterator[str]:
    """What became of images, particles and poses, a sentence for each thing there is to say."""
    if bad := found.bad_images:
        said = say_bad_images(bad, table.image_name)
        yield f"{len(bad)} of {table.n} images left out: {said}; listed in {folder.bad_images}"
    if redrawn := int((found.particles.half != table.half)[table.half > 0].sum()):
        yield (
            f"half-sets of {redrawn} particles drawn anew (split_seed): the file's random subsets"
            " put images that overlap (copies, duplicated picks, segments of a filament) into both"
        )
    if missing := int((table.half == 0).sum()):
        yield (
            f"half-sets of {missing} particles drawn at random (split_seed): their file has no"
            " random subset; the exports carry them"
        )
    yield from describe_outliers(outliers)
    yield from describe_poses(poses)
    particles = found.particles
    yield from describe_optics(table, particles.extent / particles.radius)
    finest = particles.extent / particles.radius
    resolution = resolution_at(found.mean.fsc, particles.extent)
    # Shells beyond the filter are filled in part only.
    better = " or better" if resolution < finest else ""
    yield f"mean map at {max(resolution, finest):.1f} Å{better}"


def doubts_of_preparation(found: Prepared, solvent: str) -> Iterator[str]:
    """What the mean map shows to be doubtful in the input; `solvent` is the mask's file.

    Raises:
        InputError: where the mask leaves out nearly all of the particle.
    """
    if found.mask_given:
        mean, voxel_size = found.mean, found.particles.voxel_size
        share = share_inside(mean.solvent_mask, mean.volume, voxel_size)
        if share < HARDLY_INSIDE:
            said = f"{solvent}, which holds {share:.0%} of the mean map's density"
            raise InputError(
                "config", "masks.solvent", said, "a mask of the particle; auto makes one"
            )
        if share < LEAST_INSIDE:
            yield (
                f"{solvent}: holds {share:.0%} of the mean map's density only; it may be of another"
                " voxel size, centre or contrast (masks.solvent: auto makes one)"
            )


def bad_images_table(bad: BadImages, name: Callable[[int], str]) -> pd.DataFrame:
    """One row per image that is left out: its particle (from 1), name, reason and measure."""
    return pd.DataFrame(
        {
            "particle": bad.rows + 1,
            "image": [name(row) for row in bad.rows.tolist()],
            "reason": bad.reasons,
            "measure": [MEASURES[reason] for reason in bad.reasons],
            "value": bad.values.round(6),
            "limit": bad.limits.round(6),
        }
    )


def noise_table(
    power: np.ndarray, groups: np.ndarray, extent: float, fsc: np.ndarray | None = None
) -> pd.DataFrame:
    """Noise power of each optics group and shell, and the mean map's FSC where there is one.

    Args:
        power: by group and shell.
        groups: numbers of the optics groups, ascending.
        extent: length of the box in Å.
        fsc: of the mean map's half-maps, for the shells that were kept.
    """
    shells = np.arange(1, power.shape[1])  # DC is left out
    known = np.full(len(shells), np.nan)
    if fsc is not None:
        known[: len(fsc) - 1] = fsc[1 : len(shells) + 1]
    of_map = {} if fsc is None else {"mean_fsc": known}
    return pd.concat(
        pd.DataFrame(
            {
                "resolution": extent / shells,
                "frequency_per_angstrom": shells / extent,
                "optics_group": group,
                "power": power[row, 1:],
            }
            | of_map
        )
        for row, group in enumerate(groups)
    )
