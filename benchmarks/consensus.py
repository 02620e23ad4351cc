"""Can the consensus be believed? The original's numbers, calibration, recovery, scale.

    python benchmarks/consensus.py [--quick] [--check] [--only PART …]

Parts: reference, calibration, recovery, states, replication, obedience, shapes, cuts, speed,
confounders, scale. `--huge` adds 10⁷ particles × 50 runs; `--demo FOLDER` is where `emjax demo` ran
(default: it runs in a folder of its own).
Set OMP_NUM_THREADS=1 where other work shares the cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from consensus_obedience import (
    check_cuts,
    check_obedience,
    check_replication,
    check_shapes,
    check_speed,
    check_states,
)
from consensus_reference import OPTIONS, Report, check_reference
from scipy.spatial.transform import Rotation
from sklearn.metrics import adjusted_rand_score

from emjax.audit.confounders import audit_confounders
from emjax.consensus import significance
from emjax.consensus.assign import assign_particles
from emjax.consensus.choose import Choice, choose_number
from emjax.consensus.elbows import ELBOWS, Elbows, find_elbows
from emjax.consensus.intersections import (
    class_sizes,
    intersect_runs,
    keep_intersections,
)
from emjax.consensus.latent import iterate
from emjax.consensus.linkage import link_intersections
from emjax.consensus.planted import cut_gradient, plant_groups
from emjax.consensus.runs import Runs, order_runs, sample_votes

SHAPES = {
    "75 × 3,3,3": (75, [3, 3, 3]),
    "300 × 2,3,5": (300, [2, 3, 5]),
    "1000 × 4 runs of 4": (1000, [4] * 4),
    "5000 × 6 runs of 6": (5000, [6] * 6),
    "20000 × 10 runs of 3": (20_000, [3] * 10),
}


def check_calibration(report: Report, draws: int) -> None:
    """Random labels: how often is anything called significant?"""
    rng = np.random.default_rng(0)
    for name, (n, n_classes) in SHAPES.items():
        hits = original = more_than_one = 0
        asked = max(draws // 20, 1)
        for draw in range(draws):
            labels = np.stack([rng.integers(0, k, n) for k in n_classes], axis=1)
            crossed, of = intersect_runs(labels), np.asarray(n_classes)
            sizes = class_sizes(labels, of)
            p = significance.score_intersections(crossed.patterns, crossed.sizes, sizes, of, n)
            hits += bool((significance.adjust_fdr(p, significance.count_cells(of)) < 0.05).any())
            smallest = significance.smallest_in_trace(crossed.patterns, sizes, of)
            theirs = significance.rank_xmipp(crossed.sizes, smallest, sizes, of, n)[0]
            original += bool((theirs < 0.05).any())
            if draw < asked:
                more_than_one += recommend(labels)[1].recommended > 1
        report.say(
            f"random labels {name}: any q < 0.05 (the original's figure)",
            f"{hits / draws:.3f} ({original / draws:.2f})",
            "≤ 0.06",
            hits / draws <= 0.06,
        )
        report.say(
            f"random labels {name}: more than one class recommended",
            f"{more_than_one} of {asked}",
            "≤ 5 %",
            more_than_one <= 0.05 * asked,
        )


def recommend(labels: np.ndarray) -> tuple[Runs, Choice]:
    """The recommendation alone, as build_consensus makes it."""
    rng = np.random.default_rng(OPTIONS.seed)
    runs = order_runs(labels, [f"r{s:02d}" for s in range(labels.shape[1])])
    limit = OPTIONS.sample_size(runs.n_classes)
    fit = sample_votes(runs, intersect_runs(runs.labels), limit, rng)
    share = OPTIONS.min_fraction(len(labels))
    return runs, choose_number(fit, rng, OPTIONS.max_classes, share, OPTIONS.resamples)


def assign(runs: Runs, choice: Choice) -> np.ndarray:
    """Class of every particle by the chosen model, refined on ten times as many particles."""
    crossed = intersect_runs(runs.labels)
    limit, every = 10 * OPTIONS.sample_size(runs.n_classes), np.ones(len(crossed.sizes), bool)
    votes = sample_votes(runs, crossed, limit, np.random.default_rng(1))
    return assign_particles(runs, crossed, every, iterate(votes, choice.model, 10)).labels


def draw_campaign(rng: np.random.Generator, n_groups: int) -> tuple[list[int], float, int]:
    """3–20 runs, class numbers from 2 below to 6 above, per run or the same for all."""
    n_runs = int(rng.integers(3, 21))
    low, high = max(2, n_groups - 2), n_groups + 7
    same = rng.random() < 0.5
    n_classes = (
        rng.integers(low, high, 1).repeat(n_runs) if same else rng.integers(low, high, n_runs)
    )
    n = int(np.exp(rng.uniform(np.log(2000), np.log(50_000))))
    return n_classes.tolist(), float(rng.uniform(0.05, 0.35)), n


def check_recovery(report: Report, draws: int, continua: int) -> None:
    """Planted groups, then gradients."""
    rng = np.random.default_rng(1)
    right = possible = 0
    ratios, elbow_hits, seconds = [], {str(rule): 0 for rule in ELBOWS}, 0.0
    for _ in range(draws):
        n_groups = int(rng.integers(2, 13))
        n_classes, noise, n = draw_campaign(rng, n_groups)
        planted = plant_groups(n_groups, n_classes, noise, n, rng)
        optimum = adjusted_rand_score(planted.truth, planted.best)
        if optimum <= 0.8:
            continue
        possible += 1
        start = time.process_time()
        runs, choice = recommend(planted.labels)
        seconds += time.process_time() - start
        right += choice.recommended == n_groups
        if choice.recommended != n_groups:
            story = f"{n_groups} groups taken for {choice.recommended} ({choice.verdict})"
            print(f"  {story}: {n} particles, K {n_classes}, noise {noise:.2f}, {optimum:.3f}")
        ratios.append(adjusted_rand_score(planted.truth, assign(runs, choice)) / optimum)
        if possible % 5 == 0:
            for rule, number in asdict(elbows_of(runs)).items():
                elbow_hits[rule] += number == n_groups
    report.say(
        f"planted groups: right number ({possible} of {draws} draws with optimum > 0.8)",
        f"{right / possible:.3f} ({seconds / possible:.2f} CPU s each)",
        "≥ 0.95",
        right / possible >= 0.95,
    )
    report.say(
        "planted groups: ARI over the Bayes-optimal labelling's, median (5th percentile)",
        f"{np.median(ratios):.4f} ({np.percentile(ratios, 5):.3f})",
        "≥ 0.99",
        bool(np.median(ratios) >= 0.99),
    )
    for rule, hits in elbow_hits.items():
        report.say(f"planted groups: elbow {rule} right", f"{hits} of {possible // 5}")
    named = 0
    for _ in range(continua):
        n_classes = rng.integers(3, 9, int(rng.integers(3, 21))).tolist()
        n = int(np.exp(rng.uniform(np.log(2000), np.log(50_000))))
        _, choice = recommend(cut_gradient(n_classes, float(rng.uniform(0, 0.2)), n, rng))
        named += choice.verdict == "continuum"
        if choice.verdict != "continuum":
            print(f"  gradient taken for {choice.recommended}: {n} particles, K {n_classes}")
    report.say(
        "gradients called a continuum", f"{named / continua:.3f}", "≥ 0.90", named >= 0.9 * continua
    )


def draw_nuisances(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What a particle file says of particles, independent of their state."""
    return {
        "rotations": Rotation.from_quat(rng.normal(size=(n, 4))).as_matrix(),
        "shifts": rng.normal(size=(n, 2)),
        "defocus": rng.uniform(8000, 25000, n),
        "astigmatism": rng.exponential(300, n),
        "optics group": rng.integers(1, 5, n),
        "micrograph": np.sort(rng.integers(0, n // 30, n)).astype(str),
    }


def check_confounders(report: Report, draws: int) -> None:
    """Classes that follow nothing: how often is a nuisance called significant, or flagged?"""
    rng = np.random.default_rng(2)
    alarms = flags = 0
    for _ in range(draws):
        n = int(np.exp(rng.uniform(np.log(500), np.log(10_000))))
        shares = rng.dirichlet(np.full(int(rng.integers(2, 7)), 4.0))
        audit = audit_confounders(rng.choice(len(shares), n, p=shares), draw_nuisances(n, rng))
        alarms += bool((audit["q_value"] < 0.05).any())
        flags += bool(audit["flag"].any())
    report.say(
        f"audit of classes that follow nothing, {draws} draws: any q < 0.05",
        f"{alarms / draws:.3f}",
        "≤ 0.06",
        alarms <= 0.06 * draws,
    )
    report.say("the same: any flag", str(flags), "0", flags == 0)


def elbows_of(runs: Runs, most: int = 150) -> Elbows:
    """Elbows of the linkage of the largest intersections."""
    crossed = intersect_runs(runs.labels)
    kept = keep_intersections(crossed.sizes, 0)[:most]
    sizes = class_sizes(runs.labels, runs.n_classes)
    return find_elbows(*link_intersections(crossed, kept, runs, sizes, "cosine"))


SCALE = """
import resource, sys, time
import numpy as np
from emjax.consensus.build import build_consensus
n, r, k = (int(a) for a in sys.argv[1:])
rng = np.random.default_rng(0)
truth = rng.integers(0, 6, n).astype(np.int8)
labels = np.empty((n, r), np.int8)
for s in range(r):
    labels[:, s] = rng.permutation(k).astype(np.int8)[truth]
    wrong = rng.random(n) < 0.15
    labels[wrong, s] = rng.integers(0, k, wrong.sum())
start, cpu = time.time(), time.process_time()
found = build_consensus(labels, [f"r{s:02d}" for s in range(r)])
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(time.time() - start, time.process_time() - cpu, memory, found.number.recommended)
"""


def check_scale(report: Report, n: int, r: int, k: int, seconds: float, memory: float) -> None:
    """Time and peak memory of the whole consensus in a process of its own.

    The bar is on CPU seconds: the wall clock of an idle core, whatever else the machine does.
    """
    words = [sys.executable, "-c", SCALE, str(n), str(r), str(k)]
    # Small matrix products: a second BLAS thread only waits for the first.
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=alone)
    wall, cpu, peak, number = (float(word) for word in done.stdout.split())
    report.say(
        f"{n:,} particles × {r} runs of {k}, 6 groups",
        f"{cpu:.1f} CPU s ({wall:.1f} s), {peak:.2f} GB, {number:.0f} classes",
        f"≤ {memory:g} GB" if np.isinf(seconds) else f"≤ {seconds:g} CPU s, ≤ {memory:g} GB",
        cpu <= seconds and peak <= memory,
    )


def main() -> int:
    """Print the table; with --check, 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="about a minute")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bar is missed")
    parser.add_argument("--huge", action="store_true", help="also 10⁷ particles × 50 runs")
    parser.add_argument("--demo", type=Path, help="folder where `emjax demo` ran")
    parts = ("reference", "calibration", "recovery", "states", "replication", "obedience")
    parts += ("shapes", "cuts", "speed", "confounders", "scale")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    chosen = parser.parse_args()
    quick, report = chosen.quick, Report()
    print("| what | measured | bar |\n| --- | --- | --- |")
    if "reference" in chosen.only:
        check_reference(report)
    if "calibration" in chosen.only:
        check_calibration(report, 40 if quick else 1000)
    if "recovery" in chosen.only:
        check_recovery(report, 25 if quick else 300, 15 if quick else 100)
    if "states" in chosen.only:
        check_states(report, 6 if quick else 60)
    if "replication" in chosen.only:
        with tempfile.TemporaryDirectory() as scratch:
            check_replication(report, chosen.demo or Path(scratch))
    if "obedience" in chosen.only:
        check_obedience(report)
    if "shapes" in chosen.only:
        check_shapes(report, 40 if quick else 200)
    if "cuts" in chosen.only:
        check_cuts(report, 20 if quick else 500)
    if "speed" in chosen.only:
        check_speed(report)
    if "confounders" in chosen.only:
        check_confounders(report, 50 if quick else 500)
    if "scale" in chosen.only:
        size = 100_000 if quick else 1_000_000
        check_scale(report, size, 20, 10, 20.0, 4.0)
        if chosen.huge:
            check_scale(report, 10_000_000, 50, 10, np.inf, 24.0)
    if report.missed:
        print(f"missed: {'; '.join(report.missed)}")
    return int(chosen.check and bool(report.missed))


if __name__ == "__main__":
    sys.exit(main())
