"""One class at full box, from its own particles only."""

import numpy as np

from emjax.campaign.input import input_particles
from emjax.campaign.job import job
from emjax.errors import InputError
from emjax.io.labels.read import read_labels
from emjax.jobs.reconstruction import reconstruct_members, write_reconstruction

with job(snakemake) as work:
    params, config, folder = snakemake.params, snakemake.config, work.folder
    prepare = folder.reconstruct if params.given else folder.prepare
    maps = folder.reconstruct if params.given else folder.consensus
    number = int(snakemake.wildcards.number)
    members = np.flatnonzero(read_labels(maps.particles.star)[1] == number - 1)
    if not len(members):
        file, found = maps.particles.star, f"no particle of {number}"
        raise InputError(file, "rlnClassNumber", found, "a class's number")
    source = input_particles(config)
    found = reconstruct_members(prepare, source, members, params.symmetry, work.progress)
    resolution = write_reconstruction(maps, number, found, source.pixel_size)
    work.say(f"class {number}: {len(members)} particles, {resolution:.1f} Å at FSC 0.143")
