"""Basis, statistics and held-out evidence of the subspace campaign."""

import numpy as np
import pandas as pd

from emjax.campaign.job import job
from emjax.classify.evidence import evidence_curve
from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.subspace.analysis import analyse
from emjax.classify.subspace.statistics import latent_means
from emjax.io.files import write_json, write_npy, write_tsv
from emjax.jobs.preparation import pose_error_option
from emjax.jobs.prepared import read_prepared
from emjax.jobs.subspace import given_basis, subspace_options

with job(snakemake) as work:
    params, folder = snakemake.params, work.folder.method("subspace")
    prepared = read_prepared(work.folder.prepare)
    mask, memory = prepared.mask(params.focus), snakemake.config["max_memory_gb"]
    operators = make_pixel_operators(prepared.particles, max_memory_gb=memory)
    given = given_basis(params.options, prepared, operators, mask)
    found = analyse(
        operators,
        prepared.mean,
        mask,
        subspace_options(
            params.options,
            pose_error_option(params.pose_error),
            None if given is None else len(given),
        ),
        prepared.blocks,
        lambda *words: work.say(" ".join(map(str, words))),
        given,
    )
    basis = np.concatenate([np.asarray(found.basis.mean)[None], found.basis.components])
    write_npy(folder.basis, basis)
    write_npy(folder.statistics, found.statistics.features)
    write_npy(folder.held_out, found.held_out.statistics.features)
    coordinates = latent_means(found.statistics)
    write_npy(folder.coordinates, prepared.for_everyone(coordinates, np.nan))
    classes, record = found.judgement.chosen.evidence.classes, found.record()
    write_tsv(folder.evidence_curve, pd.DataFrame(evidence_curve(classes)))
    write_json(folder.evidence, record)
    work.say(f"{record['verdict']}: {classes.reason}")
