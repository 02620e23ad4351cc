"""The consensus beside the original's numbers."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np

from emjax.consensus import linkage, merging, significance
from emjax.consensus.build import build_consensus
from emjax.consensus.elbows import ELBOWS, find_elbows
from emjax.consensus.intersections import (
    class_sizes,
    count_classes,
    intersect_runs,
    keep_intersections,
    pattern_contingency,
)
from emjax.consensus.options import ConsensusOptions
from emjax.consensus.traces import write_traces

OPTIONS = ConsensusOptions(resamples=0)


@dataclass
class Report:
    """Lines of the table, and the bars that were missed."""

    missed: list[str] = field(default_factory=list)

    def say(self, what: str, value: str, bar: str = "", ok: bool = True) -> None:
        """Print a line of the table; a bar that is missed is remembered."""
        mark = "" if not bar else ("  ok" if ok else "  MISSED")
        print(f"| {what} | {value} | {bar}{mark} |", flush=True)
        if not ok:
            self.missed.append(what)


def reference_folder() -> Path:
    """EMJAX_REFERENCE, or shared/reference beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "reference"
    return Path(os.environ.get("EMJAX_REFERENCE", default))


def check_reference(report: Report) -> None:
    """Six cases of the original: sizes, traces, pruning, representatives, p-values, heights."""
    folder = reference_folder()
    if not (folder / "consensus_small.npz").exists():
        report.say("reference", f"skipped: {folder.name}/consensus_small.npz not found")
        return
    text = json.loads((folder / "consensus_small.json").read_text())
    with np.load(folder / "consensus_small.npz") as file:
        arrays = dict(file)
    groups = merges = heights = elbows = tried = 0
    same_order = True
    for name, case in text.items():
        labels = np.stack([arrays[f"labels_{s}"].astype(int) for s in case["sets"]], axis=1)
        n_classes, crossed = count_classes(labels), intersect_runs(labels)
        sizes = class_sizes(labels, n_classes)
        traces = write_traces(crossed.patterns, [f"{s + 1:03d}" for s in range(labels.shape[1])])
        theirs = dict(zip(case["traces"], arrays[f"{name}/sizes"], strict=True))
        good = theirs == dict(zip(traces, crossed.sizes, strict=True))
        smallest = significance.smallest_in_trace(crossed.patterns, sizes, n_classes)
        p = significance.rank_xmipp(crossed.sizes, smallest, sizes, n_classes, len(labels))
        table = pattern_contingency(crossed, n_classes)
        for minimum in (0, 2, 3):
            at = f"{name}/min{minimum}"
            rows = [traces.index(case["traces"][int(i)]) for i in arrays[f"{at}/keep"]]
            good &= set(rows) == set(keep_intersections(crossed.sizes, minimum).tolist())
            similar = linkage.jaccard(
                table[rows].astype(float), crossed.sizes[rows].astype(float), sizes.astype(float)
            )
            good &= bool((similar.argmax(axis=1) == arrays[f"{at}/rep"]).all())
            good &= np.allclose(p[0][rows], arrays[f"{at}/p_size"], atol=1e-12)
            good &= np.allclose(p[1][rows], arrays[f"{at}/p_rel"], atol=1e-12)
            for metric in linkage.METRICS[:4]:
                theirs_z = arrays[f"{at}/Z_{metric}"]
                merges += len(theirs_z)
                heights += replay(table[rows], crossed.sizes[rows], sizes, metric, theirs_z)
                found = find_elbows(theirs_z, theirs_z)
                theirs = case[f"min{minimum}"][f"elbows_{metric}"]
                elbows += sum(found.of(rule) == theirs[rule] for rule in ELBOWS[:4])
                tried += 4
        groups += bool(good)
        same_order &= order_changes_nothing(labels)
    report.say(
        "original: sizes, traces, pruning, representatives, p-values",
        f"{groups} of {len(text)} cases equal",
        "all",
        groups == len(text),
    )
    report.say(
        "original: heights, its merges replayed (ties fall otherwise)",
        f"{heights} of {merges} equal to 1e-9 and nearest",
        "all",
        heights == merges,
    )
    report.say(
        "original: its four elbows on its heights",
        f"{elbows} of {tried} equal",
        "all",
        elbows == tried,
    )
    report.say(
        "order of the runs", "changes nothing" if same_order else "matters", "nothing", same_order
    )


def replay(table, sizes, all_sizes, metric: str, theirs: np.ndarray) -> int:
    """The original's merges whose height is ours, and is the least there is."""
    slot, equal = list(range(len(table))), 0
    with jax.enable_x64(True):
        groups = merging.begin(table, sizes, all_sizes, metric)
        for first, second, height in theirs[:, :3]:
            i, j = sorted((slot[int(first)], slot[int(second)]))
            nearest = float(merging.closest(groups).height)
            equal += abs(groups.distance[i, j] - height) < 1e-9 and abs(nearest - height) < 1e-9
            groups = merging.merge_pair(groups, i, j, metric)
            slot.append(i)
    return equal


def order_changes_nothing(labels: np.ndarray) -> bool:
    """Whether the runs in reverse order give the same consensus."""
    names = [f"run{s}" for s in range(labels.shape[1])]
    order = list(range(labels.shape[1]))[::-1]
    one = build_consensus(labels, names, None, OPTIONS)
    other = build_consensus(labels[:, order], [names[s] for s in order], None, OPTIONS)
    columns = all((one.intersections[c] == other.intersections[c]).all() for c in one.intersections)
    return columns and (one.linkage == other.linkage).all() and one.number == other.number
