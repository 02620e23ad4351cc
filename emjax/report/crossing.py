"""The classes of a run beside those of the consensus."""

import numpy as np
import pandas as pd

from emjax.report.figure import Figure, percent, plural
from emjax.report.svg import Chart, heat_colour, number

MOST_NAMED = 12  # rows or columns up to which cells hold their counts


def crossing_figure(run: str, crossed: np.ndarray) -> Figure | None:
    """Particles that each class of a run (row) shares with each of the consensus (column)."""
    k, g = crossed.shape
    if not crossed.sum() or g < 2 or k < 2:
        return None
    cell = min(44.0, 420 / max(k, g))
    height = int(cell * k) + 70
    chart = Chart(
        (0, g), (k, 0), 480, height, left=60, right=int(420 - cell * g), top=14, bottom=56
    )
    chart.label = f"Classes of {run} beside the consensus"
    for a, b in np.ndindex(k, g):
        share = float(crossed[a, b] / max(crossed[a].sum(), 1))
        fill, light = heat_colour(share)
        shared = plural(int(crossed[a, b]), "particle")
        tip = f"Class {a + 1} and consensus class {b + 1}: {shared}, {percent(share, 1)} of class"
        chart.bar(b, b + 1, a, a + 1, f"{tip} {a + 1}", fill)
        if max(k, g) <= MOST_NAMED and crossed[a, b]:
            ink = f"fill:{'#fff' if light else '#111'}"
            x, y = chart.px(b + 0.5), chart.py(a + 0.5) + 4
            chart.text(x, y, number(float(crossed[a, b])), style=ink, class_="cell")
    for a in range(0, k, max(1, k // 16)):
        chart.text(chart.left - 7, chart.py(a + 0.5) + 4, str(a + 1), "end", class_="tick")
    base = chart.height - chart.bottom
    for b in range(0, g, max(1, g // 16)):
        chart.text(chart.px(b + 0.5), base + 17, str(b + 1), class_="tick")
    chart.text(chart.px(g / 2), base + 40, "consensus class", class_="label")
    y = chart.py(k / 2)
    chart.text(18, y, "class", class_="label", transform=f"rotate(-90 18 {y:.1f})")
    together = float(crossed.max(axis=1).sum() / crossed.sum())
    rows, columns = np.indices(crossed.shape)
    data = {"class": rows.ravel() + 1, "consensus_class": columns.ravel() + 1}
    return Figure(
        "crossing",
        f"{percent(together, 1)} of the particles lie in the consensus class that holds most of "
        "their class",
        chart.svg(),
        "Rows are the classes of this run, columns those of the consensus, cells the particles "
        "they share, coloured by their share of the row. A row with one bright cell is a class of "
        "the consensus, or part of one; a row with several is a class that other runs split.",
        pd.DataFrame(data | {"particles": crossed.ravel().astype(int)}),
    )
