"""Classes of em3d judged by held-out particles: maps of each half-set score the other."""

import numpy as np
import pandas as pd

from emjax.campaign.job import job
from emjax.classify.em3d.held_out import fit_halves, judge_maps
from emjax.classify.evidence import evidence_curve
from emjax.classify.operators.pixels import make_pixel_operators
from emjax.io.files import write_json, write_tsv
from emjax.jobs.em3d import em3d_options, first_maps, read_scene
from emjax.jobs.em3d_progress import judging_progress
from emjax.jobs.prepared import read_prepared
from emjax.jobs.subspace import given_components

with job(snakemake) as work:
    params, memory = snakemake.params, snakemake.config["max_memory_gb"]
    folder, prepared = work.folder.method("em3d"), read_prepared(work.folder.prepare)
    scene, particles = read_scene(prepared, params.focus), prepared.particles
    fits = fit_halves(
        particles,
        scene,
        params.n_classes,
        params.seeds,
        em3d_options(params.options),
        prepared.blocks,
        first_maps(params.options["initial_maps"], prepared),
        given_components(params.options["initial_components"], prepared),
        memory,
        judging_progress(work, params),
    )
    mean = np.asarray(scene.mean_map * scene.solvent_mask)
    operators = make_pixel_operators(particles, max_memory_gb=memory)
    found = judge_maps(operators, fits, mean, prepared.blocks)
    write_tsv(folder.evidence_curve, pd.DataFrame(evidence_curve(found.classes)))
    write_json(folder.evidence, found.record())
    work.say(found.classes.reason)
