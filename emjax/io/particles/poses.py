"""Other poses in the place of those that a particle file came with."""

from dataclasses import replace

import numpy as np

from emjax.io.convert.update import updated_cs, updated_star
from emjax.io.cryosparc.tables import CsParticles
from emjax.io.particles.particle_set import ParticleSet


def with_poses(
    particles: ParticleSet, rotations: np.ndarray, shifts: np.ndarray, rows: np.ndarray
) -> ParticleSet:
    """The particles at other poses, in the columns and units that their file uses.

    Args:
        particles: as read.
        rotations: RELION's A of all, `[n, 3, 3]`.
        shifts: origins of all in Å, `[n, 2]`.
        rows: which of them change, `[n]` bool; the others keep what the file says.
    """
    pixel_size = particles.image_pixel_size
    fields = {"rotations": rotations, "shifts": shifts, "image_pixel_size": pixel_size}
    changed = {"rotations": rows, "shifts": rows}
    source = particles.source
    if isinstance(source, CsParticles):
        source = replace(source, records=updated_cs(source, fields, changed))
    else:
        source = updated_star(source, fields, changed)
    return replace(
        particles,
        source=source,
        rotations=np.where(rows[:, None, None], rotations, particles.rotations),
        shifts=np.where(rows[:, None], shifts, particles.shifts),
    )
