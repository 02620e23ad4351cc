"""The consensus of many classifications of the same particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from emjax.consensus.assign import assign_by_linkage, assign_particles, order_by_size
from emjax.consensus.choose import Choice, choose_number
from emjax.consensus.elbows import ELBOWS, Elbows, find_elbows
from emjax.consensus.intersections import (
    Intersections,
    class_sizes,
    intersect_runs,
    keep_intersections,
    pattern_contingency,
)
from emjax.consensus.latent import LatentClasses, Votes, fit_path, iterate
from emjax.consensus.linkage import link_groups
from emjax.consensus.number import ClassNumber, describe_number
from emjax.consensus.runs import Runs, order_runs, sample_votes
from emjax.consensus.stability import compare_runs
from emjax.consensus.tables import tabulate_classes, tabulate_intersections, tabulate_matching
from emjax.errors import OptionError


@dataclass(frozen=True)
class ConsensusOptions:
    """Options of the consensus, with the names of config.yaml.

    Attributes:
        metric: distance between memberships: cosine, euclidean, cityblock, correlation.
        min_class_size: smallest intersection that is linked.
        fdr: q-value below which a class is called significant.
        n_classes: auto, a number, or an elbow's name (which cuts the linkage, as the original
            does).
        min_class_fraction, min_class_particles: a consensus class holds at least this fraction of
            the particles, or this many if they are fewer; below it is debris.
        min_posterior: particles whose class is less probable stay unassigned.
        min_stability: particles whose runs agree less stay unassigned.
        max_classes: most classes considered.
        max_linked, max_listed: most intersections linked and listed, the largest first.
        fit_particles: particles that the number is chosen on; 10 times as many refine the rates.
        resamples: resamplings of runs and particles for the number's uncertainty.
    """

    metric: str = "cosine"
    min_class_size: int = 0
    fdr: float = 0.05
    n_classes: str | int = "auto"
    min_class_fraction: float = 0.015
    min_class_particles: int = 200
    min_posterior: float = 0.5
    min_stability: float = 0.0
    max_classes: int = 20
    max_linked: int = 500
    max_listed: int = 200_000
    fit_particles: int = 4000
    resamples: int = 20
    seed: int = 0

    def min_fraction(self, n_particles: int) -> float:
        """Smallest share of a consensus class; below 0.2 % the sample shows too few of it."""
        share = min(self.min_class_fraction, self.min_class_particles / max(n_particles, 1))
        return max(share, 0.002)


@dataclass(frozen=True)
class Consensus:
    """Everything under consensus/, as arrays; classes from 0, -1 for unassigned.

    Attributes:
        run_names: the runs in canonical (sorted) order, which all tables follow.
        intersections: columns of intersections.tsv.
        classes: columns of stability.tsv.
        matching: columns of matching.tsv.
        linkage: SciPy's (n-1, 4) over the kept intersections.
        number: of classes, by the rules, recommended and in use, and why.
        ari, ami: agreement of every pair of runs.
    """

    run_names: list[str]
    run_weights: Float[np.ndarray, " r"]
    intersections: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]
    matching: dict[str, np.ndarray]
    linkage: Float[np.ndarray, "merges 4"]
    number: ClassNumber
    labels: Int[np.ndarray, " n"]
    class_posterior: Float[np.ndarray, " n"]
    posteriors: Float[np.ndarray, "n g"]
    stability: Float[np.ndarray, " n"]
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
    max_classes_supported: int | None = None,
) -> Consensus:
    """Consensus classes of runs over the same particles, with their number and significance.

    Args:
        labels: class of every particle in every run, from 0; -1 unassigned.
        run_names: name of every run, all different; their order does not matter.
        posteriors: class posteriors of the runs (None: the labels are all there is).
        options: see ConsensusOptions.
        log_likelihood: of every run, NaN where unknown; compared within `run_groups` only.
        run_groups: what is the same for runs of one method and number of classes; without
            them no likelihoods are compared.
        max_classes_supported: largest number of classes that held-out particles support; more
            are not reported, however well the runs agree.
    """
    options = options or ConsensusOptions()
    rng = np.random.default_rng(options.seed)
    runs = order_runs(labels, run_names, posteriors, log_likelihood, run_groups)
    sizes = class_sizes(runs.labels, runs.n_classes)
    crossed = intersect_runs(runs.labels)
    kept = keep_intersections(crossed.sizes, options.min_class_size)[: options.max_linked]
    linkages = link_intersections(crossed, kept, runs, sizes, options.metric)
    elbows = find_elbows(*linkages)
    fit = sample_votes(runs, crossed, options.fit_particles, rng)
    choice = choose_number(
        fit,
        rng,
        options.max_classes,
        options.min_fraction(len(runs.labels)),
        options.resamples,
        max_classes_supported,
    )
    model, chosen = choose_model(options.n_classes, choice, elbows, fit, options.max_classes, rng)
    if options.n_classes in ELBOWS:
        linkage = linkages[int(str(options.n_classes).startswith("coss"))]
        assigned, model = assign_by_linkage(runs, crossed, kept, linkage, chosen)
    else:
        model = iterate(sample_votes(runs, crossed, 10 * options.fit_particles, rng), model, 10)
        assigned = assign_particles(
            runs, crossed, model, options.min_posterior, options.min_stability
        )
        assigned, model = order_by_size(assigned, model)
    ari, ami = compare_runs(runs.labels, rng)
    return Consensus(
        run_names=runs.names,
        run_weights=runs.weights,
        intersections=tabulate_intersections(
            runs, crossed, sizes, kept, assigned, options.max_listed
        ),
        classes=tabulate_classes(runs, crossed, sizes, assigned, fit, model, options.fdr, rng),
        matching=tabulate_matching(runs, assigned, rng),
        linkage=linkages[0],
        number=describe_number(choice, elbows, assigned.posteriors.shape[1], options.n_classes),
        labels=assigned.labels,
        class_posterior=assigned.own,
        posteriors=assigned.posteriors,
        stability=assigned.stability,
        ari=ari,
        ami=ami,
    )


def link_intersections(
    crossed: Intersections,
    kept: Int[np.ndarray, " k"],
    runs: Runs,
    sizes: Int[np.ndarray, " c"],
    metric: str,
) -> tuple[Float[np.ndarray, "merges 4"], Float[np.ndarray, "merges 4"]]:
    """Linkage of the kept intersections by the metric, and by the COSS objective."""
    rows = Intersections(crossed.patterns[kept], crossed.sizes[kept], crossed.of_particle)
    table = pattern_contingency(rows, runs.n_classes)
    return (
        link_groups(table, rows.sizes, sizes, metric),
        link_groups(table, rows.sizes, sizes, "coss"),
    )


def choose_model(
    wanted: str | int,
    choice: Choice,
    elbows: Elbows,
    fit: Votes,
    max_classes: int,
    rng: np.random.Generator,
) -> tuple[LatentClasses, int]:
    """The model of the recommended or of the demanded number of classes."""
    if wanted == "auto":
        return choice.model, choice.recommended
    number = int(wanted) if str(wanted).isdigit() else 0
    if wanted in ELBOWS:
        number = elbows.of(str(wanted))
    if number < 1:
        expected = f"auto, a number from 1 or one of {', '.join(ELBOWS)}"
        raise OptionError("consensus.n_classes", wanted, expected)
    if number == choice.recommended or wanted in ELBOWS:
        return choice.model, number
    path = fit_path(fit, max(number, max_classes), rng)
    return path[max(g for g in path if g <= number)], number
