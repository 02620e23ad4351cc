"""A consensus of label files alone: the runs they are, and the files of what they agree on."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.folder import CampaignFolder, ConsensusFolder, ParticleFile
from emjax.campaign.job import not_there
from emjax.consensus.build import Consensus
from emjax.consensus.traces import parse_class
from emjax.errors import InputError
from emjax.io.files import write_tsv
from emjax.io.labels.join import join_labels
from emjax.io.labels.maps import find_class_map
from emjax.io.particles.listed import listed_particles, suffixes_of, write_listed
from emjax.io.particles.particle_set import ParticleSet
from emjax.jobs.consensus import class_columns, write_tables

MOST_FILES = 500  # intersections written as particles: those of the tree


@dataclass(frozen=True)
class GivenRuns:
    """Label files of the same particles, each a run."""

    names: list[str]
    paths: list[Path]
    labels: np.ndarray  # (n, r), from 0; -1 where a run has no class for the particle
    posteriors: list[np.ndarray | None]
    joined_on: list[str]

    def table(self) -> pd.DataFrame:
        """Columns of runs.tsv."""
        return pd.DataFrame(
            {
                "run": self.names,
                "method": "external",
                "n_classes": self.labels.max(0) + 1,
                "assigned": (self.labels >= 0).sum(0),
                "joined_on": self.joined_on,
                "labels": list(map(str, self.paths)),
            }
        )


def read_given_runs(
    table: ParticleSet, runs: Sequence[dict[str, Any]], on_mismatch: str
) -> GivenRuns:
    """Join label files row by row with the particles.

    Args:
        table: the particles.
        runs: `name`, `path`, `key` and `class_column` of each.
        on_mismatch: as of `join_labels`; with `intersect`, what some run lacks has no class.

    Raises:
        InputError: where a file is not there, cannot be read, or is of other particles.
    """
    for run in runs:
        if not Path(run["path"]).exists():
            raise InputError("config", f"runs.external {run['name']}", not_there(run["path"]))
    joined = [
        join_labels(table, run["path"], run["key"], run["class_column"], on_mismatch)
        for run in runs
    ]
    labels = np.stack([found.labels for found in joined], 1)
    if on_mismatch == "intersect":
        labels[(labels < 0).any(1)] = -1
    if not (labels >= 0).any():
        found = "no particle that has a class in " + ("any" if on_mismatch == "error" else "each")
        raise InputError("config", "runs.external", f"{found} of the files", "common particles")
    return GivenRuns(
        [run["name"] for run in runs],
        [Path(run["path"]) for run in runs],
        labels,
        [found.posteriors for found in joined],
        [found.joined_on for found in joined],
    )


def check_labels(config: dict[str, Any]) -> str:
    """Read all label files of a consensus of them; what was found, in a sentence.

    Raises:
        InputError: at the first thing that it cannot run with.
    """
    given = config["runs"]["external"]
    table = listed_particles(config["particles"], **listing_options(config["particles"], given))
    runs = read_given_runs(table, given, config["consensus"]["on_mismatch"])
    return f"{table.n} particles in {len(runs.names)} label files"


def write_given_consensus(
    folder: CampaignFolder,
    found: Consensus,
    runs: GivenRuns,
    table: ParticleSet,
    suffixes: Sequence[str],
) -> Iterator[str]:
    """Write runs, tables, tree, particles and representatives; what was written, in sentences.

    Args:
        folder: of the job.
        found: the consensus.
        runs: the label files.
        table: the particles.
        suffixes: of the file of all particles.
    """
    consensus, columns = folder.consensus, class_columns(found)
    write_tsv(folder.runs_table, runs.table())
    write_tables(consensus, found)
    for path in consensus.particles.all(tuple(suffixes)):
        write_listed(path, table, columns)
    listed = pd.DataFrame(found.intersections)
    ids = listed["id"][listed["kept"]].to_numpy()[:MOST_FILES]
    _write_each(consensus.of_intersections, consensus.intersection, table, columns,
                found.intersection, ids)  # fmt: skip
    numbers = np.unique(found.labels[found.labels >= 0]) + 1
    _write_each(consensus.by_class, consensus.class_particles, table, columns,
                found.labels + 1, numbers)  # fmt: skip
    yield (
        f"{len(ids)} intersections in {consensus.of_intersections},"
        f" {len(numbers)} classes in {consensus.by_class}"
    )
    yield from _write_representatives(consensus, found, runs)


def _write_each(
    folder: Path,
    file_of: Callable[[int], ParticleFile],
    table: ParticleSet,
    columns: dict[str, np.ndarray],
    number: np.ndarray,
    wanted: np.ndarray,
) -> None:
    """The particles of each number as a file of their own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for one in wanted.tolist():
        rows = np.flatnonzero(number == one)
        part = {name: values[rows] for name, values in columns.items()}
        for path in file_of(one).all(suffixes_of(table)):
            write_listed(path, table.select(rows), part)


def _write_representatives(
    consensus: ConsensusFolder, found: Consensus, runs: GivenRuns
) -> Iterator[str]:
    """Copy the map of the input class most like each class, where its run has one."""
    target = consensus.representatives
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    paths = dict(zip(runs.names, runs.paths, strict=True))
    rows, names = [], found.classes["representative"].tolist()
    for c, (name, jaccard) in enumerate(
        zip(names, found.classes["representative_jaccard"].tolist(), strict=True), 1
    ):
        run, number = parse_class(name)
        source = find_class_map(paths[run], number)
        copy = target / f"class_{c:03d}_{run}_class{number:03d}.mrc"
        if source is not None:
            shutil.copyfile(source, copy)
        rows.append(
            {
                "class": c,
                "run": run,
                "class_of_run": number,
                "jaccard": jaccard,
                "map": copy.name if source else "none",
                "copied_from": str(source or "none"),
            }
        )
    write_tsv(consensus.representatives_table, pd.DataFrame(rows))
    copied = sum(row["map"] != "none" for row in rows)
    yield f"representatives: {', '.join(names)}; maps of {copied} copied to {target}"


def listing_options(particles: str, runs: Sequence[dict[str, Any]]) -> dict[str, str | None]:
    """`key` and `class_column` of the particles, where they are one of the runs."""
    own = next((run for run in runs if run["path"] == particles), {})
    return {name: own.get(name) for name in ("key", "class_column")}
