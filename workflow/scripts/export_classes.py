"""The consensus classes as files for other programs."""

from emjax.campaign.input import input_particles
from emjax.campaign.job import job
from emjax.jobs.export import export_consensus, space

with job(snakemake) as work:
    params, particles = snakemake.params, input_particles(snakemake.config)
    refined = params.poses == "refined"
    formats = tuple(params.formats)
    written = export_consensus(work.folder, particles, formats, refined, params.focus)
    work.say(f"{space(written)} in {work.folder.export}")
