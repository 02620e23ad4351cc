"""A batch of em3d runs, several seeds with every number of classes, in one pass an iteration."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
from _checkpoint import Checkpoint, checkpoint_path, fingerprint
from _em3d import Iterations, Progress, first_maps, read_scene, stand
from _job import job
from _prepared import load_prepared
from _runs import write_run

from emjax.classify.em3d.iterations import classify
from emjax.classify.em3d.state import Em3dOptions, Run
from emjax.classify.operators.backend import describe_backend
from emjax.classify.operators.passes import make_engine
from emjax.io.files import read_json
from emjax.io.mrc.volume import write_volume

with job(snakemake) as work:
    params, prepare = snakemake.params, Path(snakemake.input.facts[0]).parent
    memory = snakemake.config["max_memory_gb"]
    table, particles = load_prepared(prepare)
    facts = read_json(prepare / "prepare.json")
    known = {field.name for field in dataclasses.fields(Em3dOptions)}
    options = Em3dOptions(**{k: v for k, v in params.options.items() if k in known})
    folders = [Path(path).parent for path in snakemake.output.metrics]
    runs = [Run(int(k[1:]), int(s[1:])) for k, s in (f.name.split("-")[1:] for f in folders)]
    scene = read_scene(prepare, params.focus, particles.box_size, facts["box_size"])

    names, precision = [f.name for f in folders], str(particles.images.dtype)
    settings = [params.emjax, params.options, params.focus, names, precision]
    maps = ("solvent_mask.mrc", "mean_map.mrc")
    decisive = [prepare / name for name in ("particles.star", "noise.tsv", *maps)]
    of = fingerprint(settings, [*decisive, *snakemake.input.focus, *snakemake.input.initial_maps])
    checkpoint = Checkpoint(checkpoint_path(snakemake), of)
    resume = checkpoint.load()
    iterations = Iterations(checkpoint_path(snakemake), table, particles.voxel_size)
    if resume:
        work.say("going on after {} iteration {}".format(*stand(resume)))
    else:
        iterations.remove()
    written = iterations if options.write_each_iteration else None
    work.say(f"engine: {describe_backend()}")
    highpass, limit = options.highpass_resolution, options.particle_limit
    results = classify(
        make_engine(particles, memory, 0, highpass, limit),
        scene,
        runs,
        options,
        initial_volumes=first_maps(runs, params.options["initial_maps"], particles.box_size),
        resume=resume,
        on_iteration=Progress(work, checkpoint, options, written),
        everyone=make_engine(particles, memory, 0, highpass) if limit else None,
    )
    common = {
        "emjax_version": params.emjax,
        "method": "em3d",
        "options": params.options,
        "input_checksum": facts["checksum"],
        "devices": [str(device) for device in jax.devices()],
        "engine": describe_backend(),
        "seconds": checkpoint.seconds / len(runs),
    }
    suffixes = sorted({Path(path).suffix for path in snakemake.output.labels})
    for folder, result in zip(folders, results, strict=True):
        if params.focus:
            mask = np.asarray(scene.focus_mask)
            write_volume(folder / "focus_mask.mrc", mask, particles.voxel_size)
        if written:
            written.deliver(result.run, folder / "iterations")
        write_run(folder, table, result, particles, scene, common, suffixes)
        for warning in result.warnings:
            work.say(f"{folder.name}: {warning}")
    checkpoint.remove()
    iterations.remove()
