"""Subspace campaigns: what the seeds reached, where the particles lie."""

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign
from emjax.report.columns import column, numbers
from emjax.report.figure import Figure, percent, plural
from emjax.report.held_out import evidence
from emjax.report.methods import SUBSPACE
from emjax.report.svg import DASHES, N_COLOURS, Chart, colour, series

MOST_SPECKS = 3000


def seed_figure(campaign: Campaign) -> Figure | None:
    """Likelihood of all seeds, best first: how many reach the best answer."""
    table = campaign.table(campaign.folder.method(SUBSPACE).likelihood)
    value = column(table, "log_likelihood")
    if value is None:
        return None
    k, optimum = numbers(table, "n_classes").astype(int), numbers(table, "optimum")
    kinds = sorted(set(k.tolist()))
    most = max(int((k == c).sum()) for c in kinds)
    low, high = float(np.nanmin(value)), float(np.nanmax(value))
    pad = (high - low) * 0.05 or 1.0
    rows = -(-len(kinds) // 4)
    chart = Chart((1, max(most, 2)), (low - pad, high + pad), left=76, top=18 + 16 * rows)
    chart.label = "Seeds by likelihood"
    chart.axes("seed, best first", "log-likelihood per particle")
    names = [(plural(c, "class", "classes"), series(i)) for i, c in enumerate(kinds)]
    dashes = [DASHES[i % len(DASHES)] for i in range(len(kinds))]
    chart.legend(names, 4, dashes)
    for i, c in enumerate(kinds):
        ordered = np.sort(value[k == c])[::-1]
        step = max(1, len(ordered) // 300)
        xs = np.arange(1, len(ordered) + 1)[::step]
        shown = ordered[::step].tolist()
        chart.line(xs.tolist(), shown, series(i), stroke_dasharray=dashes[i])
        for x, y in list(zip(xs, shown, strict=True))[:: max(1, len(xs) // 40)]:
            tip = f"{plural(c, 'class', 'classes')}, seed ranked {x}: {y:.5g}"
            chart.dot(x, y, tip, series(i), 2.5)
    main = _shown_number(campaign, kinds)
    share = percent(float((optimum[k == main] == 1).sum()), float((k == main).sum()))
    return Figure(
        "seeds",
        f"{share} of {most:,} seeds reach the best answer for {plural(main, 'class', 'classes')}",
        chart.svg(),
        "A long flat start: most seeds end in the same best answer. Steps are other, worse answers "
        "that seeds get stuck in.", table,
    )  # fmt: skip


def _shown_number(campaign: Campaign, kinds: list[int]) -> int:
    """The number of classes that the figures speak of: the chosen one, or the nearest run."""
    chosen = evidence(campaign).get("classes", {}).get("chosen") or len(campaign.class_numbers)
    return min(kinds, key=lambda c: abs(c - int(chosen)))


def optima_figure(campaign: Campaign) -> Figure | None:
    """How often each distinct answer was found."""
    table = campaign.table(campaign.folder.method(SUBSPACE).likelihood)
    if "optimum" not in table or "n_classes" not in table:
        return None
    k = numbers(table, "n_classes").astype(int)
    main = _shown_number(campaign, sorted(set(k.tolist())))
    optimum = numbers(table, "optimum")[k == main].astype(int)
    value = numbers(table, "log_likelihood")[k == main]
    counts = np.bincount(optimum)[1:21]
    if not counts.size:
        return None
    chart = Chart((0.4, len(counts) + 0.6), (0, float(counts.max()) * 1.08), label="Optima")
    every = max(1, len(counts) // 10)
    ranks = [(i, str(i)) for i in range(1, len(counts) + 1, every)]
    chart.axes("answer, best likelihood first", "seeds that found it", ranks)
    rows = []
    for i, count in enumerate(counts, 1):
        best = float(value[optimum == i].max(initial=-np.inf))
        tip = f"Answer {i}: {count:,} seeds, log-likelihood {best:.5g} per particle"
        chart.bar(i - 0.38, i + 0.38, 0, int(count), tip, series())
        rows.append((i, int(count), best))
    total = len(set(optimum[optimum > 0].tolist()))
    return Figure(
        "optima",
        f"{len(optimum):,} seeds ended in {plural(total, 'distinct answer')} for "
        f"{plural(main, 'class', 'classes')}",
        chart.svg(),
        "A single run finds any of these, with these odds. Only the best one matters if it is "
        "clearly better and found often.",
        pd.DataFrame(rows, columns=["answer", "seeds", "log_likelihood"]),
    )  # fmt: skip


def between_classes(points: np.ndarray, labels: np.ndarray) -> float:
    """Share of the points' variance that is between classes (from 1; 0 takes no part)."""
    points, labels = points[labels > 0], labels[labels > 0]
    own = np.stack([points[labels == c].mean(axis=0) for c in np.unique(labels)])
    spread = points - points.mean(axis=0)
    inside = points - own[np.unique(labels, return_inverse=True)[1]]
    return 1 - float((inside**2).sum() / max((spread**2).sum(), 1e-12))


def landscape_figure(campaign: Campaign) -> Figure | None:
    """Particles in the first two components, with their consensus class."""
    z = campaign.array(campaign.folder.method(SUBSPACE).coordinates)
    if z is None or z.ndim != 2 or z.shape[1] < 2 or not np.isfinite(z).any():
        return None
    rows = np.flatnonzero(np.isfinite(z[:, 0]))  # of the particles that take part
    pick = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_SPECKS)).astype(int)]
    xy = np.asarray(z[pick, :2], float)
    labels = campaign.particles.get("rlnClassNumber", np.zeros(0)).astype(int)
    labels = labels[pick] if len(labels) == len(z) else np.zeros(len(pick), int)
    (x0, y0), (x1, y1) = np.quantile(xy, 0.002, axis=0), np.quantile(xy, 0.998, axis=0)
    chart = Chart((float(x0), float(x1)), (float(y0), float(y1)), 480, 420, top=34)
    chart.label = "Landscape"
    chart.axes("first component of variability", "second component")
    for (x, y), c in zip(xy.tolist(), labels.tolist(), strict=True):
        if x0 <= x <= x1 and y0 <= y <= y1:
            style = f"fill:{colour(c - 1) if c else 'var(--soft)'}"
            chart.add("circle", cx=chart.px(x), cy=chart.py(y), r=1.8, class_="speck", style=style)
    count = int(labels.max(initial=0))
    if count > 1:
        named = range(1, min(count, N_COLOURS) + 1)
        chart.legend([(f"class {c}", colour(c - 1)) for c in named], 4)
    title = "All particles are one class; these are their two largest differences"
    if count > 1:
        between = percent(between_classes(xy, labels), 1)
        title = f"{between} of the spread along the two largest differences is between classes"
    return Figure(
        "landscape", title, chart.svg(),
        "Each dot is a particle. Separate clouds speak for separate states; one stretched cloud is "
        "gradual motion, pose errors or noise.",
        pd.DataFrame({"component_1": xy[:, 0], "component_2": xy[:, 1], "class": labels}),
    )  # fmt: skip
