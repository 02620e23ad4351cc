"""Tables of the consensus: one row per intersection, one row per consensus class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from emjax.classify.subspace.settle import Distinct
from emjax.consensus import significance
from emjax.consensus.assign import Assigned
from emjax.consensus.choose import Choice
from emjax.consensus.distinct import compare_nearest
from emjax.consensus.intersections import Intersections, count_contingency
from emjax.consensus.latent import LatentClasses, Votes
from emjax.consensus.linkage import choose_representatives, jaccard
from emjax.consensus.runs import Runs
from emjax.consensus.stability import match_classes, recovered_by, resample_occupancy
from emjax.consensus.traces import name_class, write_traces

_MATCHED_PARTICLES = 200_000


def name_classes(runs: Runs) -> np.ndarray:
    """Names of all input classes as `run.class`, classes counted from 1."""
    return np.asarray(
        [
            name_class(run, k + 1)
            for run, m in zip(runs.names, runs.n_classes, strict=True)
            for k in range(m)
        ]
    )


def tabulate_intersections(
    runs: Runs,
    crossed: Intersections,
    sizes: Int[np.ndarray, " c"],
    kept: Bool[np.ndarray, " m"],
    assigned: Assigned,
    max_listed: int,
) -> dict[str, np.ndarray]:
    """Columns of intersections.tsv; an intersection goes to the class of most of its particles.

    Its representative is the input class most like that consensus class. All are tested, and at
    most `max_listed` listed, the largest.
    """
    n, m = len(runs.labels), len(crossed.sizes)
    test = (crossed.patterns, crossed.sizes, sizes, runs.n_classes, n)
    p_values = significance.score_intersections(*test)
    smallest = significance.smallest_in_trace(crossed.patterns, sizes, runs.n_classes)
    xmipp = significance.rank_xmipp(crossed.sizes, smallest, sizes, runs.n_classes, n)
    owner = _own_class(crossed, assigned)
    best, _ = _represent(runs, sizes, assigned)
    columns = {
        "id": np.arange(1, m + 1),
        "size": crossed.sizes,
        "expected_size": significance.expect_sizes(crossed.patterns, sizes, runs.n_classes, n),
        "p_value": p_values,
        "q_value": significance.adjust_fdr(p_values, significance.count_cells(runs.n_classes)),
        "relative_size": crossed.sizes / np.maximum(smallest, 1),
        "xmipp_size_p": xmipp[0],
        "xmipp_relative_p": xmipp[1],
        "kept": kept,
        "consensus_class": owner,
    }
    table = {name: column[:max_listed] for name, column in columns.items()}
    traces = write_traces(crossed.patterns, runs.names, max_listed)
    table["representative"] = np.append(name_classes(runs)[best], "")[table["consensus_class"]]
    return {"id": table.pop("id"), "trace": np.asarray(traces, dtype=object)} | table


def tabulate_matching(
    runs: Runs, assigned: Assigned, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Columns of matching.tsv: the class of another run (or of the consensus) that a class is.

    Pairs of runs are matched one to one by the particles they share (Hungarian method); classes
    from 0, partner -1 where the other run has too few. share: part of the class that its partner
    holds. More than 200,000 particles are sampled.
    """
    labels = np.column_stack([runs.labels, assigned.labels])
    if len(labels) > _MATCHED_PARTICLES:
        drawn = rng.choice(len(labels), _MATCHED_PARTICLES, replace=False)
        labels = labels[np.sort(drawn)]
    columns = list(labels.T)
    names = [*runs.names, "consensus"]
    sizes = [np.bincount(c[c >= 0], minlength=int(c.max(initial=-1)) + 1) for c in columns]
    rows = []
    for a in range(len(runs.names)):
        for b in (b for b in range(len(names)) if b != a):
            partner, flow = match_classes(columns[a], columns[b])
            for k, p in enumerate(partner):
                shared = int(flow[k, p]) if p >= 0 else 0
                union = sizes[a][k] + (sizes[b][p] if p >= 0 else 0) - shared
                share = shared / max(sizes[a][k], 1)
                rows.append((names[a], k, names[b], int(p), share, shared / max(union, 1)))
    found = list(zip(*rows, strict=True)) or [()] * 6
    titles = ("run", "class", "other", "partner", "share", "jaccard")
    return {title: np.asarray(column) for title, column in zip(titles, found, strict=True)}


