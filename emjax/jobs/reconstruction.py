"""A class's map from its particles, and its files."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from emjax.campaign.folder import ConsensusFolder, PrepareFolder
from emjax.imaging.reconstruct import Reconstruction, reconstruct
from emjax.io.files import write_tsv
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import write_volume
from emjax.io.particles.particle_set import ParticleSet
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
    folder: ConsensusFolder, number: int, found: Reconstruction, pixel_size: float
) -> float:
    """Write map, half-maps and FSC of a consensus class; its resolution in Å comes back."""
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
