"""Where particles flow between the classes of different runs, as bands between stacks of blocks."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign
from emjax.report.columns import column, contingency, numbers, traces
from emjax.report.figure import Figure, percent, plural
from emjax.report.number import chosen_number
from emjax.report.svg import Chart, colour, number


@dataclass(frozen=True)
class Stack:
    """A column of blocks: particles of each class (0: not assigned), drawn in `order`."""

    name: str
    size: np.ndarray
    order: np.ndarray

    @property
    def gap(self) -> float:
        """Between two blocks, of a column of height 1; many blocks stand closer."""
        return min(0.015, 0.4 / max(np.count_nonzero(self.size), 1))

    @property
    def scale(self) -> float:
        """Height of one particle, of a column of height 1 with its gaps."""
        return (1 - self.gap * np.count_nonzero(self.size)) / float(self.size.sum())

    @cached_property
    def tops(self) -> np.ndarray:
        """Where the block of each class starts."""
        height = self.size * self.scale + self.gap * (self.size > 0)
        tops = np.zeros(len(self.size))
        tops[self.order] = np.concatenate([[0], np.cumsum(height[self.order])[:-1]])
        return tops


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
    orders = _orders([labels for _, labels in columns], size)
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
    stacks = [
        Stack(name, np.bincount(labels, size), order)
        for (name, labels), order in zip(columns, orders, strict=True)
    ]
    for i in range(len(columns) - 1):
        table = contingency(columns[i][1], columns[i + 1][1], size)
        tables.append(table)
        rows += draw_bands(chart, i, table, stacks[i : i + 2], colours[i])
    for i, stack in enumerate(stacks):
        draw_boxes(chart, i, stack, colours[i])
    kept = [t.max(axis=1).sum() / t.sum() for t in tables[: len(pick) - 1] if t.sum()]
    share = float(np.mean(kept)) if kept else 1.0
    return Figure(
        "flow",
        f"On average {percent(share, 1)} of a class stay together from one run to the next",
        chart.svg(),
        "Each column is a run, each block a class with its number there, each band the particles "
        "two classes share"
        + ("; colours are those of the consensus. " if len(campaign.class_numbers) > 1 else ". ")
        + "A broad band from left to right is a class that every seed finds; one that splits into "
        "many thin bands is not.",
        pd.DataFrame(rows, columns=["run", "class", "next_run", "next_class", "particles"]),
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


def _orders(columns: list[np.ndarray], size: np.ndarray) -> list[np.ndarray]:
    """Order of each column's classes from the top, so that few bands cross on their way right."""
    orders = [np.arange(int(columns[-1].max(initial=0)) + 1)]
    for labels, after in zip(columns[-2::-1], columns[:0:-1]):
        table = np.zeros((int(labels.max(initial=0)) + 1, len(orders[0])))
        np.add.at(table, (labels, after), size)
        place = np.argsort(orders[0])
        middle = table @ place / np.maximum(table.sum(axis=1), 1e-12)
        orders.insert(0, np.argsort(middle, kind="stable"))
    return orders


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


def draw_bands(
    chart: Chart, i: int, table: np.ndarray, stacks: list[Stack], colours: dict[int, int]
) -> list[tuple]:
    """Draws what the classes (from 1) of two neighbouring columns share; returns it as rows."""
    before, after = stacks
    tops = [before.tops.copy(), after.tops.copy()]
    x0, x1 = chart.px(i) + 14, chart.px(i + 1)
    middle = (x0 + x1) / 2
    rows = []
    for a in before.order:
        for b in after.order:
            count = table[a - 1, b - 1] if a and b else 0
            if not count:
                continue
            (y0, y1), (z0, z1) = (
                (chart.py(float(top[k])), chart.py(float(top[k] + count * stack.scale)))
                for top, k, stack in zip(tops, (a, b), stacks, strict=True)
            )
            tops[0][a] += count * before.scale
            tops[1][b] += count * after.scale
            rows.append((before.name, int(a), after.name, int(b), round(float(count))))
            if y1 - y0 < 0.25:
                continue
            path = (
                f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {z0:.1f} {x1:.1f} {z0:.1f}"
                f"V{z1:.1f}C{middle:.1f} {z1:.1f} {middle:.1f} {y1:.1f} {x0:.1f} {y1:.1f}Z"
            )
            ends = f"{before.name} class {a} to {after.name} class {b}"
            tip = f"{ends}: {plural(rows[-1][-1], 'particle')}"
            style = f"fill:{colour(colours.get(int(a), 0))}"
            chart.add("path", d=path, class_="band", style=style, data_tip=tip)
    return rows


def draw_boxes(chart: Chart, i: int, stack: Stack, colours: dict[int, int]) -> None:
    """Draws the blocks of a column with the classes' numbers, and its name below."""
    x = chart.px(i)
    for k in np.flatnonzero(stack.size):
        top = float(stack.tops[k])
        y0, y1 = chart.py(top), chart.py(top + float(stack.size[k]) * stack.scale)
        fill = colour(colours[int(k)]) if int(k) in colours else "var(--soft)"
        title = f"class {k}" if k else "not assigned"
        tip = f"{stack.name}, {title}: {number(stack.size[k])} particles"
        chart.add(
            "rect", x=x, y=y0, width=14, height=max(y1 - y0, 1), style=f"fill:{fill}", data_tip=tip
        )
        if y1 - y0 > 9:
            chart.text(x + 18, (y0 + y1) / 2 + 4, str(k) if k else "none", "start", class_="tick")
    chart.text(x, chart.height - chart.bottom + 22, stack.name, "start", class_="tick")
