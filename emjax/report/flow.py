"""Where particles flow: between the classes of different runs, and within a run."""

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign, column, contingency, numbers, traces
from emjax.report.convergence import best_run, history
from emjax.report.figure import Figure, percent, plural
from emjax.report.number import chosen_number
from emjax.report.svg import Chart, colour, number

MOST_STEPS = 10  # iterations shown of a run


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
    chart = Chart(
        (0, len(columns) - 1),
        (1.0, 0.0),
        960,
        400,
        left=20,
        right=80,
        bottom=30,
        label="Class flow between runs",
    )
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
        "flow",
        f"On average {percent(share, 1)} of a class stay together from one run to the next",
        chart.svg(),
        "Each column is a run, each block a class, each band the particles two classes share. "
        "A block that keeps its width from left to right is found by every seed; one that splits "
        "into many thin bands is not.",
        pd.DataFrame(rows, columns=["run", "class", "next_run", "next_class", "particles"]),
        wide=True,
    )


def history_figure(campaign: Campaign) -> Figure | None:
    """Bands from iteration to iteration of the best-fitting run."""
    name = best_run(campaign)
    metrics = campaign.metrics.get(name or "", {})
    steps = [np.array(table, float) for table in metrics.get("flow") or []]
    last = [row.get("iteration", i + 1) for i, row in enumerate(history(metrics))][-1:] or [0]
    steps = [table for table in steps[-MOST_STEPS:] if table.size and table.sum()]
    if not steps:
        return None
    total = float(steps[0].sum())
    k = len(steps[0])
    sizes = [steps[0].sum(axis=1), *(table.sum(axis=0) for table in steps)]
    tops = [_tops(np.arange(1, k + 1), size, total) for size in sizes]
    first = int(last[0]) - len(steps)
    columns = [(str(first + i), size) for i, size in enumerate(sizes)]
    chart = Chart((0, len(steps)), (1.0, 0.0), 960, 320, left=20, right=60, bottom=30)
    chart.label = f"Class flow within {name}"
    own = {c: c - 1 for c in range(1, k + 1)}
    rows = []
    for i, table in enumerate(steps):
        rows += _bands(chart, i, table / total, tops, own, columns, total)
    for i, (label, size) in enumerate(columns):
        _boxes(chart, i, label, tops[i], np.concatenate([[0], size]), own)
    alive = int((sizes[-1] > 0.01 * total).sum())
    stay = float(np.trace(steps[-1]) / steps[-1].sum())
    return Figure(
        "history",
        f"{plural(alive, 'class', 'classes')} of {k} are alive at the end of {name}; in its last "
        f"step {percent(stay, 1)} of the particles stayed",
        chart.svg(),
        "Columns are the last iterations of the best-fitting run, blocks its classes, bands the "
        "particles that go from class to class. A class that swallows the rest, or dies, shows "
        "here.",
        pd.DataFrame(rows, columns=["iteration", "class", "next", "next_class", "particles"]),
        wide=True,
    )


def _runs_to_flow(campaign: Campaign, names: list[str]) -> list[int]:
    """Up to five runs: those nearest in number of classes to the consensus, best fit first."""
    if "run" not in campaign.runs:
        return list(range(min(5, len(names))))
    fit, k = (
        dict(zip(campaign.run_names(), np.nan_to_num(numbers(campaign.runs, name)), strict=True))
        for name in ("log_likelihood", "n_classes")
    )
    wanted = chosen_number(campaign)

    def rank(i: int) -> tuple[float, float]:
        return abs(k.get(names[i], 0.0) - wanted), -fit.get(names[i], 0.0)

    return sorted(sorted(range(len(names)), key=rank)[:5], key=lambda i: names[i])


def _tops(labels: np.ndarray, size: np.ndarray, total: float, gap: float = 0.015) -> np.ndarray:
    """Where each class's block starts (class 0 = unassigned first, if any)."""
    share = np.bincount(labels, size) / total
    gaps = gap * (share > 0)
    return np.concatenate([[0], np.cumsum(share * (1 - gaps.sum()) + gaps)])


def _main_class(consensus: np.ndarray, size: np.ndarray, columns: list) -> list[dict[int, int]]:
    """For each column, the consensus class that most of each class ends in (its colour)."""
    colours = []
    for _, labels in columns:
        if consensus.max(initial=0) < 2:
            colours.append({k: k - 1 for k in range(1, int(labels.max(initial=0)) + 1)})
            continue
        table = contingency(labels, consensus, size)
        colours.append({k + 1: int(row.argmax()) for k, row in enumerate(table) if row.sum()})
    return colours


def _bands(
    chart: Chart, i: int, table: np.ndarray, tops: list, colours: dict, columns: list, total: float
) -> list[tuple]:
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
        count = int(round(float(share * total)))
        rows.append((columns[i][0], a + 1, columns[i + 1][0], b + 1, count))
        if y1 - y0 < 0.25:
            continue
        path = (
            f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {z0:.1f} {x1:.1f} {z0:.1f}"
            f"V{z1:.1f}C{middle:.1f} {z1:.1f} {middle:.1f} {y1:.1f} {x0:.1f} {y1:.1f}Z"
        )
        ends = f"{columns[i][0]} class {a + 1} to {columns[i + 1][0]} class {b + 1}"
        tip = f"{ends}: {count:,} particles"
        style = f"fill:{colour(colours.get(int(a) + 1, 0))}"
        chart.add("path", d=path, class_="band", style=style, data_tip=tip)
    return rows


def _boxes(
    chart: Chart, i: int, name: str, tops: np.ndarray, counts: np.ndarray, colours: dict
) -> None:
    x = chart.px(i)
    for k in range(len(tops) - 1):
        y0, y1 = chart.py(tops[k]), chart.py(tops[k + 1]) - 4
        if counts[k] <= 0 or y1 <= y0:
            continue
        fill = colour(colours[k]) if k in colours else "var(--soft)"
        title = f"class {k}" if k else "not assigned"
        chart.add(
            "rect",
            x=x,
            y=y0,
            width=14,
            height=max(y1 - y0, 1),
            style=f"fill:{fill}",
            data_tip=f"{name}, {title}: {number(counts[k])} particles",
        )
        if y1 - y0 > 12:
            chart.text(x + 18, (y0 + y1) / 2 + 4, str(k) if k else "none", "start", class_="tick")
    chart.text(x, chart.height - 8, name, "start", class_="tick")
