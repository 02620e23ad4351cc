"""The runs: do seeds agree, where do particles flow, how sure are the assignments, did it settle."""

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign, column, contingency, traces
from emjax.report.figure import Figure, percent, plural
from emjax.report.svg import Chart, colour, heat_colour, number, ticks

MOST_CELLS = 40  # runs in the agreement matrix; more are thinned evenly
MOST_CURVES = 24


def run_figures(campaign: Campaign) -> list[Figure]:
    """All figures about runs that the campaign's files allow."""
    figures = [
        agreement_figure(campaign),
        likelihood_figure(campaign),
        flow_figure(campaign),
        convergence_figure(campaign, "log_likelihood"),
        convergence_figure(campaign, "switched"),
        ess_figure(campaign),
        mass_figure(campaign),
        history_figure(campaign),
    ]
    return [f for f in figures if f is not None]


def agreement_matrix(campaign: Campaign) -> tuple[list[str], np.ndarray] | None:
    """Names of the runs and their pairwise adjusted Rand index."""
    table = campaign.table("consensus/agreement.tsv")
    if table.empty:
        return None
    pairs = [("run", "other"), ("run_a", "run_b"), ("run1", "run2"), ("first", "second")]
    for a, b in pairs:
        value = next((n for n in ("ari", "ARI", "adjusted_rand") if n in table), None)
        if a in table and b in table and value:
            names = list(dict.fromkeys([*table[a].astype(str), *table[b].astype(str)]))
            matrix = np.full((len(names), len(names)), np.nan)
            np.fill_diagonal(matrix, 1.0)
            where = {name: i for i, name in enumerate(names)}
            for x, y, v in zip(table[a].astype(str), table[b].astype(str), table[value], strict=True):
                matrix[where[x], where[y]] = matrix[where[y], where[x]] = v
            return names, matrix
    return None


