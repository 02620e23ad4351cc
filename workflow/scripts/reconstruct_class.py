"""One consensus class at full box, from its own particles only."""

import numpy as np

from emjax.campaign.job import job
from emjax.errors import InputError
from emjax.imaging.reconstruct import reconstruct
from emjax.io.labels.read import read_labels
from emjax.io.mrc.stack import ImageStacks
from emjax.io.particles.particle_set import read_particles
from emjax.jobs.prepared import (
    ctf_of,
    full_box_mask,
    groups_of,
    poses_of,
    read_noise,
    read_scale,
    read_table,
)
from emjax.jobs.reconstruction import write_reconstruction

with job(snakemake) as work:
    params, config, prepare = snakemake.params, snakemake.config, work.folder.prepare
    consensus, number = work.folder.consensus, int(snakemake.wildcards.number)
    members = np.flatnonzero(read_labels(consensus.particles.star)[1] == number - 1)
    if not len(members):
        file, found = consensus.particles.star, f"no particle of {number}"
        raise InputError(file, "rlnClassNumber", found, "a class's number")
    # The prepared table knows scale and half-sets, the input where the images are.
    prepared, mixed = read_table(prepare), config["on_mixed_optics"]
    source = read_particles(config["particles"], params.image_root, on_mixed_optics=mixed)
    particles = source.select(members)
    rotations, shifts = poses_of(prepared)
    found = reconstruct(
        ImageStacks(particles).read,
        rotations[members],
        shifts[members],
        ctf_of(particles),
        read_scale(prepared)[members],
        groups_of(prepared)[members],
        prepared.half[members],
        read_noise(prepare),
        particles.box_size,
        particles.pixel_size,
        full_box_mask(prepare, particles.box_size),
        work.progress,
        params.symmetry,
    )
    resolution = write_reconstruction(consensus, number, found, particles.pixel_size)
    work.say(f"class {number}: {len(members)} particles, {resolution:.1f} Å at FSC 0.143")
