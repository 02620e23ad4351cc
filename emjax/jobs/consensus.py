"""The runs as the consensus reads them, and the files of what it found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.folder import CampaignFolder, ConsensusFolder
from emjax.campaign.methods import METHODS
from emjax.consensus.build import Consensus
from emjax.io.fields import FIT, SET_ASIDE, label
from emjax.io.files import read_json, read_npy, read_tsv, write_json, write_npy, write_tsv
from emjax.io.labels.read import read_labels
from emjax.io.particles.columns import refined_columns, refined_poses
from emjax.io.particles.particle_set import ParticleSet, write_particles
from emjax.jobs.outliers import read_reasons

COLUMNS = ["method", "n_classes", "seed", "iterations", "converged", "log_likelihood", "seconds"]


@dataclass(frozen=True)
class Runs:
    """Labels, posteriors and likelihoods of several runs over the same particles."""

    names: list[str]
    labels: np.ndarray  # (n, r)
    posteriors: list[np.ndarray]
    log_likelihood: np.ndarray  # (r,)
    groups: list[str]  # method and number of classes, which likelihoods are compared within
    starts: list[str]  # equal for runs that cannot end differently


def read_runs(folder: CampaignFolder, names: Sequence[str], on_mismatch: str) -> Runs:
    """What the runs wrote of the particles that take part.

    Particles that some run lacks are left out by `intersect`.
    """
    folders = [folder.run(name) for name in names]
    labels = np.stack([read_labels(run.particles.star)[1] for run in folders], 1)
    # A run of another program has classes for them too.
    labels[read_reasons(folder.outliers) != "none"] = -1
    if on_mismatch == "intersect":
        labels[(labels < 0).any(1)] = -1
    metrics = [read_json(run.metrics) for run in folders]
    known = [record.get("log_likelihood") or np.nan for record in metrics]
    posteriors = [read_npy(run.posteriors) for run in folders]
    groups = [f"{record['method']} {record['n_classes']}" for record in metrics]
    starts = [
        name if METHODS[record["method"]].seeds_vary else group
        for name, record, group in zip(names, metrics, groups, strict=True)
    ]
    return Runs(list(names), labels, posteriors, np.array(known, float), groups, starts)


def write_consensus(
    campaign: CampaignFolder, found: Consensus, table: ParticleSet, suffixes: tuple[str, ...]
) -> None:
    """Write the tables, the tree, and the particles with their classes."""
    folder = campaign.consensus
    write_tables(folder, found)
    fits = read_tsv(campaign.outliers.fits)
    before = fits["set_aside"].to_numpy(str)
    columns = class_columns(found) | {FIT: fits["fit"].to_numpy()}
    if (poses := refined_poses(table.source)) is not None:  # type: ignore[arg-type]
        columns |= refined_columns(*poses)
    columns[SET_ASIDE] = np.where(before == "none", columns[SET_ASIDE], before)
    for path in folder.particles.all(suffixes):
        write_particles(path, table, columns)


def write_tables(folder: ConsensusFolder, found: Consensus) -> None:
    """Write what the consensus says of groups, classes and runs."""
    # A consensus of fewer classes must not leave the maps of an earlier one behind.
    for stale in folder.of_classes():
        stale.unlink()
    intersections = pd.DataFrame(found.intersections)
    intersections["consensus_class"] += 1
    classes = pd.DataFrame(found.classes)
    classes[["class", "nearest"]] += 1
    matching = pd.DataFrame(found.matching)
    matching[["class", "partner"]] += 1
    first, second = np.triu_indices(len(found.run_names), 1)
    names = np.array(found.run_names)
    agreement = {
        "run": names[first],
        "other": names[second],
        "ari": found.ari[first, second],
        "ami": found.ami[first, second],
        "one_run": found.counted_with[first] == found.counted_with[second],
    }
    write_tsv(folder.intersections, intersections)
    write_npy(folder.linkage, found.linkage)
    write_json(folder.elbows, found.number.record())
    write_tsv(folder.stability, classes)
    write_tsv(folder.agreement, pd.DataFrame(agreement))
    write_tsv(folder.matching, matching)


def class_columns(found: Consensus) -> dict[str, np.ndarray]:
    """What a consensus adds to a particle file."""
    return {
        "rlnClassNumber": found.labels + 1,
        "rlnMaxValueProbDistribution": found.class_posterior,
        "emjaxStability": found.stability,
        "emjaxClassPosterior": found.class_posterior,
        label("intersection"): found.intersection,
        SET_ASIDE: np.where(found.set_aside == "", "none", found.set_aside),
    }


def tabulate_runs(folder: CampaignFolder, names: Sequence[str]) -> pd.DataFrame:
    """One row per run: what it was, how it went, how long it took."""
    rows: list[dict[str, Any]] = []
    for name in names:
        metrics = read_json(folder.run(name).metrics)
        rows.append({"run": name} | {column: metrics.get(column) for column in COLUMNS})
    # A run without a seed, another program's, must not turn those of the others into floats.
    whole = dict.fromkeys(("n_classes", "seed", "iterations"), "Int64")
    return pd.DataFrame(rows, columns=["run", *COLUMNS]).astype(whole)
