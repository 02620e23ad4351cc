"""Classes of em3d judged by held-out particles: maps of each half-set score the other."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from _em3d import first_maps, read_scene
from _job import job
from _prepared import load_prepared, micrographs_of

from emjax.classify.em3d.held_out import fit_halves, judge_maps
from emjax.classify.em3d.state import Em3dOptions, Run
from emjax.classify.evidence import evidence_curve
from emjax.classify.operators.pixels import make_pixel_operators
from emjax.io.files import read_json, write_json, write_tsv

with job(snakemake) as work:
    params, prepare = snakemake.params, Path(snakemake.input.facts[0]).parent
    memory = snakemake.config["max_memory_gb"]
    table, particles = load_prepared(prepare)
    facts = read_json(prepare / "prepare.json")
    known = {field.name for field in dataclasses.fields(Em3dOptions)}
    options = Em3dOptions(**{k: v for k, v in params.options.items() if k in known})
    scene = read_scene(prepare, params.focus, particles.box_size, facts["box_size"])
    any_run = Run(max(params.n_classes), 0)
    given = first_maps([any_run], params.options["initial_maps"], particles.box_size)
    fits = fit_halves(
        particles,
        scene,
        params.n_classes,
        params.seeds,
        options,
        micrographs_of(table),
        given[any_run] if given else None,
        memory,
    )
    mean = np.asarray(scene.mean_map * scene.solvent_mask)
    operators = make_pixel_operators(particles, max_memory_gb=memory)
    found = judge_maps(operators, fits, mean, micrographs_of(table))
    write_tsv(snakemake.output.curve, pd.DataFrame(evidence_curve(found.classes)))
    write_json(snakemake.output.evidence, found.record())
    work.say(found.classes.reason)
