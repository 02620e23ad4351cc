"""Campaigns of one to three runs of any shape: no crash, no empty class, no lost particle."""

import numpy as np
import pytest

from emjax.consensus.build import build_consensus
from emjax.consensus.intersections import count_classes, intersect_runs
from emjax.consensus.options import ConsensusOptions
from emjax.consensus.planted import draw_odd_campaign


@pytest.mark.parametrize("seed", range(30))
def test_every_particle_is_in_a_class_or_says_why(seed):
    rng = np.random.default_rng(seed)
    labels = draw_odd_campaign(rng)
    tables = None
    if rng.random() < 0.4:
        tables = [
            np.where(labels[:, s, None] == np.arange(k), 0.6, 0.4 / max(k - 1, 1))
            for s, k in enumerate(count_classes(labels))
        ]
        tables = [table if table.shape[1] else None for table in tables]
    wanted = int(rng.integers(1, 31)) if rng.random() < 0.5 else "auto"
    if wanted != "auto":
        wanted = min(wanted, len(intersect_runs(labels).sizes))
    smallest = int(rng.choice([0, intersect_runs(labels).sizes.max()]))
    if smallest and wanted != "auto":
        wanted = 1
    options = ConsensusOptions(
        n_classes=wanted, min_class_size=smallest, resamples=int(rng.choice([0, 2])), max_classes=12
    )
    names = [f"r{s}" for s in range(labels.shape[1])]
    found = build_consensus(labels, names, tables, options)
    assigned = (labels >= 0).any(axis=1)
    np.testing.assert_array_equal(found.labels[~assigned], -1)
    np.testing.assert_array_equal(assigned, (found.labels >= 0) | (found.set_aside != ""))
    np.testing.assert_array_equal(assigned, found.intersection > 0)
    sizes = np.bincount(found.labels[found.labels >= 0])
    assert (sizes > 0).all() and sizes.tolist() == found.classes["size"].tolist()
    assert found.number.chosen == len(sizes) >= 1
    if wanted != "auto":
        assert len(sizes) == wanted
    if wanted != "auto" or found.number.labelled_by == "run":
        assert smallest or not (found.set_aside == "pruned").any()
    unasked = {"resampled", "held_out_gain", "held_out_low", "held_out_high"}
    for name, column in found.classes.items():
        if column.dtype.kind == "f" and name not in unasked:
            assert np.isfinite(column).all(), name
