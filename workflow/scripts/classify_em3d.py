"""A batch of em3d runs, several seeds with every number of classes, in one pass an iteration."""

import dataclasses
import time
from pathlib import Path

import jax
import numpy as np
from _checkpoint import Checkpoint, fingerprint
from _job import job
from _prepared import load_prepared
from _runs import write_run

from emjax.classify.em3d import classify
from emjax.classify.engine import make_engine
from emjax.classify.runs import Em3dOptions, Run, make_scene
from emjax.imaging.grids import resample
from emjax.imaging.masks import resample_mask
from emjax.io.atomic import read_json
from emjax.io.volume import read_volume

with job(snakemake) as work:
    params, prepare = snakemake.params, Path(snakemake.input.checked[0]).parent
    table, particles = load_prepared(prepare)
    facts, box = read_json(prepare / "prepare.json"), particles.box_size
    known = {field.name for field in dataclasses.fields(Em3dOptions)}
    options = Em3dOptions(**{k: v for k, v in params.options.items() if k in known})
    folders = [Path(path).parent for path in snakemake.output.metrics]
    runs = [Run(int(k[1:]), int(s[1:])) for k, s in (f.name.split("-")[1:] for f in folders)]

    focus = read_volume(params.focus, facts["box_size"])[0] if params.focus else None
    maps = [resample(read_volume(p)[0], box) for p in params.options["initial_maps"]]
    scene = make_scene(
        read_volume(prepare / "mean_map.mrc")[0],
        read_volume(prepare / "solvent_mask.mrc")[0],
        None if focus is None else resample_mask(focus, box),
    )
    settings = [params.emjax, params.options, params.focus, [f.name for f in folders]]
    decisive = [prepare / name for name in ("particles.star", "noise.tsv", "solvent_mask.mrc")]
    checkpoint = Checkpoint(
        params.checkpoint, fingerprint(settings, [*decisive, *snakemake.input.focus])
    )
    resume = checkpoint.load()
    if resume:
        work.say(f"going on after iteration {max(s.iteration for s in resume)}")
    last = time.monotonic()

    def after_iteration(states):
        global last
        took, last = time.monotonic() - last, time.monotonic()
        active = [s for s in states if not s.converged]
        done = max(s.iteration for s in states)
        latest = [s.history[-1] for s in states if s.iteration == done]
        work.say(
            f"iteration {done} of at most {options.full_iterations},"
            f" {len(states) - len(active)} of {len(states)} runs converged,"
            f" {100 * np.mean([h['switched'] for h in latest]):.1f} % switched class,"
            f" log-likelihood {np.mean([h['log_likelihood'] for h in latest]):.4f} a particle,"
            f" {took:.1f} s, {took * (options.full_iterations - done):.0f} s left at most"
        )
        checkpoint.save(states)

    engine = make_engine(particles, snakemake.config["max_memory_gb"])
    results = classify(
        engine,
        scene,
        runs,
        options,
        initial_volumes=dict.fromkeys(runs, np.stack(maps)) if maps else None,
        resume=resume,
        on_iteration=after_iteration,
    )
    common = {
        "emjax_version": params.emjax,
        "method": "em3d",
        "options": params.options,
        "input_checksum": facts["checksum"],
        "devices": [str(device) for device in jax.devices()],
        "seconds": checkpoint.seconds / len(runs),
    }
    suffixes = sorted({Path(path).suffix for path in snakemake.output.labels})
    for folder, result in zip(folders, results, strict=True):
        write_run(folder, table, result, particles, common, suffixes)
        for warning in result.warnings:
            work.say(f"{folder.name}: {warning}")
    checkpoint.remove()
