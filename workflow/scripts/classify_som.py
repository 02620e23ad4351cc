"""A batch of maps (KerDenSOM), all seeds in one pass an iteration."""

import time
from pathlib import Path

import jax
from _job import job
from _prepared import load_prepared
from _som import mask_of, som_options, write_map

from emjax.classify.som.images import MaskedPixels
from emjax.classify.som.kerdensom import train_maps
from emjax.imaging.inplane import upright_images
from emjax.io.files import read_json

with job(snakemake) as work:
    params, prepare = snakemake.params, Path(snakemake.input.facts[0]).parent
    start = time.monotonic()
    table, particles = load_prepared(prepare)
    facts = read_json(prepare / "prepare.json")
    options = som_options(params.options)
    options.check(particles.n)
    pixels = MaskedPixels(mask_of(params.options, particles, facts["pixel_size"]))
    images = upright_images(particles, params.options["ctf"] == "phase_flip")
    vectors = pixels.vectors(images)
    work.say(f"{particles.n} images of {pixels.n_pixels} pixels inside the mask")
    # Xmipp computes in double precision; its trajectory is not followed without.
    double = options.mode == "xmipp"
    with jax.enable_x64(double):
        vectors = vectors.astype(float) if double else vectors
        runs = train_maps(vectors, options, params.seeds, pixels.low_pass)
    common = {
        "emjax_version": params.emjax,
        "method": "som",
        "options": params.options,
        "input_checksum": facts["checksum"],
        "devices": [str(device) for device in jax.devices()],
        "seconds": (time.monotonic() - start) / len(runs),
    }
    suffixes = sorted({Path(path).suffix for path in snakemake.output.labels})
    voxel_size = particles.voxel_size
    for metrics, run in zip(map(Path, snakemake.output.metrics), runs, strict=True):
        write_map(metrics.parent, table, run, options, images, pixels, voxel_size, common, suffixes)
        work.say(
            f"{metrics.parent.name}: {len(run.table)} iterations, topographic error"
            f" {run.quality.topographic_error:.3f}, {run.quality.empty_nodes} empty nodes"
        )
