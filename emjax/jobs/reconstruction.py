"""A class's map from its particles, and its files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.folder import ClassMapsFolder, PrepareFolder, ReconstructFolder
from emjax.campaign.job import not_there
from emjax.errors import InputError
from emjax.imaging.prepare import Prepared
from emjax.imaging.reconstruct import Reconstruction, reconstruct
from emjax.io.files import write_tsv
from emjax.io.labels.join import JoinedLabels, join_labels
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.particle_set import ParticleSet, write_particles
from emjax.jobs.preparation import bad_images_table, noise_table
from emjax.jobs.prepared import (
    distortions_of,
    full_box_mask,
    groups_of,
    poses_of,
    read_noise,
    read_scale,
    read_table,
)
from emjax.resolution import resolution_at


def given_classes(table: ParticleSet, options: dict[str, Any]) -> JoinedLabels:
    """The class of each particle, by its own file or another label file of the same particles.

    Args:
        table: the particles.
        options: the section `reconstruct` of the configuration.

    Raises:
        InputError: where the file has no classes, or none of the particles.
    """
    path = options["classes"] or table.source.file
    if not Path(path).exists():
        raise InputError("config", "reconstruct.classes", not_there(path), "a label file")
    found = join_labels(table, path, options["key"], options["class_column"])
    if not (found.labels >= 0).any():
        raise InputError(path, None, "no particle that has a class", "class numbers from 1")
    return found


def write_given_classes(
    folder: ReconstructFolder,
    found: Prepared,
    table: ParticleSet,
    labels: np.ndarray,
    suffixes: tuple[str, ...],
) -> None:
    """Write noise, mask, bad images, class sizes and, last, the particles with their classes.

    Args:
        folder: of the job.
        found: what the images say.
        table: the particles.
        labels: class of each, from 0; -1 where it has none. They keep their numbers.
        suffixes: of the particle files.
    """
    particles, mean, bad = found.particles, found.mean, found.bad_images
    labels = labels.copy()
    labels[bad.rows] = -1
    # Another number of classes must not leave the maps of earlier ones behind.
    for stale in folder.of_classes():
        stale.unlink()
    groups = np.unique(table.optics_group)
    write_tsv(folder.noise, noise_table(found.noise_power, groups, particles.extent, mean.fsc))
    write_volume(folder.solvent_mask, mean.solvent_mask, particles.voxel_size)
    write_tsv(folder.bad_images, bad_images_table(bad, table.image_name))
    size = np.bincount(labels[labels >= 0])
    sizes = {"class": np.arange(1, len(size) + 1), "size": size}
    write_tsv(folder.classes, pd.DataFrame(sizes))
    columns = {
        "rlnClassNumber": labels + 1,
        "rlnRandomSubset": particles.half,
        "emjaxScale": particles.scale,
    }
    for path in folder.particles.all(suffixes):
        write_particles(path, table, columns)


def reconstruct_members(
    folder: PrepareFolder,
    source: ParticleSet,
    members: np.ndarray,
    symmetry: str,
    progress: Callable[[int, int], None],
) -> Reconstruction:
    """Map of some of the particles at full box, at the poses that the campaign works with.

    Args:
        folder: of the preparation, which knows poses, scales and half-sets.
        source: all particles of the input, which knows where their images are.
        members: rows that belong to the map.
        symmetry: point group in RELION's axes.
        progress: called with particles read and in all.
    """
    prepared, particles = read_table(folder), source.select(members)
    rotations, shifts = poses_of(prepared)
    read, distortions = ImageStacks(particles).read, distortions_of(particles)
    return reconstruct(
        (lambda rows: distortions.undo(rows, read(rows))) if distortions.any else read,
        rotations[members],
        shifts[members],
        distortions.ctf,
        read_scale(prepared)[members],
        groups_of(prepared)[members],
        prepared.half[members],
        read_noise(folder),
        particles.box_size,
        particles.pixel_size,
        full_box_mask(folder, particles.box_size),
        progress,
        symmetry,
    )


def write_reconstruction(
    folder: ClassMapsFolder, number: int, found: Reconstruction, pixel_size: float
) -> float:
    """Write map, half-maps and FSC of a class; its resolution in Å comes back."""
    write_volume(folder.class_map(number), found.volume, pixel_size)
    for half, half_map in enumerate(found.half_maps, 1):
        write_volume(folder.class_map(number, f"half{half}"), half_map, pixel_size)
    extent = len(found.volume) * pixel_size
    shells = np.arange(1, len(found.fsc))
    fsc = {
        "resolution": extent / shells,
        "frequency_per_angstrom": shells / extent,
        "fsc": found.fsc_masked[1:],
        "fsc_unmasked": found.fsc[1:],
    }
    write_tsv(folder.class_fsc(number), pd.DataFrame(fsc))
    return resolution_at(found.fsc_masked, extent)
