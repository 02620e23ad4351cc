"""Do the runs agree: with each other, with the consensus, class by class."""

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from emjax.report.campaign import Campaign
from emjax.report.columns import column, traces
from emjax.report.figure import Figure, first_upper, percent, plural
from emjax.report.methods import SUBSPACE
from emjax.report.number import chosen_number
from emjax.report.svg import Chart, heat_colour, tick_names, ticks

RAND = " of 1 (adjusted Rand index)"
UNRELATED = 0.05  # agreement below which two methods sort particles by different things
ACROSS, MOST_PANELS, PANEL = 3, 9, 270  # panels in a row and in all; height of one
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
        first_upper(agreement_sentence(campaign)),
        chart.svg(),
        "Adjusted Rand index of every pair of runs: 1 means the same classes whatever their "
        "order, 0 what chance gives. Runs with different numbers of classes cannot reach 1.",
        data,
    )


def seed_agreement(campaign: Campaign, names: list[str], matrix: np.ndarray) -> dict[int, float]:
    """Typical agreement of the seeds for each number of classes (0: of runs that differ in it).

    Seeds are runs of one method that have one; other programs' runs have none. Runs of subspace are
    distinct answers by choice, whatever seeds they come from.
    """
    k, methods, seeds = campaign.run_classes(), campaign.run_methods(), campaign.run_seeds()
    own = np.array([k.get(name, 0) for name in names])
    method = np.array([methods.get(name, "") for name in names])
    seeded = np.array([name in seeds and methods.get(name) != SUBSPACE for name in names])
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
    """`seeds agree 0.99 of 1 with 4 classes, 0.61 with 6`; empty where none can be compared."""
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
        return f"runs agree {found[0]:z.2f}{RAND}"
    parts = [
        f"{value:z.2f}{RAND if i == 0 else ''} with {plural(n, 'class', 'classes')}"
        for i, (n, value) in enumerate(found.items())
    ]
    return f"seeds agree {', '.join(parts)}"


def likelihood_figure(campaign: Campaign) -> Figure | None:
    """Does the better-fitting run agree more with the consensus? A panel per number of classes."""
    ari, fit = _with_consensus(campaign), campaign.fitted_runs()
    if len(fit) < 2 or len(campaign.class_numbers) < 2:
        return None
    known = campaign.run_classes()
    points = [(run, fit[run], ari[run], known.get(run, 0)) for run in fit if run in ari]
    kinds = sorted({p[3] for p in points})
    # A run alone compares with none.
    panels = [k for k in kinds if sum(p[3] == k for p in points) > 1][:MOST_PANELS]
    if not panels:
        return None
    across = min(len(panels), ACROSS)
    parts, width = list[str](), 480 if across == 1 else 960
    height = PANEL * -(-len(panels) // across)
    charts = [
        _panel(panels[i], points, (i % across, i // across), (width, height), across, parts)
        for i in range(len(panels))
    ]
    near = min(panels, key=lambda c: abs(c - chosen_number(campaign)))
    best = max((p for p in points if p[3] == near), key=lambda p: p[1])
    return Figure(
        "likelihood",
        f"The best-fitting run with {plural(near, 'class', 'classes')} agrees {best[2]:z.2f} of 1 "
        "with the consensus",
        charts[0].svg(),
        "Each dot is a run, each panel a number of classes with an axis of its own: the likelihood "
        "of runs with more classes tends to be higher. A run at the lower left fits worse "
        "and agrees less: it ended in a worse answer than the others.",
        pd.DataFrame(points, columns=["run", "log_likelihood", "agreement", "n_classes"]),
        wide=across > 1,
    )


def _panel(
    k: int, points: list, place: tuple[int, int], size: tuple[int, int], across: int, parts: list
) -> Chart:
    """The runs with k classes."""
    own = [p for p in points if p[3] == k]
    low, high = min(p[1] for p in own), max(p[1] for p in own)
    pad = (high - low) * 0.12 or 0.01
    (width, height), (across_at, row) = size, place
    cell = width / across
    chart = Chart(
        (low - pad, high + pad), (0, 1.08), width, height, left=int(across_at * cell) + 62,
        right=int(width - (across_at + 1) * cell) + 16, top=row * PANEL + 26,
        bottom=height - (row + 1) * PANEL + 46, label="Likelihood and agreement", parts=parts,
        origin=int(across_at * cell), foot=height - (row + 1) * PANEL,
    )  # fmt: skip
    chart.axes(
        "log-likelihood per particle",
        "agreement with the consensus",
        tick_names(ticks(low, high, 3)),
    )
    middle = (chart.left + width - chart.right) / 2
    chart.text(middle, chart.top - 9, plural(k, "class", "classes"), class_="label")
    for name, x, y, _ in own:
        chart.dot(x, y, f"{name}: log-likelihood {x:.4f}, agreement {y:.3f}", r=6)
    return chart


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
