"""Every seed and number of classes inside the subspace; the best optima become runs."""

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from _job import job
from _prepared import load_prepared
from _subspace import pose_derivatives, read_mask, write_optimum

from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.subspace.basis import Basis
from emjax.classify.subspace.mixture import assign, fit_seeds, posteriors_and_gain
from emjax.classify.subspace.optima import (
    distinct_optima,
    information,
    seed_array,
    seed_table,
)
from emjax.classify.subspace.polish import polish
from emjax.classify.subspace.statistics import Statistics
from emjax.classify.subspace.volumes import class_coefficients, to_maps
from emjax.io.files import read_json, write_npy, write_tsv

with job(snakemake) as work:
    params, prepare = snakemake.params, Path(snakemake.input.facts[0]).parent
    options, start = params.options, time.monotonic()
    table, particles = load_prepared(prepare)
    facts = read_json(prepare / "prepare.json")
    volumes = jnp.asarray(np.load(snakemake.input.basis, allow_pickle=False))
    basis = Basis(volumes[0], volumes[1:])
    features = np.load(snakemake.input.statistics, mmap_mode="r", allow_pickle=False)
    statistics = Statistics(features, np.zeros(len(features)), basis.n_components)
    seeds = options["seeds"]
    seeds = range(seeds) if isinstance(seeds, int) else seeds
    folders = {Path(path).parent.name: Path(path).parent for path in snakemake.output.metrics}
    suffixes = sorted({Path(path).suffix for path in snakemake.output.labels})
    metric = information(statistics)
    common = {
        "emjax_version": params.emjax,
        "method": "subspace",
        "options": options,
        "input_checksum": facts["checksum"],
        "devices": [str(device) for device in jax.devices()],
    }
    rows, labels, kept, campaigns = [], [], [], []
    for k in options["n_classes"]:
        campaign = fit_seeds(statistics, k, seeds)
        campaigns.append(campaign)
        optima = distinct_optima(campaign, metric)
        rows.append(pd.DataFrame(seed_table(campaign, optima, statistics.n)))
        work.say(
            f"K = {k}: {len(optima)} optima, the best from {len(optima[0].members)} of"
            f" {len(campaign.seeds)} seeds"
        )
        for number in range(options["keep"]):
            # With fewer optima than are to be kept, the last stands for the rest.
            optimum = optima[min(number, len(optima) - 1)]
            z, weights = campaign.coordinates[optimum.row], campaign.class_weights[optimum.row]
            labels.append(assign(statistics, z[None], weights[None])[:, 0])
            posteriors, gain = posteriors_and_gain(statistics, z, weights)
            values = class_coefficients(basis, z)
            if options["polish_iterations"]:
                operators = make_pixel_operators(
                    particles, max_memory_gb=snakemake.config["max_memory_gb"]
                )
                mask = read_mask(prepare, params.focus, particles.box_size, facts["box_size"])
                nuisance = pose_derivatives(prepare, read_json(snakemake.input.evidence), particles)
                count = options["polish_iterations"]
                refined = polish(operators, values, weights, mask, count, nuisance)
                posteriors, values = refined.posteriors, refined.volumes
            facts_of_run = common | {
                "n_classes": k,
                "seed": int(campaign.seeds[optimum.row]),
                "optimum": number + 1,
                "reached_by": len(optimum.members) / len(campaign.seeds),
                "iterations": int(campaign.iterations[optimum.row]),
                "converged": bool(campaign.converged[optimum.row]),
                "log_likelihood": float(gain.mean()),
                "seconds": time.monotonic() - start,
                "warnings": [],
                "history": [],
            }
            name = f"sub-K{k:02d}-s{number:03d}"
            maps = to_maps(values, particles.grid)
            write_optimum(
                folders[name], table, posteriors, maps, particles.voxel_size, facts_of_run, suffixes
            )
            kept.append({"run": name, "n_classes": k, "optimum": number + 1} | {
                name: facts_of_run[name] for name in ("seed", "reached_by", "log_likelihood")
            })  # fmt: skip
    write_npy(snakemake.output.seeds, seed_array(campaigns))
    write_npy(snakemake.output.all_labels, np.stack(labels, 1).astype(np.int16))
    write_tsv(snakemake.output.likelihood, pd.concat(rows))
    write_tsv(snakemake.output.optima, pd.DataFrame(kept))
