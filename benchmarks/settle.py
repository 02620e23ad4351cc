"""The consensus beside its best run, and classes cut at random, judged by images.

Usage: python benchmarks/settle.py [--check] [--only SET ...]
Five seeds of em3d and two hundred of the subspace for each number of classes make a consensus,
which settles on the images. Sixteen states are all combinations of four domains of a phantom.
--check: exit 1 where a bar is missed. Sets are found as in subspace_data.py; those that are not
there are left out, said aloud.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import outliers_sets as sets
import subspace_data as data
from accuracy_rows import Row, print_table
from ligand import oracle
from sklearn.metrics import adjusted_rand_score

from emjax.api import build_consensus, classify_em3d, classify_subspace, fit_variability
from emjax.classify.outliers import OutlierOptions, leave_out
from emjax.classify.pose_refinement import refine_poses
from emjax.classify.subspace.recipes import SubspaceOptions
from emjax.classify.subspace.settle import compare_classes
from emjax.imaging.grids import resample
from emjax.imaging.prepare import Prepared, prepare
from emjax.simulate.particles import Simulation, phantom, simulate

SETS = ("demo", "spliceosome", "jittered", "realistic", "five", "sixteen")
SEEDS, INSIDE, CUTS = 5, 200, 100
DOMAINS = phantom(5, 48, 1)  # of the sixteen states: a body, and it without each domain
BELOW = 0.003  # of ARI, that the consensus may be below its best run


@dataclass(frozen=True)
class Case:
    """Particles as a campaign prepares them, and their states."""

    prepared: Prepared
    truth: np.ndarray
    micrographs: np.ndarray
    n_classes: Sequence[int]  # of the runs of em3d
    inside: Sequence[int]  # of those of the subspace
    right: Sequence[int]  # numbers of consensus classes that are not wrong


def read(name: str) -> Case | None:
    """A set; None where it is not there."""
    if name == "demo":
        fractions = np.array([0.4, 0.3, 0.2, 0.1])
        made = simulate(phantom(4, 48, 1), 3000, seed=1, snr=0.5, fractions=fractions)
        return Case(*_simulated(made), (4, 6), range(2, 7), (4,))
    if name == "sixteen":
        made = simulate(combinations(DOMAINS), 10_000, seed=3, snr=0.5)
        return Case(*_simulated(made), (12, 16, 20), range(10, 21), range(14, 19))
    files = {
        "spliceosome": ("spliceosome", "particles.star"),
        "jittered": ("spliceosome", "particles_jittered.star"),
        "realistic": ("realistic", "particles_refined.star"),
    }
    if not sets.there(files.get(name, ("spliceosome",))[0]):
        return None
    if name == "five":
        judged = sets.five_states()
        assert judged.images.identity is not None
        return Case(*_prepared(judged, judged.images.identity), (4, 5), range(2, 8), (5,))
    judged = sets.read_set(*files[name])
    assert judged.table is not None and judged.table.micrograph is not None
    return Case(*_prepared(judged, judged.table.micrograph), (4,), range(2, 7), (4,))


def combinations(volumes: np.ndarray) -> np.ndarray:
    """Every combination of the domains that single states lack."""
    domains = volumes[0] - volumes[1:]
    lacking = np.array(list(product((0, 1), repeat=len(domains))))
    return (volumes[0] - np.tensordot(lacking, domains, 1)).astype(np.float32)


def in_reach(case: Case) -> list[Row]:
    """What the true maps tell apart, and how much of each domain the solvent mask holds."""
    found = case.prepared
    box, mask = found.particles.box_size, found.mean.solvent_mask
    judged = data.Case(found.particles, found.mean, case.truth, case.micrographs)
    domains = [np.asarray(resample(DOMAINS[0] - volume, box)) for volume in DOMAINS[1:]]
    inside = [np.sum((d * mask) ** 2) / np.sum(d**2) for d in domains]
    return [
        Row("sixteen: ARI by the true maps", f"{oracle(judged, combinations(DOMAINS)):.3f}"),
        Row("sixteen: power of each domain in the mask", " ".join(f"{p:.2f}" for p in inside)),
    ]


def _simulated(made: Simulation) -> tuple[Prepared, np.ndarray, np.ndarray]:
    return prepare(made.aligned(), sets.PREPARATION), made.states, made.micrograph.astype(str)


def _prepared(
    judged: sets.Judged, micrographs: np.ndarray
) -> tuple[Prepared, np.ndarray, np.ndarray]:
    found = prepare(judged.images, sets.PREPARATION)
    found, _ = leave_out(found, OutlierOptions(), sets.PREPARATION)
    found, _ = refine_poses(found, "auto", sets.PREPARATION, micrographs)
    return found, judged.truth, np.asarray(micrographs)


def rows_of(name: str, case: Case) -> list[Row]:
    """Consensus and best run; over-splits."""
    particle = case.truth >= 0

    def ari(labels: np.ndarray) -> float:
        both = particle & (labels >= 0)
        return float(adjusted_rand_score(case.truth[both], labels[both]))

    options = SubspaceOptions(n_classes=tuple(case.inside))
    variability = fit_variability(case.prepared, options, micrographs=case.micrographs)
    runs = classify_em3d(case.prepared, list(case.n_classes), SEEDS)
    runs += classify_subspace(case.prepared, list(case.inside), variability, INSIDE)
    start = time.process_time()
    found = build_consensus(runs, variability=variability)
    seconds = time.process_time() - start
    # Of each method and number of classes the run of best likelihood; of these the best.
    groups = {(r.method, r.n_classes): r for r in sorted(runs, key=lambda r: r.log_likelihood or 0)}
    best = max(ari(run.labels) for run in groups.values())
    own, number = ari(found.labels), len(found.classes["size"])
    said = f"{own:.3f}, best likeliest run {best:.3f}; {seconds:.0f} CPU s"
    right = f"{min(case.right)} to {max(case.right)}" if len(case.right) > 1 else f"{case.right[0]}"
    states = f"{number} ({variability.n_states} by held-out particles)"
    rows = [
        Row(f"{name}: classes", states, right, number in case.right),
        Row(f"{name}: ARI of the consensus", said, f"≥ best − {BELOW}", own >= best - BELOW),
    ]
    if name == "sixteen":
        return rows + in_reach(case)
    rng, called = np.random.default_rng(0), 0
    labels = np.where(found.labels >= 0, found.labels, number)
    seen = variability.select(np.flatnonzero(variability.rows >= 0))
    labels = labels[variability.rows >= 0]
    for _ in range(CUTS):
        c, part = rng.integers(number), rng.uniform(0.1, 0.9)
        cut = np.where((labels == c) & (rng.random(len(labels)) < part), -1, labels)
        members = np.stack([*(cut == k for k in range(number)), cut == -1], 1)
        judged = compare_classes(seen.held_out, members.astype(np.float32))
        called += judged[c].distinct and judged[number].distinct
    what = f"{name}: classes cut at random, both parts called distinct"
    return [*rows, Row(what, f"{called} of {CUTS}", "≤ 5 %", called <= 0.05 * CUTS)]


def main() -> int:
    """Run the sets, print the table."""
    parser = argparse.ArgumentParser(description="Consensus beside its best run")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", nargs="*", choices=SETS, default=SETS)
    arguments = parser.parse_args()
    table = []
    for name in arguments.only:
        before, case = time.process_time(), read(name)
        table += rows_of(name, case) if case else [Row(name, "left out: not found")]
        print(f"{name}: {time.process_time() - before:.0f} CPU s", flush=True)
    return print_table(table, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
