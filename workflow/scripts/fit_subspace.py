"""Basis, statistics and held-out evidence of the subspace campaign."""

from pathlib import Path

import numpy as np
import pandas as pd
from _job import job
from _prepared import load_prepared, micrographs_of
from _subspace import given_components, read_mask, subspace_options

from emjax.classify.evidence import evidence_curve
from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.subspace.analysis import analyse
from emjax.classify.subspace.statistics import latent_means
from emjax.imaging.prepare import MeanMap
from emjax.io.files import read_json, write_json, write_npy, write_tsv
from emjax.io.mrc.volume import read_volume

with job(snakemake) as work:
    params, prepare = snakemake.params, Path(snakemake.input.facts[0]).parent
    table, particles = load_prepared(prepare)
    facts, box = read_json(prepare / "prepare.json"), particles.box_size
    mask = read_mask(prepare, params.focus, box, facts["box_size"])
    first, second = (read_volume(path)[0] for path in snakemake.input.half_maps)
    mean = MeanMap(
        read_volume(prepare / "mean_map.mrc")[0],
        (first, second),
        np.zeros(particles.grid.n_shells),
        read_volume(prepare / "solvent_mask.mrc")[0],
    )
    operators = make_pixel_operators(particles, max_memory_gb=snakemake.config["max_memory_gb"])
    given = given_components(params.options, table, operators, mean, mask)
    found = analyse(
        operators,
        mean,
        mask,
        subspace_options(params.options, None if given is None else len(given)),
        micrographs_of(table),
        lambda *words: work.say(" ".join(map(str, words))),
        given,
    )
    volumes = np.concatenate([np.asarray(found.basis.mean)[None], found.basis.components])
    write_npy(snakemake.output.basis, volumes)
    write_npy(snakemake.output.statistics, found.statistics.features)
    write_npy(snakemake.output.coordinates, latent_means(found.statistics))
    classes, record = found.judgement.chosen.evidence.classes, found.record()
    write_tsv(snakemake.output.curve, pd.DataFrame(evidence_curve(classes)))
    write_json(snakemake.output.evidence, record)
    work.say(f"{record['verdict']}: {classes.reason}")
