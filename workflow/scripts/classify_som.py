"""A batch of maps (KerDenSOM), all seeds in one pass per iteration."""

import time

from emjax.campaign.job import job
from emjax.classify.som.runs import classify_images
from emjax.imaging.inplane import upright_images
from emjax.jobs.prepared import read_prepared
from emjax.jobs.run_files import run_context, runs_of, write_run
from emjax.jobs.som import as_aligned, mask_of, properties_of, som_options

with job(snakemake) as work:
    params, start = snakemake.params, time.monotonic()
    prepared = read_prepared(work.folder.prepare)
    particles = as_aligned(prepared.particles, params.options)
    properties = properties_of(prepared.table)
    mask = mask_of(params.options, particles, prepared.facts.pixel_size)
    images = upright_images(particles, params.options["ctf"] == "phase_flip")
    work.say(f"{particles.n} images of {int((mask > 0).sum())} pixels inside the mask")
    runs, options = runs_of(snakemake.output.metrics), som_options(params.options)
    seeds = [run.seed for run in runs if run.seed is not None]
    found = classify_images(images, mask, options, seeds, properties)
    seconds = (time.monotonic() - start) / len(found)
    context = run_context(work, prepared, params, seconds=seconds)
    for name, trained in zip(runs, found, strict=True):
        write_run(work.folder.run(name), trained, context)
        work.say(
            f"{name}: {trained.iterations} iterations, topographic error"
            f" {trained.facts['topographic_error']:.3f}, {trained.facts['empty_nodes']} empty nodes"
        )
