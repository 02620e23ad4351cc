"""The consensus of many classifications of the same particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from emjax.consensus.assign import (
    BETWEEN,
    Assigned,
    assign_by_linkage,
    assign_by_run,
    assign_particles,
    describe_groups,
    measure_stability,
    order_by_size,
    prune_unstable,
)
from emjax.consensus.choose import Choice, Variability, Verdict, choose_number
from emjax.consensus.elbows import ELBOWS, Elbows, find_elbows
from emjax.consensus.intersections import (
    Intersections,
    class_sizes,
    intersect_runs,
    keep_intersections,
)
from emjax.consensus.latent import LatentClasses, Votes, fit_path, iterate
from emjax.consensus.linkage import link_intersections
from emjax.consensus.number import ClassNumber, describe_number
from emjax.consensus.options import LABELLINGS, ConsensusOptions
from emjax.consensus.runs import Runs, order_runs, sample_votes
from emjax.consensus.settle import Images, join_classes, judge_classes, settle
from emjax.consensus.stability import compare_runs
from emjax.consensus.tables import tabulate_classes, tabulate_intersections, tabulate_matching
from emjax.errors import OptionError


@dataclass(frozen=True)
class Consensus:
    """Everything under consensus/, as arrays; classes from 0, -1 for unassigned.

    Attributes:
        run_names: the runs in canonical (sorted) order, which all tables follow.
        run_weights: how much each counts, 0 for those that another run stands for.
        counted_with: index of the run that stands for each run, mostly its own.
        intersections: columns of intersections.tsv.
        classes: columns of stability.tsv.
        matching: columns of matching.tsv.
        linkage: SciPy's (n-1, 4) over the kept intersections, the tree that is cut.
        number: of classes, by the rules, recommended and in use, and why.
        intersection: id of every particle's intersection, from 1; 0 where no run assigned it.
        set_aside: `between` or `pruned` for particles that the consensus leaves out, else empty.
        ari, ami: agreement of every pair of runs.
    """

    run_names: list[str]
    run_weights: Float[np.ndarray, " r"]
    counted_with: Int[np.ndarray, " r"]
    intersections: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]
    matching: dict[str, np.ndarray]
    linkage: Float[np.ndarray, "merges 4"]
    number: ClassNumber
    labels: Int[np.ndarray, " n"]
    class_posterior: Float[np.ndarray, " n"]
    posteriors: Float[np.ndarray, "n g"]
    stability: Float[np.ndarray, " n"]
    intersection: Int[np.ndarray, " n"]
    set_aside: Shaped[np.ndarray, " n"]
    ari: Float[np.ndarray, "r r"]
    ami: Float[np.ndarray, "r r"]


def build_consensus(
    labels: Int[np.ndarray, "n r"],
    run_names: Sequence[str],
    posteriors: Sequence[Float[np.ndarray, "_ _"] | None] | None = None,
    options: ConsensusOptions | None = None,
    *,
    log_likelihood: Float[np.ndarray, " r"] | None = None,
    run_groups: Sequence[str] | None = None,
    starts: Sequence[str] | None = None,
    max_classes_supported: int | None = None,
    images: Images | None = None,
) -> Consensus:
    """Consensus classes of runs over the same particles, with their number and significance.

    Particles that no run assigned stay unassigned and count nowhere.

    Args:
        labels: class of every particle in every run, from 0; -1 unassigned.
        run_names: name of every run, all different; their order does not matter.
        posteriors: class posteriors of the runs (None: the labels are all there is).
        options: see ConsensusOptions.
        log_likelihood: of every run, mean per particle in nats, NaN where unknown; compared
            within `run_groups` only.
        run_groups: what is the same for runs of one method and number of classes; without
            them no likelihoods are compared.
        starts: runs with the same one cannot end differently and count as one run; so do runs
            whose results are equal.
        max_classes_supported: largest number of classes that held-out particles support; more
            are not recommended, however well the runs agree. Where classes settle on images, only
            that it is one.
        images: of all particles, in which the classes are settled and judged; None: labels are
            all there is.

    Raises:
        OptionError: where the number of classes is not to be had, or every particle is pruned.
    """
    options = options or ConsensusOptions()
    rng = np.random.default_rng(options.seed)
    everyone = order_runs(labels, run_names, posteriors, log_likelihood, run_groups, starts)
    rows = np.flatnonzero(everyone.assigned)
    given = everyone.select(rows)
    runs = given.independent()
    sizes = class_sizes(runs.labels, runs.n_classes)
    crossed = intersect_runs(runs.labels)
    kept = _keep(crossed, options.min_class_size)
    linked = np.flatnonzero(kept)[: options.max_linked]
    linkages = link_intersections(crossed, linked, runs, sizes, options.metric)
    elbows = find_elbows(*linkages)
    fit = sample_votes(runs, crossed, options.sample_size(runs.n_classes), rng, kept)
    settles = images is not None and options.n_classes == options.labelling == "auto"
    choice = choose_number(
        fit,
        rng,
        options.max_classes,
        options.min_fraction(len(rows)),
        options.resamples,
        # Where classes settle, those that images do not tell apart are joined instead.
        None if settles and max_classes_supported != 1 else max_classes_supported,
        Variability.UNKNOWN if images is None else images.variability,
    )
    linkage = linkages[int(str(options.n_classes).startswith("coss"))]
    number = _wanted_number(options, choice, elbows, len(linked))
    by = _labelling(options, choice)
    if by == "run":
        assigned, model = assign_by_run(runs, crossed, kept, choice.run or 0)
    elif by == "tree":
        assigned, model = assign_by_linkage(runs, crossed, kept, linked, linkage, number)
    else:
        model = _refine(options, choice, number, fit, runs, crossed, kept, rng)
        assigned = assign_particles(runs, crossed, kept, model, options.min_posterior)
    settled = None
    seen = images and images.select(rows)
    if seen and settles and by == "model" and len(model.weights) > 1:
        settled = settle(assigned, seen, options.min_posterior)
    if settled:
        by, choice = "images", join_classes(choice, settled.joined)
        model = describe_groups(runs, settled.assigned.labels, settled.assigned.posteriors.shape[1])
        stability = measure_stability(runs, crossed, model, settled.assigned.labels)
        assigned = replace(settled.assigned, stability=stability)
    assigned, model = order_by_size(prune_unstable(assigned, options.min_stability), model)
    if not len(model.weights):
        _refuse_nobody(options, assigned)
    evidence = judge_classes(assigned, seen) if seen else None
    ari, ami = compare_runs(given.labels, rng)
    counted = np.isin(np.arange(len(given.names)), given.counted_with)
    return Consensus(
        run_names=given.names,
        run_weights=np.where(counted, given.weights, 0.0),
        counted_with=given.counted_with,
        intersections=tabulate_intersections(
            runs, crossed, sizes, kept, assigned, options.max_listed
        ),
        classes=tabulate_classes(
            runs, crossed, sizes, assigned, fit, model, choice, evidence, options.fdr, rng
        ),
        matching=tabulate_matching(given, assigned, rng),
        linkage=linkage,
        number=describe_number(
            choice, elbows, len(model.weights), options.n_classes, by, given.describe_repeats()
        ),
        ari=ari,
        ami=ami,
        **_spread(assigned, crossed, rows, len(everyone.labels)),
    )


def _keep(crossed: Intersections, min_class_size: int) -> Bool[np.ndarray, " m"]:
    """Intersections that are not pruned."""
    kept = np.zeros(len(crossed.sizes), dtype=bool)
    kept[keep_intersections(crossed.sizes, min_class_size)] = True
    if not kept.any():
        expected = f"at most {crossed.sizes[0]}, the particles of the largest intersection"
        raise OptionError("consensus.min_class_size", min_class_size, expected)
    return kept


def _refuse_nobody(options: ConsensusOptions, assigned: Assigned) -> None:
    """Name the option that leaves no particle in any class."""
    if (assigned.set_aside == BETWEEN).all():
        expected = f"at most {assigned.own.max():.2f}, the largest posterior there is"
        raise OptionError("consensus.min_posterior", options.min_posterior, expected)
    expected = f"at most {assigned.stability.max():.2f}, the largest stability there is"
    raise OptionError("consensus.min_stability", options.min_stability, expected)


def _wanted_number(options: ConsensusOptions, choice: Choice, elbows: Elbows, n_groups: int) -> int:
    """The number of classes that the options ask for."""
    wanted = options.n_classes
    if wanted == "auto":
        return min(choice.recommended, n_groups)
    if wanted in ELBOWS:
        return elbows.of(str(wanted))
    number = int(wanted) if str(wanted).isdigit() else 0
    if number < 1:
        expected = f"auto, a number from 1 or one of {', '.join(ELBOWS)}"
        raise OptionError("consensus.n_classes", wanted, expected)
    if number > n_groups:
        expected = f"at most {n_groups}, the groups that the runs keep together"
        raise OptionError("consensus.n_classes", wanted, expected)
    return number


def _labelling(options: ConsensusOptions, choice: Choice) -> str:
    """What assigns the particles: the `tree`, the `model`, or the only `run` that has classes."""
    if options.labelling not in LABELLINGS:
        expected = f"one of {', '.join(LABELLINGS)}"
        raise OptionError("consensus.labelling", options.labelling, expected)
    if options.labelling != "auto":
        return options.labelling
    if options.n_classes != "auto":
        return "tree"
    return "run" if choice.verdict is Verdict.UNREPLICATED else "model"


def _refine(
    options: ConsensusOptions,
    choice: Choice,
    number: int,
    fit: Votes,
    runs: Runs,
    crossed: Intersections,
    kept: Bool[np.ndarray, " m"],
    rng: np.random.Generator,
) -> LatentClasses:
    """Latent classes of the number wanted, fitted to ten times as many particles."""
    model = choice.model
    if number != choice.recommended:
        path = fit_path(fit, max(number, options.max_classes), rng, down_to=number)
        model = path[max((g for g in path if g <= number), default=min(path))]
    limit = 10 * options.sample_size(runs.n_classes)
    return iterate(sample_votes(runs, crossed, limit, rng, kept), model, 10)


def _spread(
    assigned: Assigned, crossed: Intersections, rows: Int[np.ndarray, " m"], n: int
) -> dict[str, np.ndarray]:
    """What the consensus says of every particle, also of those that no run assigned."""
    found = {
        "labels": assigned.labels,
        "class_posterior": assigned.own,
        "posteriors": assigned.posteriors,
        "stability": assigned.stability,
        "intersection": crossed.of_particle + 1,
        "set_aside": assigned.set_aside,
    }
    if len(rows) == n:
        return found
    spread = {name: np.zeros((n, *v.shape[1:]), v.dtype) for name, v in found.items()}
    spread["labels"] -= 1
    for name, values in found.items():
        spread[name][rows] = values
    return spread
