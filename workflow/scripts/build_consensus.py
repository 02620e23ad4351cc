"""The consensus of all runs: intersections, linkage, number of classes, stability."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from _job import job
from _prepared import read_table

from emjax.consensus.build import ConsensusOptions, build_consensus
from emjax.io.files import read_json, read_npy, write_json, write_npy, write_tsv
from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import write_particles

with job(snakemake) as work:
    params, output = snakemake.params, snakemake.output
    table = read_table(Path(snakemake.input.particles[0]).parent)
    folders = [Path(path).parent for path in snakemake.input.labels]
    labels = np.stack([read_labels(folder / "particles.star")[1] for folder in folders], 1)
    posteriors = [read_npy(path) for path in snakemake.input.posteriors]
    metrics = [read_json(folder / "metrics.json") for folder in folders]
    if params.options["on_mismatch"] == "intersect":
        labels[(labels < 0).any(1)] = -1
    judged = [read_json(path)["discrete_classes"] for path in snakemake.input.evidence]
    known = {field.name for field in dataclasses.fields(ConsensusOptions)}
    found = build_consensus(
        labels,
        [folder.name for folder in folders],
        posteriors,
        ConsensusOptions(**{k: v for k, v in params.options.items() if k in known}),
        log_likelihood=np.array([m.get("log_likelihood") or np.nan for m in metrics], float),
        # Held-out particles allow the largest number they chose, however well more would agree.
        held_out_gain={max(judged): 1.0} if judged else None,
    )

    # A consensus of fewer classes must not leave the maps of an earlier one behind.
    for stale in Path(output.stability).parent.glob("class_*"):
        stale.unlink()
    intersections = pd.DataFrame(found.intersections)
    intersections["consensus_class"] += 1
    classes = pd.DataFrame(found.classes)
    classes["class"] += 1
    matching = pd.DataFrame(found.matching)
    matching[["class", "partner"]] += 1
    first, second = np.triu_indices(len(found.run_names), 1)
    names = np.array(found.run_names)
    agreement = {
        "run": names[first],
        "other": names[second],
        "ari": found.ari[first, second],
        "ami": found.ami[first, second],
    }
    write_tsv(output.intersections, intersections)
    write_npy(output.linkage, found.linkage)
    write_json(output.elbows, found.elbows)
    write_tsv(output.stability, classes)
    write_tsv(output.agreement, pd.DataFrame(agreement))
    write_tsv(output.matching, matching)
    columns = {
        "rlnClassNumber": found.labels + 1,
        "rlnMaxValueProbDistribution": found.class_posterior,
        "emjaxStability": found.stability,
        "emjaxClassPosterior": found.class_posterior,
    }
    for path in output.particles:
        write_particles(path, table, columns)
    work.say(
        f"{len(classes)} consensus classes of {', '.join(map(str, classes['size']))} particles"
    )
    best, why = found.elbows["recommended"], found.elbows["why"]
    work.say(why if best == found.elbows["chosen"] else f"{best} would be recommended: {why}")
