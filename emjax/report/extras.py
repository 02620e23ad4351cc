"""Parts that only some campaigns have: 2D maps, superclasses, subspace landscape, noise."""

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign, column
from emjax.report.figure import Figure, plural
from emjax.report.svg import Chart, heat_colour, number

MOST_CELLS = 60


def affinity_figures(campaign: Campaign) -> list[Figure]:
    """Affinity between references, as they come and sorted by superclass."""
    affinity, table = (
        campaign.array(campaign.folder.rebalance.affinity),
        campaign.table(campaign.folder.rebalance.superclasses),
    )
    if affinity is None or affinity.ndim != 2 or len(affinity) < 2:
        return []
    a = np.asarray(affinity, float)
    names = [str(i + 1) for i in range(len(a))]
    pairs = np.where(np.eye(len(a), dtype=bool), np.nan, a)
    i, j = np.unravel_index(int(np.nanargmin(pairs)), a.shape)
    k, m = np.unravel_index(int(np.nanargmax(pairs)), a.shape)
    title = f"Classes {k + 1} and {m + 1} are most similar ({a[k, m]:z.2f})"
    if len(a) > 2:
        title += f", {i + 1} and {j + 1} least ({a[i, j]:z.2f})"
    figures = [_matrix("affinity", title, a, names, None)]
    superclass = column(table, "superclass")
    if superclass is not None and len(superclass) == len(a):
        # Superclass 0: excluded, so last.
        order = np.argsort(np.where(superclass > 0, superclass, np.inf), kind="stable")
        count = len(set(superclass[superclass > 0].tolist()))
        title = "All classes are similar: one superclass"
        if count > 1:
            title = f"The classes fall into {plural(count, 'superclass', 'superclasses')}"
            title += ", but not clearly" if campaign.rebalance.get("warning") else ""
        sorted_names = [names[i] for i in order]
        figures.append(
            _matrix(
                "affinity-sorted", title, a[np.ix_(order, order)], sorted_names, superclass[order]
            )
        )
    return figures


def _matrix(
    name: str, title: str, a: np.ndarray, names: list[str], groups: np.ndarray | None
) -> Figure:
    m = min(len(a), MOST_CELLS)
    chart = Chart((0, m), (m, 0), 460, 440, left=50, bottom=50, label=title)
    low = min(float(a.min()), 0.8)
    for i in range(m):
        for j in range(m):
            fill, light = heat_colour((float(a[i, j]) - low) / (1 - low))
            chart.bar(j, j + 1, i, i + 1, f"Classes {names[i]} and {names[j]}: {a[i, j]:.3f}", fill)
            if m <= 10:
                ink = "#fff" if light else "#111"
                chart.text(
                    chart.px(j + 0.5),
                    chart.py(i + 0.5) + 4,
                    f"{a[i, j]:z.2f}",
                    style=f"fill:{ink}",
                    class_="cell",
                )
    for i in range(0, m, max(1, m // 20)):
        chart.text(chart.left - 6, chart.py(i + 0.5) + 4, names[i], "end", class_="tick")
        chart.text(chart.px(i + 0.5), chart.height - chart.bottom + 15, names[i], class_="tick")
    chart.text(
        (chart.left + chart.width) / 2,
        chart.height - 10,
        "class number",
        class_="label",
    )
    if groups is not None:
        # Maps that were excluded stand last and have no frame.
        m = min(m, int((groups > 0).sum()))
        edges = [0, *(np.flatnonzero(np.diff(groups[:m])) + 1).tolist(), m]
        for lo, hi in zip(edges[:-1], edges[1:], strict=True):
            x, y, side = chart.px(lo), chart.py(lo), chart.px(hi) - chart.px(lo)
            height = chart.py(hi) - chart.py(lo)
            chart.add("rect", x=x, y=y, width=side, height=height, class_="square")
    rows, columns = np.indices(a.shape)
    data = pd.DataFrame(
        {
            "reference": np.array(names)[rows.ravel()],
            "other": np.array(names)[columns.ravel()],
            "affinity": a.ravel(),
        }
    )
    return Figure(
        name,
        title,
        chart.svg(),
        "Correlation of the classes' maps: 1 is identical, 0 nothing in common."
        + (
            "" if groups is None else " Framed squares are groups of maps that show the same thing."
        ),
        data,
    )


def rebalance_notes(campaign: Campaign) -> list[str]:
    """What the rebalancing did, in sentences."""
    found, folder = campaign.rebalance, campaign.folder.rebalance
    notes = [str(found["warning"])] if found.get("warning") else []
    if "kept" in found and "cap" in found:
        none, left = found.get("unassigned", 0), found["excluded"]
        of_none = ", which have no class." if none == left else f", {number(none)} of no class."
        notes.append(
            f"{number(found['kept'])} of {number(found['kept'] + found['excluded'])} particles are "
            f"kept in {campaign.link(folder.kept.star)}, the others in {folder.excluded.star.name}"
            + (of_none if none else ".")
        )
    return notes


def rebalance_rows(campaign: Campaign) -> tuple[list[str], list[list[str]]]:
    """superclasses.tsv for reading."""
    table = campaign.table(campaign.folder.rebalance.superclasses)
    return [c.replace("_", " ") for c in table.columns], [
        [number(v) if isinstance(v, int | float) else str(v) for v in row]
        for row in table.itertuples(index=False)
    ]


def noise_figure(campaign: Campaign) -> Figure | None:
    """FSC of the mean map and where the filter cuts."""
    table = campaign.table(campaign.folder.prepare.noise)
    f, fsc = column(table, "frequency_per_angstrom"), column(table, "mean_fsc")
    if f is None or fsc is None or not np.isfinite(fsc).any():
        return None
    f, fsc = f[np.isfinite(fsc)], fsc[np.isfinite(fsc)]
    chart = Chart((0, float(f.max())), (-0.1, 1.05), height=260, label="FSC of the mean map")
    marks = [float(f.max()) * part for part in (0.25, 0.5, 0.75, 1)]
    chart.axes(
        "resolution (Å)", "agreement of half-maps (FSC)", [(m, f"{1 / m:.3g}") for m in marks]
    )
    chart.line(f.tolist(), fsc.tolist())
    for x, y in zip(f, fsc, strict=True):
        chart.dot(x, y, f"{1 / x:.1f} Å: FSC {y:.3f}", 0, 2.5)
    limit = float(
        campaign.preparation.get("filter_resolution")
        or campaign.config.get("filter_resolution")
        or 0
    )
    at = float(np.interp(1 / limit, f, fsc)) if limit else float("nan")
    title = "Half-maps of all particles together"
    if limit and 1 / limit <= f.max():
        chart.rule(x=1 / limit, name=f"filter at {limit:g} Å")
        title = f"At the filter of {limit:g} Å the mean map's halves agree to {at:z.2f}"
    return Figure(
        "mean-fsc",
        title,
        chart.svg(),
        "Classification looks only at what lies left of the filter line. Where the curve is low "
        "there, poses or particle number are the first thing to improve.",
        table,
    )
