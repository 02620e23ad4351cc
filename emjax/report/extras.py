"""Parts that only some campaigns have: 2D maps, superclasses, subspace landscape, noise."""

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign, column, numbers
from emjax.report.figure import Figure, plural
from emjax.report.svg import Chart, colour, heat_colour, number

MOST_CELLS = 60


def affinity_figures(campaign: Campaign) -> list[Figure]:
    """Affinity between references, as they come and sorted by superclass."""
    affinity, table = (
        campaign.array("rebalance/affinity.npy"),
        campaign.table("rebalance/superclasses.tsv"),
    )
    if affinity is None or affinity.ndim != 2 or len(affinity) < 2:
        return []
    a = np.asarray(affinity, float)
    names = [str(i + 1) for i in range(len(a))]
    figures = [
        _matrix("affinity", "How alike the references are, in their own order", a, names, None)
    ]
    superclass = column(table, "superclass")
    if superclass is not None and len(superclass) == len(a):
        order = np.argsort(superclass, kind="stable")
        count = len(set(superclass.tolist()))
        title = "All references are much alike: one superclass"
        if count > 1:
            title = f"The references fall into {plural(count, 'superclass', 'superclasses')}"
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
            chart.bar(
                j, j + 1, i, i + 1, f"References {names[i]} and {names[j]}: {a[i, j]:.3f}", fill
            )
            if m <= 10:
                ink = "#fff" if light else "#111"
                chart.text(
                    chart.px(j + 0.5),
                    chart.py(i + 0.5) + 4,
                    f"{a[i, j]:.2f}",
                    style=f"fill:{ink}",
                    class_="cell",
                )
    for i in range(0, m, max(1, m // 20)):
        chart.text(chart.left - 6, chart.py(i + 0.5) + 4, names[i], "end", class_="tick")
        chart.text(chart.px(i + 0.5), chart.height - chart.bottom + 15, names[i], class_="tick")
    chart.text(
        (chart.left + chart.width) / 2,
        chart.height - 10,
        "reference (class number)",
        class_="label",
    )
    if groups is not None:
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
        "1 is identical, 0 nothing in common. Clear squares along the diagonal are groups of "
        "references that show the same thing.",
        data,
    )


def rebalance_notes(campaign: Campaign) -> list[str]:
    """What the rebalancing did, in sentences."""
    found = campaign.json("rebalance/rebalance.json")
    notes = [str(found["warning"])] if found.get("warning") else []
    if "kept" in found and "cap" in found:
        table = campaign.table("rebalance/superclasses.tsv")
        total = numbers(table, "size").sum()
        notes.append(
            f"{number(found['kept'])} of {number(total)} particles kept in "
            "rebalance/particles_kept.star, the others in particles_excluded.star."
        )
    return notes


def rebalance_rows(campaign: Campaign) -> tuple[list[str], list[list[str]]]:
    """superclasses.tsv for reading."""
    table = campaign.table("rebalance/superclasses.tsv")
    return [c.replace("_", " ") for c in table.columns], [
        [number(v) if isinstance(v, int | float) else str(v) for v in row]
        for row in table.itertuples(index=False)
    ]


def evidence_table(campaign: Campaign) -> pd.DataFrame:
    """Held-out evidence by number of classes, wherever the campaign wrote it."""
    for name in ("consensus/evidence.tsv", "runs/subspace/evidence.tsv"):
        table = campaign.table(name)
        if not table.empty:
            return table
    return pd.DataFrame()


def evidence_figure(campaign: Campaign) -> Figure | None:
    """Likelihood gain on particles that the maps have not seen."""
    table = evidence_table(campaign)
    k, gain = column(table, "n_classes"), column(table, "gain", "held_out_gain", "evidence")
    if k is None or gain is None:
        return None
    low, high = column(table, "gain_low", "low"), column(table, "gain_high", "high")
    pad = (float(np.nanmax(gain)) - min(0.0, float(np.nanmin(gain)))) * 0.1 or 1.0
    chart = Chart(
        (k.min() - 0.5, k.max() + 0.5),
        (min(0.0, float(np.nanmin(gain))) - pad, float(np.nanmax(gain)) + pad),
        left=74,
        label="Held-out evidence",
    )
    chart.axes(
        "number of classes",
        "held-out log-likelihood gain",
        [(v, number(v)) for v in sorted(set(k))],
    )
    chart.rule(y=0, name="no gain")
    chart.line(k.tolist(), gain.tolist())
    for i, (x, y) in enumerate(zip(k, gain, strict=True)):
        span = (
            ""
            if low is None or high is None
            else f" (interval {number(low[i])} to {number(high[i])})"
        )
        if low is not None and high is not None:
            chart.add(
                "path",
                d=f"M{chart.px(x):.1f} {chart.py(low[i]):.1f}V{chart.py(high[i]):.1f}",
                class_="error",
            )
        chart.dot(x, y, f"{plural(int(x), 'class', 'classes')}: gain {number(y)}{span}")
    best = int(k[np.nanargmax(gain)])
    title = (
        f"Particles set aside are explained best by {plural(best, 'class', 'classes')}"
        if np.nanmax(gain) > 0
        else "No number of classes explains particles set aside better than one map does"
    )
    return Figure(
        "evidence",
        title,
        chart.svg(),
        "Maps made from one half of the particles score the other half. More classes always fit "
        "their own particles better; only real ones help with particles they have not seen.",
        table,
    )


def seed_figure(campaign: Campaign) -> Figure | None:
    """Likelihood of all seeds, sorted: how many reach the best answer."""
    table = campaign.table("runs/subspace/likelihood.tsv")
    value, k = column(table, "log_likelihood"), column(table, "n_classes")
    if value is None:
        return None
    k = np.zeros(len(value)) if k is None else k
    kinds = sorted(set(k.tolist()))
    most = max(int((k == c).sum()) for c in kinds)
    low, high = float(np.nanmin(value)), float(np.nanmax(value))
    pad = (high - low) * 0.05 or 1.0
    chart = Chart(
        (1, max(most, 2)), (low - pad, high + pad), left=76, top=34, label="Seeds by likelihood"
    )
    chart.axes("seed, best first", "log-likelihood")
    chart.legend([plural(int(c), "class", "classes") for c in kinds], 4)
    shares = {}
    for i, c in enumerate(kinds):
        ordered = np.sort(value[k == c])[::-1]
        step = max(1, len(ordered) // 300)
        xs = np.arange(1, len(ordered) + 1)[::step]
        chart.line(xs.tolist(), ordered[::step].tolist(), i)
        spread = ordered[0] - ordered[-1]
        shares[c] = float(
            (ordered > ordered[0] - max(0.001 * abs(ordered[0]), 1e-3 * spread)).mean()
        )
    main = kinds[int(np.argmax([shares[c] for c in kinds]))] if len(kinds) == 1 else kinds[-1]
    return Figure(
        "seeds",
        f"{100 * shares[main]:.0f} % of {most:,} seeds reach the best answer for "
        f"{plural(int(main), 'class', 'classes')}",
        chart.svg(),
        "A long flat start means that most seeds find the same best answer; steps are other, "
        "worse answers that seeds get stuck in.",
        table,
    )


def landscape_figure(campaign: Campaign) -> Figure | None:
    """Particles in the first two components of the subspace, with their consensus class."""
    z = next(
        (
            a
            for n in ("runs/subspace/coordinates.npy", "runs/subspace/z.npy")
            if (a := campaign.array(n)) is not None
        ),
        None,
    )
    if z is None or z.ndim != 2 or z.shape[1] < 2:
        return None
    labels = campaign.particles.get("rlnClassNumber", np.zeros(len(z))).astype(int)
    pick = np.linspace(0, len(z) - 1, min(len(z), 3000)).astype(int)
    xy, labels = (
        np.asarray(z[pick, :2], float),
        labels[pick] if len(labels) == len(z) else np.zeros(len(pick), int),
    )
    (x0, y0), (x1, y1) = np.quantile(xy, 0.002, axis=0), np.quantile(xy, 0.998, axis=0)
    chart = Chart(
        (float(x0), float(x1)), (float(y0), float(y1)), 480, 420, top=34, label="Landscape"
    )
    chart.axes("first component of variability", "second component")
    for (x, y), c in zip(xy, labels, strict=True):
        if x0 <= x <= x1 and y0 <= y <= y1:
            chart.add(
                "circle",
                cx=chart.px(x),
                cy=chart.py(y),
                r=1.8,
                class_="speck",
                style=f"fill:{colour(max(c - 1, 0))}",
            )
    chart.legend([f"class {c}" for c in range(1, min(labels.max(initial=1), 8) + 1)], 4)
    return Figure(
        "landscape",
        "Where the particles lie along the two largest differences",
        chart.svg(),
        "Each dot is a particle. Separate clouds are separate states; one stretched cloud is "
        "gradual motion or noise.",
        pd.DataFrame({"component_1": xy[:, 0], "component_2": xy[:, 1], "class": labels}),
    )


def noise_figure(campaign: Campaign) -> Figure | None:
    """FSC of the mean map and where the filter cuts."""
    table = campaign.table("prepare/noise.tsv")
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
        title = f"At the filter of {limit:g} Å the mean map's halves agree to {at:.2f}"
    return Figure(
        "mean-fsc",
        title,
        chart.svg(),
        "Classification looks only at what lies left of the filter line. Where the curve is low "
        "there, poses or particle number are the first thing to improve.",
        table,
    )
