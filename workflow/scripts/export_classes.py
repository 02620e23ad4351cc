"""The consensus classes as files for other programs."""

from emjax.campaign.input import input_particles
from emjax.campaign.job import job
from emjax.jobs.export import export_consensus

with job(snakemake) as work:
    params, particles = snakemake.params, input_particles(snakemake.config)
    refined = params.poses == "refined"
    written = export_consensus(work.folder, particles, tuple(params.formats), refined)
    work.say(f"{len(written)} files in {work.folder.export}")
