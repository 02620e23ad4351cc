"""The consensus classes as files for other programs."""

from emjax.campaign.job import job
from emjax.io.particles.particle_set import read_particles
from emjax.jobs.export import export_consensus

with job(snakemake) as work:
    params, source = snakemake.params, snakemake.config["particles"]
    mixed = params.on_mixed_optics
    particles = read_particles(source, params.image_root, on_mixed_optics=mixed)
    refined = params.poses == "refined"
    written = export_consensus(work.folder, particles, tuple(params.formats), refined)
    work.say(f"{len(written)} files in {work.folder.export}")
