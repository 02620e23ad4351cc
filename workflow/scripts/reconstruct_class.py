"""One consensus class at full box, from its own particles only."""

from pathlib import Path

import numpy as np
import pandas as pd
from _job import job
from _prepared import ctf_of, groups_of, read_noise, read_scale, read_table

from emjax.errors import InputError
from emjax.imaging.masks import resample_mask
from emjax.imaging.reconstruct import reconstruct
from emjax.io.files import write_tsv
from emjax.io.labels.read import read_labels
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.particle_set import read_particles
from emjax.resolution import resolution_at

with job(snakemake) as work:
    params, output = snakemake.params, snakemake.output
    prepare, consensus = Path(snakemake.input.noise).parent, snakemake.input.consensus[0]
    number = int(snakemake.wildcards.number)
    members = np.flatnonzero(read_labels(consensus)[1] == number - 1)
    if not len(members):
        raise InputError(
            consensus, "rlnClassNumber", f"no particle of {number}", "a class's number"
        )
    prepared = read_table(prepare)
    # The prepared table knows scale and half-sets, the input where the images are.
    particles = read_particles(
        snakemake.config["particles"],
        params.image_root,
        on_mixed_optics=snakemake.config["on_mixed_optics"],
    ).select(members)
    found = reconstruct(
        ImageStacks(particles).read,
        particles.rotations,
        particles.shifts,
        ctf_of(particles),
        read_scale(prepared)[members],
        groups_of(prepared)[members],
        prepared.half[members],
        read_noise(prepare),
        particles.box_size,
        particles.pixel_size,
        resample_mask(read_volume(snakemake.input.solvent_mask)[0], particles.box_size),
        work.progress,
        params.symmetry,
    )
    write_volume(output.volume, found.volume, particles.pixel_size)
    for path, half_map in zip(output.half_maps, found.half_maps, strict=True):
        write_volume(path, half_map, particles.pixel_size)
    extent = particles.box_size * particles.pixel_size
    shells = np.arange(1, len(found.fsc))
    fsc = {
        "resolution": extent / shells,
        "frequency_per_angstrom": shells / extent,
        "fsc": found.fsc_masked[1:],
        "fsc_unmasked": found.fsc[1:],
    }
    write_tsv(output.fsc, pd.DataFrame(fsc))
    resolution = resolution_at(found.fsc_masked, extent)
    work.say(f"class {number}: {len(members)} particles, {resolution:.1f} Å at FSC 0.143")
