"""The original's own numbers on its six cases of 75 particles: `reference/consensus_small`."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from emjax.consensus import linkage, merging
from emjax.consensus.elbows import ELBOWS, find_elbows
from emjax.consensus.intersections import (
    class_sizes,
    count_classes,
    intersect_runs,
    keep_intersections,
    pattern_contingency,
)
from emjax.consensus.significance import rank_xmipp, smallest_in_trace
from emjax.consensus.traces import write_traces

CASES = ["testConsensus", "testConsensus2", "testConsensus3", "testConsensus4", "testConsensus6"]
CASES.append("three_five")
METRICS = ["cosine", "euclidean", "cityblock", "correlation"]


@pytest.fixture(scope="module")
def reference(shared_data: Path):
    folder = shared_data / "reference"
    text = json.loads((folder / "consensus_small.json").read_text())
    with np.load(folder / "consensus_small.npz") as arrays:
        return text, dict(arrays)


class Case:
    """One case: ours, and the rows of ours in the original's order."""

    def __init__(self, reference, name: str):
        self.text, arrays = reference[0][name], reference[1]
        self.arrays = {k[len(name) + 1 :]: v for k, v in arrays.items() if k.startswith(f"{name}/")}
        labels = [arrays[f"labels_{s}"].astype(int) for s in self.text["sets"]]
        self.labels = np.stack(labels, axis=1)
        self.n_classes = count_classes(self.labels)
        self.sizes = class_sizes(self.labels, self.n_classes)
        self.crossed = intersect_runs(self.labels)
        names = [f"{s + 1:03d}" for s in range(len(labels))]
        self.traces = write_traces(self.crossed.patterns, names)

    def kept(self, minimum: int) -> list[int]:
        rows = self.arrays[f"min{minimum}/keep"].astype(int)
        return [self.traces.index(self.text["traces"][row]) for row in rows]


@pytest.mark.parametrize("name", CASES)
def test_sizes_traces_and_pruning(reference, name):
    case = Case(reference, name)
    theirs = dict(zip(case.text["traces"], case.arrays["sizes"], strict=True))
    assert theirs == dict(zip(case.traces, case.crossed.sizes, strict=True))
    for minimum in (0, 2, 3, 10, 50):
        ours = keep_intersections(case.crossed.sizes, minimum)
        assert set(case.kept(minimum)) == set(ours.tolist())


@pytest.mark.parametrize("name", CASES)
def test_representatives_and_p_values(reference, name):
    case = Case(reference, name)
    smallest = smallest_in_trace(case.crossed.patterns, case.sizes, case.n_classes)
    p_values = rank_xmipp(case.crossed.sizes, smallest, case.sizes, case.n_classes, 75)
    table = pattern_contingency(case.crossed, case.n_classes).astype(float)
    similarity = linkage.jaccard(table, case.crossed.sizes.astype(float), case.sizes.astype(float))
    for minimum in (0, 2, 3):
        rows = case.kept(minimum)
        arrays = {k: case.arrays[f"min{minimum}/{k}"] for k in ("rep", "p_size", "p_rel")}
        assert (linkage.choose_representatives(similarity[rows]) == arrays["rep"]).all()
        np.testing.assert_allclose(p_values[0][rows], arrays["p_size"], atol=1e-12)
        np.testing.assert_allclose(p_values[1][rows], arrays["p_rel"], atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", CASES)
def test_every_merge_of_the_original_is_a_nearest_pair(reference, name, metric):
    """Ties are broken otherwise, so the original's merges are replayed and its heights compared."""
    case = Case(reference, name)
    table = pattern_contingency(case.crossed, case.n_classes)
    for minimum in (0, 2, 3):
        rows = case.kept(minimum)
        merges = case.arrays[f"min{minimum}/Z_{metric}"]
        with jax.enable_x64(True):
            groups = merging.begin(table[rows], case.crossed.sizes[rows], case.sizes, metric)
            slot = list(range(len(rows)))
            for first, second, height in merges[:, :3]:
                i, j = sorted((slot[int(first)], slot[int(second)]))
                assert groups.distance[i, j] == pytest.approx(height, abs=1e-9)
                assert merging.closest(groups).height == pytest.approx(height, abs=1e-9)
                groups = merging.merge_pair(groups, i, j, metric)
                slot.append(i)


@pytest.mark.parametrize("name", CASES)
def test_heights_without_ties_are_the_originals(reference, name):
    case = Case(reference, name)
    table = pattern_contingency(case.crossed, case.n_classes)
    for minimum in (0, 2, 3):
        rows = case.kept(minimum)
        for metric in ("euclidean", "cityblock"):
            ours = linkage.link_groups(table[rows], case.crossed.sizes[rows], case.sizes, metric)
            theirs = case.arrays[f"min{minimum}/Z_{metric}"]
            np.testing.assert_allclose(ours[:, 2], theirs[:, 2], atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_elbows_of_the_original_on_its_heights(reference, name):
    case = Case(reference, name)
    for minimum in (0, 2, 3):
        for metric in METRICS:
            merges = case.arrays[f"min{minimum}/Z_{metric}"]
            found = find_elbows(merges, merges)
            theirs = case.text[f"min{minimum}"][f"elbows_{metric}"]
            rules = ELBOWS[:4]
            assert {r: found.of(r) for r in rules} == {r: theirs[r] for r in rules}