def _own_class(crossed: Intersections, assigned: Assigned) -> np.ndarray:
    m, g = len(crossed.sizes), assigned.posteriors.shape[1]
    both = (crossed.of_particle >= 0) & (assigned.labels >= 0)
    cell = crossed.of_particle[both] * g + assigned.labels[both]
    votes = np.bincount(cell, minlength=m * g).reshape(m, g)
    return np.where(votes.sum(axis=1) > 0, votes.argmax(axis=1), -1)


def _represent(runs: Runs, sizes: np.ndarray, assigned: Assigned) -> tuple[np.ndarray, np.ndarray]:
    """Input class with the largest Jaccard index for every consensus class, and all indices."""
    g = assigned.posteriors.shape[1]
    shared = count_contingency(assigned.labels, g, runs.labels, runs.n_classes)
    own = np.bincount(assigned.labels[assigned.labels >= 0], minlength=g)
    similarity = jaccard(shared.astype(float), own.astype(float), sizes.astype(float))
    return choose_representatives(similarity), similarity


def tabulate_classes(
    runs: Runs,
    crossed: Intersections,
    sizes: Int[np.ndarray, " c"],
    assigned: Assigned,
    fit: Votes,
    model: LatentClasses,
    choice: Choice,
    evidence: Sequence[Distinct] | None,
    fdr: float,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Columns of stability.tsv: size, occupancy, stability and significance of every class.

    Column `recovered` is the fraction of the runs that hold the class as a class of their own
    (Jaccard > 0.5), `resampled` that of the resamplings of runs and particles.

    Args:
        runs: labels, posteriors and weights of all runs.
        crossed: their intersections.
        sizes: particles of every input class.
        assigned: class of every particle.
        fit: votes of the particles that the model was fitted to.
        model: latent classes.
        choice: with the models that resampling gave.
        evidence: of held-out particles for each class; None without images.
        fdr: q-value below which a class is significant.
        rng: of the resampled occupancies.
    """
    n, g = len(runs.labels), assigned.posteriors.shape[1]
    inside = assigned.labels >= 0
    size = np.bincount(assigned.labels[inside], minlength=g)
    stable = np.bincount(assigned.labels[inside], weights=assigned.stability[inside], minlength=g)
    mass = assigned.posteriors.sum(axis=0, dtype=np.float64)
    shares = mass / mass.sum() if mass.any() else model.weights
    low, high = resample_occupancy(fit, model, shares, n, rng)
    best, similarity = _represent(runs, sizes, assigned)
    by_run = np.split(similarity, np.cumsum(runs.n_classes)[:-1], axis=1)
    found = np.stack([part.max(axis=1, initial=0.0) for part in by_run], axis=1) > 0.5
    observed, expected, log_p = _test_classes(runs, crossed, sizes, assigned)
    p_values = np.exp(log_p)
    q_values = significance.adjust_fdr(p_values, float(g))
    return {
        "class": np.arange(g),
        "size": size,
        "mass": mass,
        "occupancy": size / n,
        "occupancy_low": low,
        "occupancy_high": high,
        "mean_stability": stable / np.maximum(size, 1),
        "recovered": found.mean(axis=1),
        "resampled": recovered_by(fit, model, choice.resampled, choice.joined > 0),
        "observed": observed,
        "expected": expected,
        "effect_size": np.log2(np.maximum(observed, 0.5) / np.maximum(expected, 1e-9)),
        "log10_p_value": log_p / np.log(10.0),
        "p_value": p_values,
        "q_value": q_values,
        "significant": q_values < fdr,
        **compare_nearest(fit, model, evidence),
        "representative": name_classes(runs)[best],
        "representative_jaccard": similarity[np.arange(g), best],
    }


def _test_classes(runs, crossed, sizes, assigned) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observed, expected and log p of the consensus classes, each tested as merged.

    An input class belongs to the consensus class that holds more than half of it.
    """
    g = assigned.posteriors.shape[1]
    shared = count_contingency(assigned.labels, g, runs.labels, runs.n_classes)
    mostly = shared > 0.5 * np.maximum(sizes, 1)
    scores = [
        significance.score_merged_class(
            crossed.patterns,
            crossed.sizes,
            np.split(mostly[c], np.cumsum(runs.n_classes)[:-1]),
            len(runs.labels),
        )
        for c in range(g)
    ]
    observed, expected, log_p = np.asarray(scores, dtype=np.float64).T
    return observed, expected, log_p