def agreement_figure(campaign: Campaign) -> Figure | None:
    """Run by run agreement as a heat map."""
    found = agreement_matrix(campaign)
    if found is None or len(found[0]) < 2:
        return None
    names, full = found
    r = len(names)
    off = full[~np.eye(r, dtype=bool)]
    pick = np.unique(np.linspace(0, r - 1, min(r, MOST_CELLS)).astype(int))
    matrix = full[np.ix_(pick, pick)]
    m = len(pick)
    chart = Chart((0, m), (m, 0), 520, 470, left=118, bottom=112, label="Agreement between runs")
    for i in range(m):
        for j in range(m):
            value = matrix[i, j]
            if not np.isfinite(value):
                continue
            tip = f"{names[pick[i]]} and {names[pick[j]]}: {value:.3f}"
            fill, light = heat_colour(value)
            chart.bar(j, j + 1, i, i + 1, tip, fill)
            if m <= 12:
                x, y = chart.px(j + 0.5), chart.py(i + 0.5) + 4
                ink = "#fff" if light else "#111"
                chart.text(x, y, f"{value:.2f}", style=f"fill:{ink}", class_="cell")
    for i in range(0, m, max(1, m // 16)):
        y, x = chart.py(i + 0.5) + 4, chart.px(i + 0.5)
        chart.text(chart.left - 6, y, names[pick[i]], "end", class_="tick")
        base = chart.height - chart.bottom + 12
        chart.text(x, base, names[pick[i]], "end", class_="tick", transform=f"rotate(-50 {x:.1f} {base})")
    typical = float(np.nanmedian(off))
    word = "agree well" if typical > 0.8 else "agree in part" if typical > 0.4 else "hardly agree"
    rows, columns = np.indices(full.shape)
    data = pd.DataFrame({
        "run": np.array(names)[rows.ravel()], "other": np.array(names)[columns.ravel()],
        "adjusted_rand_index": full.ravel(),
    })
    return Figure(
        "agreement", f"The runs {word}: typical agreement {typical:.2f} of 1", chart.svg(),
        "Adjusted Rand index of every pair of runs: 1 means the same classes whatever their "
        "order, 0 what chance gives. Runs with different numbers of classes cannot reach 1.",
        data,
    )


def likelihood_figure(campaign: Campaign) -> Figure | None:
    """Does the better-fitting run agree more with the consensus?"""
    likelihood, ari = column(campaign.runs, "log_likelihood"), _with_consensus(campaign)
    if likelihood is None or not ari:
        return None
    names = campaign.runs["run"].astype(str).tolist()
    k = np.nan_to_num(np.asarray(column(campaign.runs, "n_classes")))
    points = [(n, x, ari[n], int(c)) for n, x, c in zip(names, likelihood, k, strict=True) if n in ari]
    points = [p for p in points if np.isfinite(p[1])]
    if len(points) < 2:
        return None
    xs = [p[1] for p in points]
    pad = (max(xs) - min(xs)) * 0.08 or 1.0
    kinds = sorted({p[3] for p in points})
    chart = Chart((min(xs) - pad, max(xs) + pad), (0, 1.04), top=34, label="Likelihood and agreement")
    chart.axes("log-likelihood a particle", "agreement with the consensus")
    chart.legend([plural(c, "class", "classes") for c in kinds])
    for name, x, y, c in points:
        tip = f"{name}: log-likelihood {x:.4f}, agreement {y:.3f}"
        chart.dot(x, y, tip, kinds.index(c), 6)
    best = max(points, key=lambda p: p[1])
    return Figure(
        "likelihood", f"The best-fitting run, {best[0]}, agrees {best[2]:.2f} with the consensus",
        chart.svg(),
        "Each dot is a run. Seeds that fit worse and agree less have stopped short of the best "
        "answer. Compare dots of one colour only: more classes always fit a little better.",
        pd.DataFrame(points, columns=["run", "log_likelihood", "agreement", "n_classes"]),
    )


def _with_consensus(campaign: Campaign) -> dict[str, float]:
    """Adjusted Rand index of every run with the consensus, from the groups' sizes."""
    stored = column(campaign.runs, "consensus_ari", "agreement")
    if stored is not None:
        return dict(zip(campaign.runs["run"].astype(str), stored.tolist(), strict=True))
    groups = campaign.intersections
    if "consensus_class" not in groups:
        return {}
    names, classes = traces(groups)
    size = np.asarray(column(groups, "size"))
    consensus = np.nan_to_num(np.asarray(column(groups, "consensus_class"))).astype(int)
    return {
        name: rand_from_table(contingency(classes[:, i], consensus, size))
        for i, name in enumerate(names)
    }


def rand_from_table(table: np.ndarray) -> float:
    """Adjusted Rand index of two labellings from their contingency table."""
    def pairs(x: np.ndarray) -> float:
        return float((x * (x - 1) / 2).sum())

    both, a, b = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    every = pairs(np.array([table.sum()]))
    expected = a * b / every if every else 0.0
    largest = (a + b) / 2
    return 1.0 if largest == expected else (both - expected) / (largest - expected)


def flow_figure(campaign: Campaign) -> Figure | None:
    """Bands from the classes of one run to those of the next: do seeds find the same classes?"""
    groups = campaign.intersections
    if groups.empty:
        return None
    names, classes = traces(groups)
    size = np.asarray(column(groups, "size"))
    if len(names) < 2:
        return None
    pick = _runs_to_flow(campaign, names)
    columns = [(names[i], classes[:, i]) for i in pick]
    if "consensus_class" in groups:
        values = np.nan_to_num(np.asarray(column(groups, "consensus_class"))).astype(int)
        columns.append(("consensus", values))
    total = float(size.sum())
    chart = Chart((0, len(columns) - 1), (1.0, 0.0), 960, 400, left=20, right=80, bottom=30,
                  label="Class flow between runs")
    colours = _main_class(columns[-1][1], size, columns)
    tables, rows = [], []
    tops = [_tops(labels, size, total) for _, labels in columns]
    for i in range(len(columns) - 1):
        table = contingency(columns[i][1], columns[i + 1][1], size)
        tables.append(table)
        rows += _bands(chart, i, table / total, tops, colours[i], columns, total)
    for i, (name, labels) in enumerate(columns):
        _boxes(chart, i, name, tops[i], np.bincount(labels, size, minlength=1), colours[i])
    kept = [t.max(axis=1).sum() / t.sum() for t in tables[: len(pick) - 1] if t.sum()]
    share = float(np.mean(kept)) if kept else 1.0
    return Figure(
        "flow", f"On average {percent(share, 1)} of a class stay together from one run to the next",
        chart.svg(),
        "Each column is a run, each block a class, each band the particles two classes share. "
        "A block that keeps its width from left to right is found by every seed; one that splits "
        "into many thin bands is not.",
        pd.DataFrame(rows, columns=["run", "class", "next_run", "next_class", "particles"]),
        wide=True,
    )


def _runs_to_flow(campaign: Campaign, names: list[str]) -> list[int]:
    """Up to five runs: the best-fitting ones, in their order."""
    likelihood = column(campaign.runs, "log_likelihood")
    if likelihood is None or "run" not in campaign.runs:
        return list(range(min(5, len(names))))
    fit = dict(zip(campaign.runs["run"].astype(str), np.nan_to_num(likelihood, nan=-np.inf), strict=True))
    k = dict(zip(campaign.runs["run"].astype(str), column(campaign.runs, "n_classes"), strict=True))
    best = sorted(range(len(names)), key=lambda i: -fit.get(names[i], -np.inf))[:5]
    return sorted(best, key=lambda i: (k.get(names[i], 0), names[i]))


def _tops(labels: np.ndarray, size: np.ndarray, total: float, gap: float = 0.015) -> np.ndarray:
    """Where each class's block starts (class 0 = unassigned first, if any)."""
    share = np.bincount(labels, size) / total
    gaps = gap * (share > 0)
    return np.concatenate([[0], np.cumsum(share * (1 - gaps.sum()) + gaps)])


def _main_class(consensus: np.ndarray, size: np.ndarray, columns: list) -> list[dict[int, int]]:
    """For each column, the consensus class that most of each class ends in (its colour)."""
    colours = []
    for _, labels in columns:
        table = contingency(labels, consensus, size)
        colours.append({k + 1: int(row.argmax()) for k, row in enumerate(table) if row.sum()})
    return colours


def _bands(chart: Chart, i: int, table: np.ndarray, tops: list, colours: dict, columns: list,
           total: float) -> list[tuple]:
    scale = [1 - 0.015 * np.count_nonzero(np.diff(t)) for t in tops[i : i + 2]]
    left, right = tops[i][1:-1].copy(), tops[i + 1][1:-1].copy()
    rows = []
    x0, x1 = chart.px(i) + 14, chart.px(i + 1)
    middle = (x0 + x1) / 2
    for a, b in np.argwhere(table > 0):
        share = table[a, b]
        y0, y1 = chart.py(left[a]), chart.py(left[a] + share * scale[0])
        z0, z1 = chart.py(right[b]), chart.py(right[b] + share * scale[1])
        left[a] += share * scale[0]
        right[b] += share * scale[1]
        count = round(share * total)
        rows.append((columns[i][0], a + 1, columns[i + 1][0], b + 1, count))
        if y1 - y0 < 0.25:
            continue
        path = (
            f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {z0:.1f} {x1:.1f} {z0:.1f}"
            f"V{z1:.1f}C{middle:.1f} {z1:.1f} {middle:.1f} {y1:.1f} {x0:.1f} {y1:.1f}Z"
        )
        tip = f"{columns[i][0]} class {a + 1} to {columns[i + 1][0]} class {b + 1}: {count:,} particles"
        style = f"fill:{colour(colours.get(int(a) + 1, 0))}"
        chart.add("path", d=path, class_="band", style=style, data_tip=tip)
    return rows


def _boxes(chart: Chart, i: int, name: str, tops: np.ndarray, counts: np.ndarray, colours: dict) -> None:
    x = chart.px(i)
    for k in range(len(tops) - 1):
        y0, y1 = chart.py(tops[k]), chart.py(tops[k + 1]) - 4
        if counts[k] <= 0 or y1 <= y0:
            continue
        fill = colour(colours[k]) if k in colours else "var(--soft)"
        title = f"class {k}" if k else "not assigned"
        chart.add("rect", x=x, y=y0, width=14, height=max(y1 - y0, 1), style=f"fill:{fill}",
                  data_tip=f"{name}, {title}: {number(counts[k])} particles")
        if y1 - y0 > 12:
            chart.text(x + 18, (y0 + y1) / 2 + 4, str(k) if k else "none", "start", class_="tick")
    chart.text(x, chart.height - 8, name, "start", class_="tick")


def history(metrics: dict) -> list[dict]:
    """The iterations of a run as metrics.json has them."""
    for name in ("history", "iterations"):
        value = metrics.get(name)
        if isinstance(value, list):
            return [row for row in value if isinstance(row, dict)]
    return []


_CURVES = {
    "log_likelihood": ("log-likelihood a particle", "log-likelihood", 1.0),
    "switched": ("particles that changed class (%)", "switching", 100.0),
}


def convergence_figure(campaign: Campaign, quantity: str) -> Figure | None:
    """One curve a run over its iterations."""
    label, short, factor = _CURVES[quantity]
    curves = {}
    for name, metrics in campaign.metrics.items():
        rows = [r for r in history(metrics) if quantity in r]
        if len(rows) > 1:
            xs = [float(r.get("iteration", i + 1)) for i, r in enumerate(rows)]
            curves[name] = (xs, [factor * float(r[quantity]) for r in rows])
    if not curves:
        return None
    shown = list(curves)[:: max(1, len(curves) // MOST_CURVES)]
    values = np.concatenate([curves[n][1] for n in shown])
    low, high = float(values.min()), float(values.max())
    pad = (high - low) * 0.05 or 1.0
    last = max(curves[n][0][-1] for n in shown)
    chart = Chart((1, max(last, 2)), (max(low - pad, 0) if factor > 1 else low - pad, high + pad),
                  label=f"{short} by iteration", left=70)
    whole = [t for t in ticks(1, max(last, 2), 6) if t == int(t)]
    chart.axes("iteration", label, [(t, number(t)) for t in whole])
    for i, name in enumerate(shown):
        xs, ys = curves[name]
        chart.line(xs, ys, i)
        for x, y in zip(xs, ys, strict=True):
            chart.dot(x, y, f"{name}, iteration {int(x)}: {short} {number(y)}{' %' if factor > 1 else ''}", i, 2.5)
    rows = [(n, x, y) for n, (xs, ys) in curves.items() for x, y in zip(xs, ys, strict=True)]
    data = pd.DataFrame(rows, columns=["run", "iteration", quantity])
    if quantity == "switched":
        final = [ys[-1] for _, ys in curves.values()]
        title = f"At the end at most {max(final):.1f} % of the particles still change class"
        reading = "A run has settled when almost no particle changes class any more."
    else:
        settled = column(campaign.runs.assign(c=campaign.runs.get("converged", pd.Series(dtype=bool)).astype(str).str.lower().isin(["true", "1"])), "c") if "converged" in campaign.runs else None
        count = len(curves) if settled is None else int(np.nansum(settled))
        title = f"{count} of {plural(len(curves) if settled is None else len(settled), 'run')} converged"
        reading = (
            "How well the classes explain the images (higher is better; only differences "
            "matter). Dips in the first iterations come from annealing, which starts with all "
            "classes alike."
        )
    return Figure(f"convergence-{short}", title, chart.svg(), reading, data)


def best_run(campaign: Campaign) -> str | None:
    """The best-fitting run that wrote posteriors."""
    likelihood = column(campaign.runs, "log_likelihood")
    names = campaign.run_names()
    if likelihood is not None and len(likelihood) == len(names):
        order = np.argsort(-np.nan_to_num(likelihood, nan=-np.inf))
        names = [names[i] for i in order]
    return next((n for n in names if campaign.path(f"runs/{n}/posteriors.npy")), None)


def ess_figure(campaign: Campaign) -> Figure | None:
    """Effective number of classes a particle is spread over, in the best-fitting run."""
    name = best_run(campaign)
    if name is None:
        return None
    posteriors = np.asarray(campaign.array(f"runs/{name}/posteriors.npy"))
    step = max(1, len(posteriors) // 200_000)
    p = posteriors[::step].astype(float)
    ess = 1 / np.maximum((p**2).sum(axis=1), 1e-12)
    counts, edges = np.histogram(ess, bins=20, range=(1, max(p.shape[1], 2)))
    share = 100 * counts / max(len(p), 1)
    chart = Chart((1, float(edges[-1])), (0, float(share.max()) * 1.08), label="Effective classes")
    chart.axes("effective number of classes of a particle", "particles (%)")
    for s, a, b in zip(share, edges[:-1], edges[1:], strict=True):
        chart.bar(a, b - 0.02 * (b - a), 0, s, f"{s:.1f} % of particles: {a:.2f} to {b:.2f} classes", colour(0))
    sure = float((ess < 1.2).mean())
    return Figure(
        "ess", f"{percent(sure, 1)} of the particles are assigned to a single class in {name}",
        chart.svg(),
        "1 divided by the sum of squared class probabilities: 1 is a clear decision, 2 a coin "
        "toss between two classes. Beware: probabilities near 1 say that the maps differ, not "
        "that the difference is real.",
        pd.DataFrame({"from": edges[:-1], "to": edges[1:], "percent": share}),
    )


def mass_figure(campaign: Campaign) -> Figure | None:
    """Particles counted by their best class, beside the sum of their probabilities."""
    name = best_run(campaign)
    if name is None:
        return None
    posteriors = np.asarray(campaign.array(f"runs/{name}/posteriors.npy"))
    k = posteriors.shape[1]
    count = np.bincount(posteriors.argmax(axis=1), minlength=k).astype(float)
    mass = posteriors.sum(axis=0, dtype=float)
    chart = Chart((0.4, k + 0.6), (0, float(max(count.max(), mass.max())) * 1.08), top=34, left=70,
                  label="Counts and probability mass")
    chart.axes("class", "particles", [(i, str(i)) for i in range(1, k + 1)][:: max(1, k // 12)])
    chart.legend(["assigned", "sum of probabilities"], 3)
    for i in range(k):
        chart.bar(i + 0.63, i + 0.99, 0, count[i], f"Class {i + 1}: {number(count[i])} assigned", colour(0))
        chart.bar(i + 1.01, i + 1.37, 0, mass[i], f"Class {i + 1}: probability mass {mass[i]:,.0f}", colour(1))
    gap = float(np.abs(count - mass).sum() / max(count.sum(), 1) / 2)
    return Figure(
        "mass", f"Counts and probabilities differ by {percent(gap, 1)} of the particles in {name}",
        chart.svg(),
        "Where a class gathers much probability but few particles, it collects the doubtful "
        "ones. Large gaps mean soft borders.",
        pd.DataFrame({"class": np.arange(1, k + 1), "assigned": count, "probability_mass": mass}),
    )


def history_figure(campaign: Campaign) -> Figure | None:
    """Class sizes over the iterations of the best-fitting run."""
    name = best_run(campaign)
    rows = [r for r in history(campaign.metrics.get(name or "", {})) if "class_sizes" in r]
    if len(rows) < 2:
        return None
    sizes = np.array([r["class_sizes"] for r in rows], float)
    sizes /= np.maximum(sizes.sum(axis=1, keepdims=True), 1)
    edges = 100 * np.concatenate([np.zeros((len(rows), 1)), np.cumsum(sizes, axis=1)], axis=1)
    chart = Chart((1, len(rows)), (0, 100), label="Class sizes by iteration")
    whole = [t for t in ticks(1, float(len(rows)), 6) if t == int(t)]
    chart.axes("iteration", "particles (%)", [(t, number(t)) for t in whole])
    xs = [chart.px(i + 1) for i in range(len(rows))]
    for k in range(sizes.shape[1]):
        up = [f"{x:.1f} {chart.py(y):.1f}" for x, y in zip(xs, edges[:, k + 1], strict=True)]
        down = [f"{x:.1f} {chart.py(y):.1f}" for x, y in zip(xs, edges[:, k], strict=True)]
        tip = f"Class {k + 1}: {100 * sizes[0, k]:.0f} % at first, {100 * sizes[-1, k]:.0f} % at the end"
        path = "M" + "L".join(up) + "L" + "L".join(reversed(down)) + "Z"
        chart.add("path", d=path, class_="area", style=f"fill:{colour(k)}", data_tip=tip)
    alive = int((sizes[-1] > 0.01).sum())
    return Figure(
        "history", f"{plural(alive, 'class', 'classes')} of {sizes.shape[1]} are alive at the end of {name}",
        chart.svg(),
        "How the particles of the best-fitting run spread over its classes while it ran. One "
        "class that swallows the rest, or one that dies, shows here.",
        pd.DataFrame(100 * sizes, columns=[f"class_{k + 1}_percent" for k in range(sizes.shape[1])]),
    )

