"""The consensus of many classifications of the same particles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from emjax.ensemble import significance
from emjax.ensemble.choose import Choice, choose_number
from emjax.ensemble.elbow import ELBOWS, find_elbows
from emjax.ensemble.intersections import (
    Intersections,
    class_sizes,
    count_classes,
    count_contingency,
    intersect_runs,
    keep_intersections,
    write_traces,
)
from emjax.ensemble.latent import (
    LatentClasses,
    Votes,
    assign_posterior,
    fit_path,
    iterate,
    tabulate_labels,
)
from emjax.ensemble.linkage import choose_representatives, cut_linkage, jaccard, link_groups
from emjax.ensemble.stability import compare_runs, resample_occupancy, score_stability

_CHUNK = 50_000


@dataclass(frozen=True)
class ConsensusOptions:
    """Options of the consensus, with the names of config.yaml.

    metric: distance between memberships: cosine, euclidean, cityblock, correlation.
    min_class_size: smallest intersection that is linked, and smallest consensus class.
    fdr: q-value below which an intersection or class is called significant.
    n_classes: auto, a number, or an elbow's name (which cuts the linkage, as the original does).
    min_class_fraction: smallest fraction of the particles that is called a class.
    min_posterior: particles whose class is less probable stay unassigned.
    min_stability: particles whose runs agree less stay unassigned.
    max_classes: most classes considered.
    max_linked: most intersections linked, the largest first.
    fit_particles: particles that the number is chosen on; 10 times as many refine the rates.
    resamples: resamplings of runs and particles for the number's uncertainty.
    """

    metric: str = "cosine"
    min_class_size: int = 0
    fdr: float = 0.05
    n_classes: str | int = "auto"
    min_class_fraction: float = 0.01
    min_posterior: float = 0.5
    min_stability: float = 0.0
    max_classes: int = 20
    max_linked: int = 500
    fit_particles: int = 4000
    resamples: int = 20
    seed: int = 0


@dataclass(frozen=True)
class Consensus:
    """Everything under consensus/, as arrays; classes from 0, -1 for unassigned.

    run_names: the runs in canonical (sorted) order, which all tables follow.
    intersections: columns of intersections.tsv.
    classes: columns of stability.tsv.
    linkage, coss_linkage: SciPy's (n-1, 4) over the kept intersections.
    elbows: rules, recommended number, the number chosen, and why.
    ari, ami: agreement of every pair of runs.
    """

    run_names: list[str]
    run_weights: Float[np.ndarray, " r"]
    intersections: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]
    linkage: Float[np.ndarray, "merges 4"]
    coss_linkage: Float[np.ndarray, "merges 4"]
    elbows: dict
    labels: Int[np.ndarray, " n"]
    class_posterior: Float[np.ndarray, " n"]
    posteriors: Float[np.ndarray, "n g"]
    stability: Float[np.ndarray, " n"]
    intersection_of: Int[np.ndarray, " n"]
    ari: Float[np.ndarray, "r r"]
    ami: Float[np.ndarray, "r r"]


@dataclass(frozen=True)
class _Runs:
    """The runs in canonical order."""

    names: list[str]
    labels: Int[np.ndarray, "n r"]
    posteriors: list[np.ndarray | None]
    n_classes: Int[np.ndarray, " r"]
    weights: Float[np.ndarray, " r"]


def build_consensus(
    labels: Int[np.ndarray, "n r"],
    run_names: Sequence[str],
    posteriors: Sequence[Float[np.ndarray, "n k"] | None] | None = None,
    options: ConsensusOptions | None = None,
    *,
    log_likelihood: Float[np.ndarray, " r"] | None = None,
    run_groups: Sequence[str] | None = None,
    held_out_gain: Mapping[int, float] | None = None,
) -> Consensus:
    """Consensus classes of runs over the same particles, with their number and significance.

    Args:
        labels: class of every particle in every run, from 0; -1 unassigned.
        run_names: name of every run, all different; their order does not matter.
        posteriors: class posteriors of the runs (None: the labels are all there is).
        options: see ConsensusOptions.
        log_likelihood: of every run, NaN where unknown; compared within `run_groups` only.
        run_groups: runs of the same method and class number (default: name up to `-s`).
        held_out_gain: held-out log-likelihood for every number of classes; more classes than
            its maximum are not reported, however well the runs agree.
    """
    options = options or ConsensusOptions()
    runs = _order_runs(labels, run_names, posteriors, log_likelihood, run_groups)
    rng = np.random.default_rng(options.seed)
    crossed = intersect_runs(runs.labels)
    sizes = class_sizes(runs.labels, runs.n_classes)
    kept = keep_intersections(crossed.sizes, options.min_class_size)[: options.max_linked]
    linkages = _link(crossed, kept, runs, sizes, options)
    elbows = find_elbows(*linkages)
    fit = _sample_votes(runs, crossed, options.fit_particles, rng)
    choice = choose_number(
        fit,
        rng,
        options.max_classes,
        max(options.min_class_fraction, options.min_class_size / max(len(runs.labels), 1)),
        options.resamples,
        dict(held_out_gain) if held_out_gain else None,
    )
    model, chosen = _choose_model(options, choice, elbows, fit, rng)
    model = iterate(_sample_votes(runs, crossed, 10 * options.fit_particles, rng), model, 10)
    assigned = _assign(runs, crossed, model, options)
    if options.n_classes in elbows:
        assigned = _assign_by_linkage(assigned, crossed, kept, linkages, options, elbows)
    assigned, model = _order_classes(assigned, model)
    summary = elbows | _describe_choice(choice, chosen, options)
    ari, ami = compare_runs(runs.labels, rng)
    groups = assigned.labels
    contingency = count_contingency(
        groups, assigned.posteriors.shape[1], runs.labels, runs.n_classes
    )
    return Consensus(
        runs.names,
        runs.weights,
        _tabulate_intersections(runs, crossed, sizes, kept, groups, contingency, options),
        _tabulate_classes(runs, crossed, sizes, assigned, contingency, model, fit, options, rng),
        *linkages,
        summary,
        groups,
        assigned.own,
        assigned.posteriors,
        assigned.stability,
        crossed.of_particle,
        ari,
        ami,
    )


def _order_runs(labels, run_names, posteriors, log_likelihood, run_groups) -> _Runs:
    labels = np.asarray(labels)
    names = [str(name) for name in run_names]
    if labels.ndim != 2 or labels.shape[1] != len(names) or not names:
        raise ValueError(
            f"labels: {labels.shape}; one column for each of {len(names)} runs expected"
        )
    if len(set(names)) < len(names):
        raise ValueError("run_names: a name occurs twice; all different expected")
    if not labels.size:
        raise ValueError("labels: no particles; at least one expected")
    order = np.asarray(sorted(range(len(names)), key=lambda s: names[s]))
    given = list(posteriors) if posteriors is not None else [None] * len(names)
    groups = list(run_groups) if run_groups is not None else [n.rsplit("-s", 1)[0] for n in names]
    weights = weigh_runs(
        np.full(len(names), np.nan) if log_likelihood is None else np.asarray(log_likelihood),
        groups,
    )
    n_classes = count_classes(labels)
    for s, table in enumerate(given):
        if table is not None:
            if len(table) != len(labels) or table.shape[1] < n_classes[s]:
                raise ValueError(
                    f"posteriors of {names[s]}: {table.shape}; "
                    f"({len(labels)}, {n_classes[s]} or more) expected"
                )
            n_classes[s] = table.shape[1]
    return _Runs(
        [names[s] for s in order],
        np.ascontiguousarray(labels[:, order]),
        [given[s] for s in order],
        np.maximum(n_classes[order], 1),
        weights[order],
    )


def weigh_runs(
    log_likelihood: Float[np.ndarray, " r"], run_groups: Sequence[str]
) -> Float[np.ndarray, " r"]:
    """Weight of every run: 1 for the best of its group, exp(-Δ / sd) for one Δ below it.

    Likelihoods of runs of one method and class number are comparable; differences are hundreds
    of nats and would leave a single run, so they are measured by their own spread.
    """
    weights = np.ones(len(log_likelihood))
    for group in set(run_groups):
        rows = np.flatnonzero(np.asarray(run_groups) == group)
        rows = rows[np.isfinite(log_likelihood[rows])]
        spread = log_likelihood[rows].std() if len(rows) > 1 else 0.0
        if spread > 0:
            below = log_likelihood[rows].max() - log_likelihood[rows]
            weights[rows] = np.exp(-below / spread)
    return weights


def _link(crossed, kept, runs, sizes, options):
    rows = Intersections(crossed.patterns[kept], crossed.sizes[kept], crossed.of_particle)
    from emjax.ensemble.intersections import pattern_contingency

    table = pattern_contingency(rows, runs.n_classes)
    return (
        link_groups(table, rows.sizes, sizes, options.metric),
        link_groups(table, rows.sizes, sizes, "coss"),
    )


def _votes_of(runs: _Runs, rows: np.ndarray) -> Votes:
    """Votes of single particles, soft where the run gave posteriors."""
    votes = tabulate_labels(runs.labels[rows], np.ones(len(rows)), runs.n_classes, runs.weights)
    start = 0
    for s, k in enumerate(runs.n_classes):
        soft = runs.posteriors[s]
        if soft is not None:
            given = runs.labels[rows, s] >= 0
            votes.table[given, start : start + k] = soft[rows[given]]
        start += int(k)
    return votes


def _sample_votes(runs: _Runs, crossed: Intersections, limit: int, rng) -> Votes:
    """Votes of at most `limit` particles; equal labels without posteriors share a row."""
    rows = np.flatnonzero(crossed.of_particle >= 0)
    if len(rows) > limit:
        rows = np.sort(rng.choice(rows, limit, replace=False))
    if any(soft is not None for soft in runs.posteriors):
        return _votes_of(runs, rows)
    found, counts = np.unique(crossed.of_particle[rows], return_counts=True)
    return tabulate_labels(crossed.patterns[found], counts, runs.n_classes, runs.weights)


def _choose_model(options, choice: Choice, elbows, fit: Votes, rng) -> tuple[LatentClasses, int]:
    """The model of the recommended or of the demanded number of classes."""
    wanted = options.n_classes
    if isinstance(wanted, str) and wanted.isdigit():
        wanted = int(wanted)
    if wanted == "auto":
        return choice.model, choice.recommended
    if isinstance(wanted, str):
        if wanted not in ELBOWS:
            raise ValueError(
                f"consensus.n_classes: {wanted!r}; auto, a number or one of {', '.join(ELBOWS)} "
                "expected"
            )
        wanted = elbows[wanted]
    if wanted < 1:
        raise ValueError(f"consensus.n_classes: {wanted}; at least 1 expected")
    if wanted == choice.recommended:
        return choice.model, wanted
    path = fit_path(fit, max(wanted, options.max_classes), rng)
    return path[max(g for g in path if g <= wanted)], wanted


@dataclass(frozen=True)
class _Assigned:
    labels: np.ndarray
    own: np.ndarray
    posteriors: np.ndarray
    stability: np.ndarray


def _assign(runs, crossed, model, options) -> _Assigned:
    """Class, its posterior and stability of every particle, in chunks."""
    n, g = len(runs.labels), len(model.weights)
    soft = any(table is not None for table in runs.posteriors)
    total = n if soft else len(crossed.sizes)
    posteriors = np.empty((total, g), dtype=np.float32)
    stability = np.empty(total, dtype=np.float32)
    for start in range(0, total, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, total))
        votes = (
            _votes_of(runs, rows)
            if soft
            else tabulate_labels(
                crossed.patterns[rows], np.ones(len(rows)), runs.n_classes, runs.weights
            )
        )
        posteriors[rows], _ = assign_posterior(votes, model)
        stability[rows] = score_stability(votes, model, posteriors[rows].argmax(axis=1))
    labels = posteriors.argmax(axis=1)
    own = posteriors.max(axis=1, initial=0.0)
    unsure = (own < options.min_posterior) | (stability < options.min_stability)
    labels = np.where(unsure, -1, labels)
    if not soft and total == 0:
        return _Assigned(np.full(n, -1), np.zeros(n), np.zeros((n, g), np.float32), np.zeros(n))
    if not soft:
        of = crossed.of_particle
        labels, own, posteriors, stability = (x[of] for x in (labels, own, posteriors, stability))
    nowhere = crossed.of_particle < 0
    labels[nowhere] = -1
    own[nowhere] = 0.0
    stability[nowhere] = 0.0
    return _Assigned(labels, own, posteriors, stability)


def _assign_by_linkage(assigned, crossed, kept, linkages, options, elbows) -> _Assigned:
    """Classes by cutting the linkage; particles of intersections not linked stay unassigned."""
    if not len(kept):
        return replace(assigned, labels=np.full_like(assigned.labels, -1))
    linkage = linkages[1] if str(options.n_classes).startswith("coss") else linkages[0]
    group = np.full(len(crossed.sizes) + 1, -1)
    group[kept] = cut_linkage(linkage, elbows[options.n_classes])
    labels = group[crossed.of_particle]
    g = int(group.max(initial=0)) + 1
    posteriors = (labels[:, None] == np.arange(g)).astype(np.float32)
    return replace(assigned, labels=labels, posteriors=posteriors, own=posteriors.max(axis=1))


def _order_classes(assigned: _Assigned, model: LatentClasses) -> tuple[_Assigned, LatentClasses]:
    """Largest class first."""
    g = assigned.posteriors.shape[1]
    size = np.bincount(assigned.labels[assigned.labels >= 0], minlength=g)
    order = np.argsort(-size, kind="stable")
    rank = np.append(np.argsort(order), -1)
    if len(model.weights) == g:
        model = replace(model, weights=model.weights[order], rates=model.rates[order])
    return (
        replace(assigned, labels=rank[assigned.labels], posteriors=assigned.posteriors[:, order]),
        model,
    )


def _describe_choice(choice: Choice, chosen: int, options: ConsensusOptions) -> dict:
    counts = choice.counts if len(choice.counts) else np.asarray([choice.recommended])
    low, high = np.percentile(counts, [5, 95], method="nearest")
    return {
        "recommended": choice.recommended,
        "recommended_low": int(min(low, choice.recommended)),
        "recommended_high": int(max(high, choice.recommended)),
        "resampled_agreement": float(np.mean(counts == choice.recommended)),
        "verdict": choice.verdict,
        "why": choice.reason,
        "chosen": int(chosen),
        "chosen_by": str(options.n_classes),
        "likelihood_peak": int(max(choice.scores, key=lambda k: choice.scores[k])),
    }


def _name_classes(runs: _Runs) -> np.ndarray:
    return np.asarray(
        [
            f"{n}.{k + 1}"
            for n, kk in zip(runs.names, runs.n_classes, strict=True)
            for k in range(kk)
        ]
    )


def _tabulate_intersections(runs, crossed, sizes, kept, groups, contingency, options) -> dict:
    """Columns of intersections.tsv; an intersection goes to the class of most of its particles."""
    n, m = len(runs.labels), len(crossed.sizes)
    patterns = crossed.patterns
    expected = significance.expect_sizes(patterns, sizes, runs.n_classes, n)
    p_values = significance.score_intersections(patterns, crossed.sizes, sizes, runs.n_classes, n)
    cells = significance.count_cells(runs.n_classes)
    smallest = significance.smallest_in_trace(patterns, sizes, runs.n_classes)
    size_p, relative_p = significance.rank_xmipp(crossed.sizes, smallest, sizes, runs.n_classes, n)
    g = contingency.shape[0]
    both = (crossed.of_particle >= 0) & (groups >= 0)
    votes = np.bincount(crossed.of_particle[both] * g + groups[both], minlength=m * g).reshape(m, g)
    owner = np.where(votes.sum(axis=1) > 0, votes.argmax(axis=1) if g else -1, -1)
    is_kept = np.zeros(m, dtype=bool)
    is_kept[kept] = True
    totals = np.bincount(groups[groups >= 0], minlength=g)
    similarity = jaccard(contingency.astype(float), totals.astype(float), sizes.astype(float))
    names = np.append(_name_classes(runs)[choose_representatives(similarity)], "")
    return {
        "id": np.arange(1, m + 1),
        "trace": np.asarray(write_traces(patterns, runs.names)),
        "size": crossed.sizes,
        "expected_size": expected,
        "p_value": p_values,
        "q_value": significance.adjust_fdr(p_values, cells),
        "relative_size": crossed.sizes / np.maximum(smallest, 1),
        "xmipp_size_p": size_p,
        "xmipp_relative_p": relative_p,
        "kept": is_kept,
        "consensus_class": owner,
        "representative": names[owner],
    }


def _tabulate_classes(
    runs, crossed, sizes, assigned, contingency, model, fit, options, rng
) -> dict[str, np.ndarray]:
    """Columns of stability.tsv: size, occupancy, stability and significance of every class."""
    n, g = len(runs.labels), assigned.posteriors.shape[1]
    inside = assigned.labels >= 0
    size = np.bincount(assigned.labels[inside], minlength=g)
    by_model = len(model.weights) == g
    low, high = (
        resample_occupancy(fit, model, n, rng)
        if by_model
        else (np.full(g, np.nan), np.full(g, np.nan))
    )
    similarity = jaccard(contingency.astype(float), size.astype(float), sizes.astype(float))
    ends = np.cumsum(runs.n_classes)[:-1]
    observed, expected, log_p = np.zeros(g), np.zeros(g), np.zeros(g)
    for c in range(g):
        inside_class = contingency[c] > 0.5 * np.maximum(sizes, 1)
        members = np.split(inside_class, ends)
        observed[c], expected[c], log_p[c] = significance.score_merged_class(
            crossed.patterns, crossed.sizes, members, n
        )
    p_values = np.exp(np.maximum(log_p, -700.0)) * (log_p > -700.0)
    total = np.maximum(size, 1)
    weight = np.bincount(assigned.labels[inside], weights=assigned.stability[inside], minlength=g)
    recovered = np.stack([part.max(axis=1) for part in np.split(similarity, ends, axis=1)], axis=1)
    best = choose_representatives(similarity)
    return {
        "class": np.arange(g),
        "size": size,
        "mass": assigned.posteriors.sum(axis=0, dtype=np.float64),
        "occupancy": size / n,
        "occupancy_low": low,
        "occupancy_high": high,
        "mean_stability": weight / total,
        "recovered": (recovered > 0.5).mean(axis=1),
        "observed": observed,
        "expected": expected,
        "effect_size": np.log2(np.maximum(observed, 0.5) / np.maximum(expected, 1e-300)),
        "log10_p_value": log_p / np.log(10.0),
        "p_value": p_values,
        "q_value": significance.adjust_fdr(p_values, float(g)),
        "representative": _name_classes(runs)[best],
        "representative_jaccard": similarity[np.arange(g), best],
    }
