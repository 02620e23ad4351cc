"""The consensus classes as files for other programs."""

from pathlib import Path

from _job import job

from emjax.io.export.results import export_results
from emjax.io.particles.particle_set import read_particles

with job(snakemake) as work:
    params, output = snakemake.params, Path(snakemake.output[0])
    particles = read_particles(
        snakemake.config["particles"],
        params.image_root,
        on_mixed_optics=params.on_mixed_optics,
    )
    written = export_results(output.parent, particles, tuple(params.formats))
    work.say(f"{len(written)} files in {output}")
