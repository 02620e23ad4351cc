"""A batch of maps (KerDenSOM), all seeds in one pass an iteration."""

import time

import jax

from emjax.campaign.job import job
from emjax.classify.som.images import MaskedPixels
from emjax.classify.som.kerdensom import train_maps
from emjax.imaging.inplane import upright_images
from emjax.jobs.prepared import read_prepared
from emjax.jobs.run_files import run_context, write_run
from emjax.jobs.som import classification_of, mask_of, properties_of, som_options, write_tables

with job(snakemake) as work:
    params, start = snakemake.params, time.monotonic()
    prepared = read_prepared(work.folder.prepare)
    particles, options = prepared.particles, som_options(params.options)
    options.check(particles.n)
    pixels = MaskedPixels(mask_of(params.options, particles, prepared.facts.pixel_size))
    images = upright_images(particles, params.options["ctf"] == "phase_flip")
    vectors = pixels.vectors(images)
    work.say(f"{particles.n} images of {pixels.n_pixels} pixels inside the mask")
    # Xmipp computes in double precision; its trajectory is not followed without.
    double = options.mode == "xmipp"
    with jax.enable_x64(double):
        vectors = vectors.astype(float) if double else vectors
        maps = train_maps(vectors, options, params.seeds, pixels.low_pass)
    seconds = (time.monotonic() - start) / len(maps)
    context, properties = (
        run_context(work, prepared, params, seconds=seconds),
        properties_of(prepared.table),
    )
    for name, trained in zip(params.runs, maps, strict=True):
        folder = work.folder.run(name)
        write_tables(folder, trained, options, properties)
        write_run(folder, classification_of(trained, options, images, pixels, properties), context)
        work.say(
            f"{name}: {len(trained.table)} iterations, topographic error"
            f" {trained.quality.topographic_error:.3f}, {trained.quality.empty_nodes} empty nodes"
        )
