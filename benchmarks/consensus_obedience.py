"""Does the consensus count only real replication, and do what it was asked for?"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import consensus_numpy as reference
import numpy as np
from consensus_reference import Report
from sklearn.metrics import adjusted_rand_score

from emjax.audit.association import score_association
from emjax.campaign.folder import CampaignFolder
from emjax.consensus.build import Consensus, build_consensus
from emjax.consensus.intersections import (
    class_sizes,
    count_classes,
    intersect_runs,
    pattern_contingency,
)
from emjax.consensus.latent import estimate_rates, iterate
from emjax.consensus.linkage import link_groups
from emjax.consensus.options import ConsensusOptions
from emjax.consensus.planted import PlantedRuns, cut_class, draw_odd_campaign, plant_groups
from emjax.consensus.runs import order_runs, sample_votes
from emjax.consensus.tree import cut_tree
from emjax.jobs.consensus import Runs, read_runs
from emjax.rebalance.affinity import volume_affinity

UNSAMPLED = ConsensusOptions(resamples=0)


def build(labels: np.ndarray, **options) -> Consensus:
    """The consensus of labels alone."""
    names = [f"r{s:02d}" for s in range(labels.shape[1])]
    return build_consensus(labels, names, options=replace(UNSAMPLED, **options))


def build_some(runs: Runs, chosen: tuple[int, ...], **options) -> Consensus:
    """The consensus of some runs of a campaign, without its held-out evidence."""
    return build_consensus(
        runs.labels[:, chosen],
        [runs.names[s] for s in chosen],
        [runs.posteriors[s] for s in chosen],
        replace(UNSAMPLED, **options),
        log_likelihood=runs.log_likelihood[list(chosen)],
        run_groups=[runs.groups[s] for s in chosen],
        starts=[runs.starts[s] for s in chosen],
    )


def demo_runs(folder: Path) -> Runs:
    """The runs of the demo (five seeds of K = 4 and of K = 6), made where they are not there."""
    campaign = CampaignFolder.of("demo", folder)
    if not campaign.runs_table.exists():
        program = Path(sys.executable).with_name("emjax")
        subprocess.run([program, "demo"], cwd=folder, check=True, capture_output=True)
    names = [f"em3d-K{k:02d}-s{s:03d}" for k in (4, 6) for s in range(5)]
    return read_runs(campaign, names, "error")


def check_replication(report: Report, folder: Path) -> None:
    """Pairs and triples of the demo's runs, and a run given twice."""
    runs = demo_runs(folder)
    for size, name in ((2, "pairs"), (3, "triples")):
        four = Counter(build_some(runs, c).number.recommended for c in combinations(range(5), size))
        report.say(
            f"demo: {name} of the K = 4 runs that recommend 4",
            f"{four[4]} of 10",
            "10",
            four[4] == 10,
        )
        every = [build_some(runs, c).number.recommended for c in combinations(range(10), size)]
        good = sum(4 <= number <= 6 for number in every)
        report.say(
            f"demo: {name} of all ten runs that recommend 4 to 6, and 1",
            f"{good} of {len(every)}, {every.count(1)}",
            "all, 0",
            good == len(every),
        )
    twice = Runs(
        ["a", "b"],
        runs.labels[:, [0, 0]],
        [runs.posteriors[0]] * 2,
        runs.log_likelihood[[0, 0]],
        ["em3d 4"] * 2,
        ["a", "b"],
    )
    number = build_some(twice, (0, 1)).number
    said = number.verdict == "unreplicated" and "b with a counts once" in number.why
    report.say("demo: one run given twice", str(number.verdict), "one run, and says so", said)
    check_numbers(report, "demo", lambda n: build_some(runs, tuple(range(10)), n_classes=n))


def check_obedience(report: Report) -> None:
    """Every number of classes from 1 to 30 on planted labels."""
    rng = np.random.default_rng(3)
    like_spliceosome = plant_groups(4, [4] * 3 + [2, 2, 3, 3, 4, 4, 5, 5], 0.1, 8000, rng, 0.1)
    for name, planted in (
        ("eleven runs of 2 to 5", like_spliceosome),
        ("planted groups", plant_groups(9, [8, 9, 10, 12], 0.15, 5000, rng)),
    ):
        check_numbers(report, name, lambda n, p=planted: build(p.labels, n_classes=n))


