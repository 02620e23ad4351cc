"""The report of images sorted on a map alone: the map, what it follows, and its seeds."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from emjax.campaign.facts import PreparedFacts
from emjax.report.campaign import Campaign
from emjax.report.columns import numbers
from emjax.report.figure import Figure, plural
from emjax.report.som import PROPERTIES, map_pictures, som_figures
from emjax.report.svg import Chart, heat_colour, number, series
from emjax.report.tab import Tab, Table
from emjax.report.verdict import Verdict

UNLIKE = 0.8  # correlation of the distances on two maps below which they are laid out differently
MANY_EMPTY = 0.2  # of the nodes
SHOWN_SEEDS = 6


def report(campaign: Campaign) -> tuple[Verdict, Sequence[Tab]]:
    """Head and tabs of the page."""
    folder = campaign.folder.classes
    chosen = campaign.json(folder.summary)["chosen"]
    figures = som_figures(campaign, chosen, folder.averages)
    first = [f for f in figures if f.name in _MAP]
    tabs = [
        Tab("map", "Map", "What the nodes look like, where they lie on the map.", figures=first),
        Tab(
            "follows",
            "What it follows",
            "Whether the map sorts the images by something other than what they show.",
            figures=[f for f in figures if f.name not in _MAP],
            tables=[_explained(campaign, chosen)],
        ),
        Tab(
            "seeds",
            "Seeds",
            "How good the map of each seed is, and how far they agree.",
            figures=[
                *(f for f in (_agreement(campaign), _convergence(campaign)) if f),
                *_other_maps(campaign, chosen),
            ],
            tables=[_quality(campaign, chosen)],
        ),
    ]
    return _head(campaign, chosen), tabs


_MAP = ("som-code-vectors", "som-averages", "som-sizes", "som-borders")


def _head(campaign: Campaign, chosen: str) -> Verdict:
    """What was made in a few sentences, what to distrust, and how to go on."""
    folder, metrics = campaign.folder.classes, campaign.metrics[chosen]
    n = campaign.json(folder.summary)["n_particles"]
    columns, rows = metrics["map"]["columns"], metrics["map"]["rows"]
    nodes = columns * rows
    filled = "all" if not metrics["empty_nodes"] else f"{nodes - metrics['empty_nodes']} of"
    doubts = list(_doubts(campaign, chosen))
    head = Verdict(
        "warn" if doubts else "found",
        "Sorted, with doubts" if doubts else "Sorted",
        f"{plural(n, 'image')} on a map of {columns} × {rows}: {filled} {nodes} nodes hold some.",
    )
    pairs = campaign.table(folder.agreement)
    if len(pairs):
        correlation, rand = (
            number(round(float(np.median(numbers(pairs, key))), 2))
            for key in ("distance_correlation", "adjusted_rand_index")
        )
        head.found.append(
            f"Of {len(campaign.metrics)} seeds, {chosen} describes the images best (least"
            f" quantisation error). Distances between images on the maps of two seeds correlate"
            f" {correlation} (median; 1: the same layout), their nodes agree {rand} (adjusted"
            " Rand index)."
        )
    head.found.append(
        f"The nodes are the classes of {campaign.link(folder.particles.star)}, with averages in"
        f" {campaign.link(folder.averages)}. RELION opens {campaign.link(folder.optimiser)},"
        f" CryoSPARC {campaign.link(folder.templates)}."
    )
    head.distrust.extend(doubts)
    head.advice.append(
        "For a map of other size or smoothness change runs: {som: {map, final_regularisation}} in"
        f" the configuration ({campaign.name}.yaml where the command wrote it) and run it again."
        f" To group the nodes: emjax rebalance {folder.path}."
    )
    return head


def _doubts(campaign: Campaign, chosen: str) -> Iterator[str]:
    """What to distrust, a sentence each."""
    folder, metrics = campaign.folder, campaign.metrics
    if folder.prepare.facts.exists():
        for doubt in PreparedFacts.read(folder.prepare.facts).doubts:
            yield f"The input: {doubt}."
    late = [run for run, found in metrics.items() if not found["converged"]]
    if late:
        yield (
            f"{', '.join(late)} had not converged after runs.som.max_iterations"
            f" ({campaign.config['runs']['som']['max_iterations']}) per step: raise it."
        )
    empty, nodes = metrics[chosen]["empty_nodes"], metrics[chosen]["n_classes"]
    if empty > MANY_EMPTY * nodes:
        yield (
            f"{empty} of {nodes} nodes hold no image: the map is smoother than so few images per"
            " node allow. Lower initial_regularisation and final_regularisation, or make it"
            " smaller."
        )
    pairs = campaign.table(folder.classes.agreement)
    if len(pairs) and np.median(numbers(pairs, "distance_correlation")) < UNLIKE:
        yield (
            "The maps of different seeds are laid out differently: their order of the images is"
            " not to be relied on. Fewer nodes, or more regularisation, make them alike."
        )
    sizes = numbers(campaign.table(folder.run(chosen).table("nodes")), "size")
    chance = len(sizes) / max(sizes.sum(), 1)
    explained = metrics[chosen].get("explained", {})
    for key, (what, _) in PROPERTIES.items():
        share = explained.get(key.removeprefix("mean_"), 0.0)
        if share >= 0.1 + chance:
            yield f"The map follows the {what}: its nodes explain {share:.0%} of its variance."


def _explained(campaign: Campaign, chosen: str) -> Table:
    """Every number of the particle file, by how much of its variance the nodes explain."""
    explained = campaign.metrics[chosen].get("explained", {})
    rows = sorted(explained.items(), key=lambda item: -item[1])
    head = ["Of the particles", "Share of its variance that the nodes explain"]
    return Table("What the nodes explain", head, [[name, f"{v:.3f}"] for name, v in rows])


def _quality(campaign: Campaign, chosen: str) -> Table:
    """seeds.tsv for reading."""
    table = campaign.table(campaign.folder.classes.seeds)
    head = ["Map", "Seed", "Quantisation error", "Topographic error", "Empty nodes", "Iterations",
            "Converged"]  # fmt: skip
    rows = [
        [
            f"{row['run']} (shown)" if row["run"] == chosen else str(row["run"]),
            str(row["seed"]),
            f"{row['quantisation_error']:.5g}",
            f"{row['topographic_error']:.4f}",
            str(row["empty_nodes"]),
            str(row["iterations"]),
            "yes" if row["converged"] else "no",
        ]
        for row in table.to_dict("records")
    ]
    return Table("Quality of each map", head, rows)


def _agreement(campaign: Campaign) -> Figure | None:
    """Correlation of the distances on the maps of every two seeds."""
    pairs = campaign.table(campaign.folder.classes.agreement)
    if not len(pairs):
        return None
    names = list(campaign.metrics)
    where = {name: i for i, name in enumerate(names)}
    m, values = len(names), {"distance_correlation": np.eye(len(names))}
    values["adjusted_rand_index"] = np.eye(m)
    for key, matrix in values.items():
        for a, b, value in zip(pairs["run"], pairs["other"], numbers(pairs, key), strict=True):
            matrix[where[a], where[b]] = matrix[where[b], where[a]] = value
    chart = Chart((0, m), (m, 0), 480, 420, left=118, bottom=96, label="Agreement between maps")
    shown = values["distance_correlation"]
    for i, j in np.ndindex(m, m):
        rand = values["adjusted_rand_index"][i, j]
        tip = f"{names[i]} and {names[j]}: {shown[i, j]:z.3f}; adjusted Rand index {rand:z.3f}"
        fill, light = heat_colour(max(float(shown[i, j]), 0.0))
        chart.bar(j, j + 1, i, i + 1, tip, fill)
        if m <= 12:
            ink = f"fill:{'#fff' if light else '#111'}"
            x, y = chart.px(j + 0.5), chart.py(i + 0.5) + 4
            chart.text(x, y, f"{shown[i, j]:z.2f}", style=ink, class_="cell")
    base = chart.height - chart.bottom + 12
    for i in range(0, m, max(1, m // 16)):
        chart.text(chart.left - 6, chart.py(i + 0.5) + 4, names[i], "end", class_="tick")
        x = chart.px(i + 0.5)
        turned = f"rotate(-50 {x:.1f} {base})"
        chart.text(x, base, names[i], "end", class_="tick", transform=turned)
    low = float(np.min(numbers(pairs, "distance_correlation")))
    a, b = (index.ravel() for index in np.indices((m, m)))
    data = {"run": np.array(names)[a], "other": np.array(names)[b]}
    return Figure(
        "som-seeds",
        f"Distances on the maps of two seeds correlate at least {low:z.2f}",
        chart.svg(),
        "1: both maps lay the images out alike, however they are rotated or mirrored; 0: at "
        "random.",
        pd.DataFrame(data | {key: matrix.ravel() for key, matrix in values.items()}),
    )


def _convergence(campaign: Campaign) -> Figure | None:
    """Width of the kernel over the iterations, a curve per seed."""
    tables = {
        run: campaign.table(campaign.folder.run(run).table("convergence"))
        for run in list(campaign.metrics)[:SHOWN_SEEDS]
    }
    curves = {run: numbers(table, "width") for run, table in tables.items() if len(table)}
    if not curves:
        return None
    every = np.concatenate(list(curves.values()))
    low, high = float(every.min()), float(every.max())
    pad, longest = (high - low) * 0.05 or 1.0, max(map(len, curves.values()))
    chart = Chart((1, max(longest, 2)), (low - pad, high + pad), top=34, label="Convergence")
    chart.axes("iteration", "width of the kernel")
    chart.legend([(run, series(i)) for i, run in enumerate(curves)], columns=3)
    for index, (run, curve) in enumerate(curves.items()):
        chart.line(list(range(1, len(curve) + 1)), curve.tolist(), series(index), data_tip=run)
    slowest = max(curves, key=lambda run: len(curves[run]))
    rows = [table.assign(run=run) for run, table in tables.items()]
    return Figure(
        "som-convergence",
        f"The maps took up to {longest} iterations ({slowest})",
        chart.svg(),
        "Each step of the annealing has a smaller regularisation; the curve is level where it "
        "has converged.",
        pd.concat(rows),
    )


def _other_maps(campaign: Campaign, chosen: str) -> Iterator[Figure]:
    """Code vectors of the maps that are not shown."""
    others = [run for run in campaign.metrics if run != chosen]
    for run in others[:SHOWN_SEEDS]:
        folder, found = campaign.folder.run(run), campaign.metrics[run]
        figure = map_pictures(
            folder.images("code_vectors")[0],
            campaign.table(folder.table("nodes")),
            f"som-seed-{run}",
            f"{run}: quantisation error {number(found['quantisation_error'])}",
            "Code vectors of this seed. A map of the same images may be rotated or mirrored.",
        )
        if figure is not None:
            yield figure
