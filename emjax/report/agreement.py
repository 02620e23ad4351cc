"""Do the runs agree: with each other, with the consensus, class by class."""

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from emjax.report.campaign import Campaign, column, numbers, traces
from emjax.report.figure import Figure, percent, plural
from emjax.report.number import chosen_number
from emjax.report.svg import Chart, heat_colour

UNRELATED = 0.05  # agreement below which two methods sort particles by different things
MOST_CELLS = 40  # runs in the agreement matrix; more are thinned evenly


def agreement_matrix(campaign: Campaign) -> tuple[list[str], np.ndarray] | None:
    """Names of the runs and their pairwise adjusted Rand index."""
    table = campaign.table(campaign.folder.consensus.agreement)
    if table.empty:
        return None
    run, other = table["run"].astype(str), table["other"].astype(str)
    names = list(dict.fromkeys([*run, *other]))
    matrix = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(matrix, 1.0)
    where = {name: i for i, name in enumerate(names)}
    for x, y, value in zip(run, other, table["ari"], strict=True):
        matrix[where[x], where[y]] = matrix[where[y], where[x]] = value
    return names, matrix


def agreement_figure(campaign: Campaign) -> Figure | None:
    """Run by run agreement as a heat map."""
    found = agreement_matrix(campaign)
    if found is None or len(found[0]) < 2:
        return None
    names, full = found
    r = len(names)
    pick = np.unique(np.linspace(0, r - 1, min(r, MOST_CELLS)).astype(int))
    matrix = full[np.ix_(pick, pick)]
    m = len(pick)
    chart = Chart((0, m), (m, 0), 520, 470, left=118, bottom=112, label="Agreement between runs")
    for i in range(m):
        for j in range(m):
            value = matrix[i, j]
            if not np.isfinite(value):
                continue
            tip = f"{names[pick[i]]} and {names[pick[j]]}: {value:z.3f}"
            fill, light = heat_colour(value)
            chart.bar(j, j + 1, i, i + 1, tip, fill)
            if m <= 12:
                x, y = chart.px(j + 0.5), chart.py(i + 0.5) + 4
                ink = "#fff" if light else "#111"
                chart.text(x, y, f"{value:z.2f}", style=f"fill:{ink}", class_="cell")
    for i in range(0, m, max(1, m // 16)):
        y, x = chart.py(i + 0.5) + 4, chart.px(i + 0.5)
        chart.text(chart.left - 6, y, names[pick[i]], "end", class_="tick")
        base = chart.height - chart.bottom + 12
        chart.text(
            x, base, names[pick[i]], "end", class_="tick", transform=f"rotate(-50 {x:.1f} {base})"
        )
    rows, columns = np.indices(full.shape)
    data = pd.DataFrame(
        {
            "run": np.array(names)[rows.ravel()],
            "other": np.array(names)[columns.ravel()],
            "adjusted_rand_index": full.ravel(),
        }
    )
    return Figure(
        "agreement",
        agreement_sentence(campaign).capitalize(),
        chart.svg(),
        "Adjusted Rand index of every pair of runs: 1 means the same classes whatever their "
        "order, 0 what chance gives. Runs with different numbers of classes cannot reach 1.",
        data,
    )


def seed_agreement(campaign: Campaign, names: list[str], matrix: np.ndarray) -> dict[int, float]:
    """Typical agreement of the seeds for each number of classes (0: of runs that differ in it).

    Seeds are runs of one method that have one; other programs' runs have none.
    """
    k, methods, seeds = campaign.run_classes(), campaign.run_methods(), campaign.run_seeds()
    own = np.array([k.get(name, 0) for name in names])
    method = np.array([methods.get(name, "") for name in names])
    seeded = np.array([name in seeds for name in names])
    comparable = (method[:, None] == method) & seeded[:, None] & ~np.eye(len(names), dtype=bool)
    found = {}
    for n in np.unique(own[own > 0]):
        pairs = matrix[comparable & (own[:, None] == n) & (own == n)]
        if np.isfinite(pairs).any():
            found[int(n)] = float(np.nanmedian(pairs))
    if not found:
        found[0] = float(np.nanmedian(matrix[~np.eye(len(names), dtype=bool)]))
    return found


def strangers(campaign: Campaign) -> tuple[str, str] | None:
    """Two methods whose runs agree among themselves but not with each other."""
    found = agreement_matrix(campaign)
    if found is None or "method" not in campaign.runs:
        return None
    names, matrix = found
    own = np.array([campaign.run_methods().get(name, "") for name in names])
    methods = [m for m in dict.fromkeys(own) if m]
    for i, a in enumerate(methods):
        for b in methods[i + 1 :]:
            between = matrix[np.ix_(own == a, own == b)]
            if np.isfinite(between).any() and np.nanmedian(between) < UNRELATED:
                return str(a), str(b)
    return None


def agreement_sentence(campaign: Campaign) -> str:
    """`seeds agree 0.99 of 1 with 4 classes, 0.61 with 6`; empty where nothing can be compared."""
    matrix = agreement_matrix(campaign)
    if matrix is None or len(matrix[0]) < 2:
        return ""
    sizes = column(campaign.intersections, "size")
    if sizes is not None and sizes.max(initial=0) > 0.9 * sizes.sum():
        return (
            f"every run puts the same {percent(sizes.max(), sizes.sum())} of the particles together"
        )
    found = seed_agreement(campaign, *matrix)
    if 0 in found:
        return f"runs agree {found[0]:z.2f} of 1"
    parts = [
        f"{value:z.2f}{' of 1' if i == 0 else ''} with {plural(n, 'class', 'classes')}"
        for i, (n, value) in enumerate(found.items())
    ]
    return f"seeds agree {', '.join(parts)}"


def likelihood_figure(campaign: Campaign) -> Figure | None:
    """Does the better-fitting run agree more with the consensus?"""
    ari, fit = _with_consensus(campaign), campaign.fitted_runs()
    if len(fit) < 2 or len(campaign.class_numbers) < 2:
        return None
    known = dict(zip(campaign.run_names(), numbers(campaign.runs, "n_classes"), strict=True))
    points = [
        (name, value, ari[name], int(np.nan_to_num(known[name])))
        for name, value in fit.items()
        if name in ari
    ]
    if len(points) < 2:
        return None
    xs = [p[1] for p in points]
    pad = (max(xs) - min(xs)) * 0.08 or 1.0
    kinds = sorted({p[3] for p in points})
    chart = Chart(
        (min(xs) - pad, max(xs) + pad),
        (0, 1.04),
        top=18 + 16 * -(-len(kinds) // 4),
        label="Likelihood and agreement",
    )
    chart.axes("log-likelihood per particle", "agreement with the consensus")
    chart.legend([plural(c, "class", "classes") for c in kinds])
    for name, x, y, c in points:
        tip = f"{name}: log-likelihood {x:.4f}, agreement {y:.3f}"
        chart.dot(x, y, tip, kinds.index(c), 6)
    wanted = chosen_number(campaign)
    near = min(kinds, key=lambda c: abs(c - wanted))
    best = max((p for p in points if p[3] == near), key=lambda p: p[1])
    return Figure(
        "likelihood",
        f"The best-fitting run with {plural(near, 'class', 'classes')} agrees {best[2]:z.2f} of 1 "
        "with the consensus",
        chart.svg(),
        "Each dot is a run. Seeds that fit worse and agree less have stopped short of the best "
        "answer. Compare dots of one colour only: more classes always fit a little better.",
        pd.DataFrame(points, columns=["run", "log_likelihood", "agreement", "n_classes"]),
    )


def _with_consensus(campaign: Campaign) -> dict[str, float]:
    """Adjusted Rand index of every run with the consensus, from the groups' sizes."""
    groups = campaign.intersections
    if "consensus_class" not in groups:
        return {}
    names, classes = traces(groups)
    size = np.asarray(column(groups, "size"))
    consensus = np.nan_to_num(np.asarray(column(groups, "consensus_class"))).astype(int)
    return {
        name: rand_of_groups(classes[:, i], consensus, size.astype(int))
        for i, name in enumerate(names)
    }


def rand_of_groups(first: np.ndarray, second: np.ndarray, size: np.ndarray) -> float:
    """Adjusted Rand index of two labellings (from 1; 0: none) of groups of so many particles."""
    both = (first > 0) & (second > 0)
    labels = (np.repeat(x[both], size[both]) for x in (first, second))
    return float(adjusted_rand_score(*labels)) if both.any() else 1.0