def check_numbers(report: Report, name: str, build_with: Callable[[int], Consensus]) -> None:
    """N classes, none empty, no particle lost, and the cut of the tree that is written."""
    good = 0
    for n in range(1, 31):
        found = build_with(n)
        used = found.intersections["consensus_class"][: len(found.linkage) + 1]
        pairs = set(zip(cut_tree(found.linkage, n)[: len(used)], used, strict=True))
        sizes = np.bincount(found.labels, minlength=n) if (found.labels >= 0).all() else [0]
        good += len(pairs) == len(sizes) == n and min(sizes) > 0
    report.say(
        f"{name}: N = 1 … 30 are N classes, the tree's cut", f"{good} of 30", "30", good == 30
    )


def check_shapes(report: Report, draws: int) -> None:
    """Campaigns of any shape."""
    crashed = lost = 0
    for seed in range(draws):
        labels = draw_odd_campaign(np.random.default_rng(1000 + seed))
        try:
            found = build(labels)
        except Exception as error:  # what is counted
            crashed += 1
            print(f"  campaign {seed}: {error!r}")
            continue
        said = (found.labels >= 0) | (found.set_aside != "")
        lost += not np.array_equal(said, (labels >= 0).any(axis=1))
    report.say(
        f"{draws} campaigns of 1 to 3 runs of any shape: crashed, lost particles",
        f"{crashed}, {lost}",
        "0, 0",
        crashed == lost == 0,
    )


def draw_states(rng: np.random.Generator) -> tuple[int, PlantedRuns]:
    """12 to 50 states of unequal shares, 3 to 20 runs that merge and split them."""
    g, r = int(rng.integers(12, 51)), int(rng.integers(3, 21))
    low, high = g - g // 5, g + g // 5 + 1
    same = rng.random() < 0.5
    k = rng.integers(low, high, 1).repeat(r) if same else rng.integers(low, high, r)
    n = int(np.exp(rng.uniform(np.log(200 * g), np.log(50_000))))
    return g, plant_groups(g, k.tolist(), float(rng.uniform(0.05, 0.15)), n, rng, 0.3 / g)


def check_states(report: Report, draws: int) -> None:
    """Many states: their number, and the labels beside the Bayes-optimal ones."""
    rng = np.random.default_rng(4)
    right, ratios, seconds = 0, [], 0.0
    for _ in range(draws):
        g, planted = draw_states(rng)
        start = time.process_time()
        found = build(planted.labels)
        seconds += time.process_time() - start
        right += abs(found.number.recommended - g) <= 0.1 * g
        optimum = adjusted_rand_score(planted.truth, planted.best)
        ratios.append(adjusted_rand_score(planted.truth, found.labels) / optimum)
        if abs(found.number.recommended - g) > 0.1 * g:
            print(f"  {g} states taken for {found.number.recommended}: {planted.labels.shape}")
    report.say(
        f"12 to 50 states, {draws} draws: number within 10 %",
        f"{right / draws:.3f} ({seconds / draws:.1f} CPU s each)",
        "≥ 0.9",
        right >= 0.9 * draws,
    )
    report.say(
        "12 to 50 states: ARI over the Bayes-optimal labelling's, median (5th percentile)",
        f"{np.median(ratios):.4f} ({np.percentile(ratios, 5):.3f})",
        "≥ 0.98",
        bool(np.median(ratios) >= 0.98),
    )


