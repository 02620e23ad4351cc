"""A run iteration by iteration: where its particles flow, and whether it settled."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from emjax.report.convergence import curve
from emjax.report.endings import history, of_stage
from emjax.report.figure import Figure, percent, plural
from emjax.report.flow import Stack, draw_bands, draw_boxes
from emjax.report.svg import Chart, heat_colour, number, ticks

MOST_STEPS = 10  # of the best run, on the campaign's page
STEPS_A_ROW = 12
WIDTH, ROW = 960, 300  # of the flow diagram and one of its rows
LEAST_SIDE, MOST_SIDE = 132, 220  # of a flow matrix
FEW = 6  # classes whose counts have room in the cells


class Step(NamedTuple):
    """Particles from each class of an iteration (row) to each of the next (column)."""

    iteration: int  # the next one
    stage: str
    flow: np.ndarray


def steps_of(metrics: dict[str, Any]) -> list[Step]:
    """The steps of a run between iterations over all particles."""
    rows = [row for row in history(metrics) if row.get("flow")]
    return [Step(int(r["iteration"]), r.get("stage", ""), np.array(r["flow"], float)) for r in rows]


def flow_diagram(name: str, metrics: dict[str, Any], most: int | None = None) -> Figure | None:
    """Bands from iteration to iteration of a run; the last `most` steps where given."""
    steps = steps_of(metrics)[-(most or 0) :]
    if not steps:
        return None
    flows = [step.flow for step in steps]
    sizes = [flows[0].sum(axis=1), *(flow.sum(axis=0) for flow in flows)]
    numbers = [steps[0].iteration - 1, *(step.iteration for step in steps)]
    rows = []
    charts = _rows_of_charts(len(steps), f"Class flow within {name}")
    k = len(flows[0])
    own = {c: c - 1 for c in range(1, k + 1)}
    across = int(charts[0].x[1])
    for row, chart in enumerate(charts):
        start, stop = row * across, min((row + 1) * across, len(steps))
        stacks = [
            Stack(str(numbers[i]), np.r_[0, sizes[i]], np.arange(k + 1))
            for i in range(start, stop + 1)
        ]
        for i in range(start, stop):
            at = i - start
            rows += draw_bands(chart, at, flows[i], stacks[at : at + 2], own)
            if i and steps[i].stage == "full" != steps[i - 1].stage:
                x = chart.px(at + 0.5) + 7
                chart.add("line", x1=x, x2=x, y1=chart.top, y2=chart.py(1.0), class_="rule")
                chart.text(x, chart.top - 6, "all frequencies from here", class_="note")
        for at, stack in enumerate(stacks):
            draw_boxes(chart, at, stack, own)
        chart.text(8, chart.height - chart.bottom + 22, "iteration", "start", class_="tick")
    total, alive = sizes[-1].sum(), int((sizes[-1] > 0.01 * sizes[-1].sum()).sum())
    stay = float(np.trace(flows[-1]) / total)
    columns = f"the last {len(steps)} iterations" if most else "iterations over all particles"
    return Figure(
        "history",
        f"{alive} of {plural(k, 'class', 'classes')} hold more than 1 % of the particles at the "
        f"end of {name}; in its last iteration {percent(stay, 1)} stayed in their class",
        charts[0].svg(),
        f"Columns are {columns} of the run, blocks its classes, bands the particles that go from "
        "class to class. A class that swallows the rest, or empties, shows here.",
        pd.DataFrame(rows, columns=["iteration", "class", "next", "next_class", "particles"]),
        wide=True,
    )


def _rows_of_charts(n_steps: int, label: str) -> list[Chart]:
    """Charts one below the other in one drawing, of the same number of steps each."""
    count = -(-n_steps // STEPS_A_ROW)
    across = -(-n_steps // count)
    parts: list[str] = []
    return [
        Chart(
            (0, across),
            (1.0, 0.0),
            WIDTH,
            ROW * count,
            left=76,
            right=60,
            top=24 + ROW * i,
            bottom=30 + ROW * (count - 1 - i),
            label=label,
            parts=parts,
        )
        for i in range(count)
    ]


def flow_matrices(name: str, metrics: dict[str, Any]) -> Figure | None:
    """The particles that go from class to class in each step, as numbers."""
    steps = steps_of(metrics)
    if not steps:
        return None
    k = len(steps[0].flow)
    side = int(np.clip(36 * k, LEAST_SIDE, MOST_SIDE))
    across = max(1, (WIDTH - 20) // (side + 42))
    down = -(-len(steps) // across)
    drawing = Chart((0, 1), (0, 1), WIDTH, down * (side + 62) + 10)
    drawing.label = f"Class flow matrices of {name}"
    for i, step in enumerate(steps):
        x, y = 40.0 + (i % across) * (side + 42), 34.0 + (i // across) * (side + 62)
        _draw_matrix(drawing, x, y, side / k, step)
    rows = [
        (step.iteration - 1, a + 1, step.iteration, b + 1, int(step.flow[a, b]))
        for step in steps
        for a in range(k)
        for b in range(k)
    ]
    stays = [float(np.trace(step.flow) / step.flow.sum()) for step in steps]
    return Figure(
        "flow-matrices",
        f"From one iteration to the next {percent(min(stays), 1)} to {percent(max(stays), 1)} of "
        "the particles stay in their class",
        drawing.svg(),
        "Rows are the classes of an iteration, columns those of the next; a cell counts the "
        "particles that go from one to the other, so that the diagonal stays. Colours are shares "
        "of the row (square root, so that few are seen). Two classes that exchange particles to "
        "the end are not separated by the data.",
        pd.DataFrame(rows, columns=["iteration", "class", "next", "next_class", "particles"]),
        wide=True,
    )


def _draw_matrix(drawing: Chart, x: float, y: float, cell: float, step: Step) -> None:
    k, flow = len(step.flow), step.flow
    side = k * cell
    before = step.iteration - 1
    stay = percent(np.trace(flow), flow.sum())
    drawing.text(x, y - 18, f"{before} to {step.iteration}: {stay} stay", "start", class_="tick")
    drawing.add("rect", x=x, y=y, width=side, height=side, style=f"fill:{heat_colour(0)[0]}")
    for a, b in np.argwhere(flow):
        share = float(flow[a, b] / flow[a].sum())
        fill, light = heat_colour(share**0.5)
        left, top = x + b * cell, y + a * cell
        tip = (
            f"Iteration {before} class {a + 1} to iteration {step.iteration} class {b + 1}: "
            f"{plural(int(flow[a, b]), 'particle')}"
        )
        drawing.add(
            "rect", x=left, y=top, width=cell, height=cell, style=f"fill:{fill}", data_tip=tip
        )
        if k <= FEW:
            ink = f"fill:{'#fff' if light else '#111'}"
            words = _short(float(flow[a, b]))
            drawing.text(left + cell / 2, top + cell / 2 + 4, words, style=ink, class_="cell")
    for c in range(0, k, max(1, k // 10)):
        drawing.text(x - 5, y + (c + 0.5) * cell + 4, str(c + 1), "end", class_="tick")
        drawing.text(x + (c + 0.5) * cell, y - 4, str(c + 1), class_="tick")


def _short(count: float) -> str:
    """A count in five characters: 1234, 12.3k, 123k."""
    if count < 10_000:
        return f"{count:.0f}"
    return f"{count / 1000:.1f}k" if count < 100_000 else f"{count / 1000:.0f}k"


def curve_figures(metrics: dict[str, Any]) -> list[Figure]:
    """Likelihood, particles that change class, and change of the maps, by iteration."""
    rows, options = history(metrics), metrics.get("options", {})
    coarse = [dict(row, stage="full") for row in of_stage(rows, "coarse")]
    found = [
        _likelihood("log-likelihood-coarse", "at coarse frequencies", coarse),
        _likelihood("log-likelihood", "at all frequencies", rows),
        _criterion(
            rows,
            "switched",
            100 * float(options.get("switch_convergence") or 0),
            "particles that changed class (%)",
            "{} % of the particles changed class in the last iteration",
            "Below the dashed line (switch_convergence) the run has converged. Where it ends "
            "above, the change of the maps stopped it, or the number of iterations.",
        ),
        _criterion(
            rows,
            "rms_change",
            100 * float(options.get("rms_convergence") or 0),
            "change of the maps (%)",
            "The maps changed by {} % of the mean map in the last iteration",
            "RMS change of the class maps over the RMS of the mean map, weighted by class size. "
            "Where the mean of two iterations lies below the dashed line (rms_convergence) the "
            "run has converged.",
        ),
    ]
    return [figure for figure in found if figure is not None]


def _likelihood(name: str, where: str, rows: list[dict]) -> Figure | None:
    xs, ys = curve(rows, "log_likelihood")
    if len(xs) < 2:
        return None
    chart = _chart(xs, ys, "log-likelihood per particle", f"Log-likelihood {where}")
    _draw(chart, xs, ys, "log-likelihood per particle {}")
    return Figure(
        name,
        f"The log-likelihood per particle {where} changes by {number(ys[-1] - ys[-2])} in the last "
        f"iteration, by {number(ys[-1] - ys[0])} in all",
        chart.svg(),
        "How well the classes explain the images; only differences matter, and only at the same "
        "frequencies.",
        pd.DataFrame({"iteration": xs, "log_likelihood": ys}),
    )


def _criterion(
    rows: list[dict], key: str, limit: float, label: str, title: str, reading: str
) -> Figure | None:
    """A quantity in per cent with the limit at which runs stop."""
    # The first iteration has no other to be compared with.
    xs, ys = (values[1:] for values in curve(rows, key))
    if len(xs) < 2:
        return None
    chart = _chart(xs, [0.0, limit * 1.5, *ys], label, label)
    if limit:
        chart.rule(y=limit, name=f"{limit:g} %")
    _draw(chart, xs, ys, "{} %")
    name, last = key.replace("_", "-"), f"{ys[-1]:.1f}"
    data = pd.DataFrame({"iteration": xs, f"{key}_percent": ys})
    return Figure(name, title.format(last), chart.svg(), reading, data)


def _chart(xs: Sequence[float], ys: Sequence[float], label: str, name: str) -> Chart:
    low, high = min(ys), max(ys)
    pad = 0.05 * (high - low) or 1.0
    bottom = 0.0 if low == 0 else low - pad
    chart = Chart((xs[0], max(xs[-1], xs[0] + 1)), (bottom, high + pad), label=name)
    whole = [t for t in ticks(xs[0], xs[-1], 6) if t == int(t)]
    chart.axes("iteration", label, [(t, number(t)) for t in whole])
    return chart


def _draw(chart: Chart, xs: Sequence[float], ys: Sequence[float], words: str) -> None:
    chart.line(xs, ys)
    for x, y in zip(xs, ys, strict=True):
        chart.dot(x, y, f"Iteration {int(x)}: {words.format(number(y))}", r=2.5)