def check_cuts(report: Report, draws: int) -> None:
    """One of a few states cut at random: is a part called distinct from the other?"""
    rng = np.random.default_rng(5)
    wrong = real = seen = 0
    for _ in range(draws):
        g, r = int(rng.integers(2, 7)), int(rng.integers(3, 13))
        sharing = int(rng.integers(0, r + 1))
        planted = plant_groups(g, [g] * r, float(rng.uniform(0.02, 0.15)), 3000, rng, 0.1)
        found = build(cut_class(planted.labels, planted.truth, sharing, rng), n_classes=g + 1)
        distinct, inside = found.classes["distinct"], found.labels >= 0
        table = np.zeros((g + 1, g))
        np.add.at(table, (found.labels[inside], planted.truth[inside]), 1)
        # Parts of one state; where the tree cut noise off instead, there are none.
        owner = table.argmax(axis=1)
        cut = np.bincount(owner, minlength=g)[owner] > 1
        wrong += bool(distinct[cut].any())
        # States beside them, where five runs or more were free to join them.
        if found.classes["runs_free"][0] >= 5:
            real, seen = real + int(distinct[~cut].sum()), seen + int((~cut).sum())
    report.say(
        f"{draws} states cut at random, by seeds that share the cut or not: called distinct",
        f"{wrong / draws:.3f}",
        "≤ 0.05",
        wrong <= 0.05 * draws,
    )
    report.say("the states beside them, 5 free runs or more: called distinct", f"{real} of {seen}")


def check_speed(report: Report) -> None:
    """Jitted functions beside the same in NumPy: CPU seconds of a warm call, and their results."""
    rng = np.random.default_rng(6)
    for g, k, n, r in ((4, 6, 3000, 10), (50, 50, 20_000, 14)):
        planted = plant_groups(g, [k] * r, 0.1, n, rng)
        runs = order_runs(planted.labels, [f"r{s}" for s in range(r)])
        crossed = intersect_runs(runs.labels)
        votes = sample_votes(runs, crossed, 10_000, rng)
        model = estimate_rates(votes, rng.integers(0, g, len(votes.counts)))
        compare(
            report,
            f"10 EM iterations, {len(votes.counts)} rows × {votes.table.shape[1]}, {g} classes",
            lambda v=votes, m=model: iterate(v, m, 10).log_likelihood,
            lambda v=votes, m=model: reference.iterate(v, m, 10).log_likelihood,
            1e-4,  # relative, of sums in single precision
        )
        n_classes = count_classes(planted.labels)
        rows = intersect_runs(planted.labels)
        table = pattern_contingency(rows, n_classes)[:500]
        sizes, all_sizes = rows.sizes[:500], class_sizes(planted.labels, n_classes)
        compare(
            report,
            f"linkage of {len(table)} intersections × {table.shape[1]}",
            lambda t=table, s=sizes, a=all_sizes: link_groups(t, s, a)[:, 2],
            lambda t=table, s=sizes, a=all_sizes: reference.link_groups(t, s, a),
            1e-9,
        )
    members = rng.integers(0, 6, 50_000) == np.arange(6)[:, None]
    features = rng.normal(size=(50_000, 8))
    compare(
        report,
        "audit: 6 classes × 8 features, 50,000 particles",
        lambda: np.stack(score_association(members, features)),
        lambda: np.stack([reference.score_association(m, features) for m in members], 1),
        1e-9,
    )
    volumes = rng.normal(size=(8, 64, 64, 64))
    mask = np.ones((64, 64, 64))
    compare(
        report,
        "affinity of 8 volumes of 64³",
        lambda: volume_affinity(volumes, mask),
        lambda: reference.volume_affinity(volumes, mask),
        1e-9,
    )


def compare(
    report: Report,
    what: str,
    ours: Callable[[], np.ndarray | float],
    theirs: Callable[[], np.ndarray | float],
    tolerance: float,
) -> None:
    """Best of five calls of each, after one that compiles."""
    found, expected = np.asarray(ours()), np.asarray(theirs())
    seconds = []
    for call in (ours, theirs):
        taken = []
        for _ in range(5):
            start = time.process_time()
            call()
            taken.append(time.process_time() - start)
        seconds.append(min(taken))
    same = bool(np.allclose(found, expected, rtol=tolerance, atol=tolerance))
    report.say(
        f"{what}: jitted (NumPy), CPU ms",
        f"{1e3 * seconds[0]:.1f} ({1e3 * seconds[1]:.1f}), {'equal' if same else 'other results'}",
        "≤ 1.5 ×, equal",
        same and seconds[0] <= 1.5 * seconds[1] + 1e-3,
    )
