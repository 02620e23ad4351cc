"""The groups of particles that label files keep together, with what chance would make of them."""

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from emjax.report.campaign import Campaign
from emjax.report.columns import column, numbers, truths
from emjax.report.figure import Figure, plural
from emjax.report.svg import Chart, colour, number, small
from emjax.report.tab import Tab, Table

MOST_BARS, MOST_ROWS = 40, 200


def intersections_tab(campaign: Campaign) -> Tab:
    """Figure and table of the intersections."""
    table = campaign.intersections
    shown = table.head(MOST_ROWS)
    head = ["Group", "Classes of the runs", "Particles", "By chance", "p", "q", "Class", "Files"]
    rows = [_row(campaign, row) for _, row in shown.iterrows()]
    title = f"The {len(shown)} largest of {len(table):,} groups" if len(table) > len(shown) else ""
    return Tab(
        "intersections",
        "Groups",
        "Particles that every run puts together, and how many chance would put there.",
        notes=[
            "p is the chance of so many particles in a group if the runs were unrelated, q the "
            "same corrected for the number of groups. All groups are in "
            "consensus/intersections.tsv; of any file of the consensus, emjax select --group takes "
            "the particles of a group."
        ],
        figures=[intersections_figure(campaign)],
        tables=[Table(title or "All groups", head, rows)],
    )


def _row(campaign: Campaign, row: pd.Series) -> list[str]:
    files = campaign.folder.consensus.intersection(int(row["id"])).all((".star", ".cs"))
    links = [
        f'<a href="{escape(campaign.link(path))}">{path.suffix}</a>'
        for path in files
        if path.is_file()
    ]
    return [
        f"{row['id']}",
        str(row["trace"]).replace(" & ", " & "),
        f"{row['size']:,}",
        number(round(float(row["expected_size"]), 1)),
        small(float(row["p_value"])),
        small(float(row["q_value"])),
        str(row["consensus_class"]) if row["consensus_class"] > 0 else "none",
        Markup(" ".join(links)),
    ]


def intersections_figure(campaign: Campaign) -> Figure:
    """Sizes of the largest groups beside those that chance would make."""
    table = campaign.intersections.head(MOST_BARS)
    size, expected = (np.asarray(column(table, name)) for name in ("size", "expected_size"))
    q, classes = numbers(table, "q_value"), numbers(table, "consensus_class").astype(int)
    top = float(max(size.max(), expected.max())) * 1.06
    chart = Chart((0.4, len(size) + 0.6), (0, top), width=960, height=300, label="Sizes of groups")
    every = max(1, len(size) // 20)
    marks = [(i, str(i)) for i in range(1, len(size) + 1, every)]
    chart.axes("group", "particles", marks)
    for i, (n, by_chance, value, c) in enumerate(zip(size, expected, q, classes, strict=True), 1):
        tip = f"Group {i}: {n:,.0f} particles, {by_chance:.1f} by chance, q = {small(value)}"
        fill = colour(c - 1) if c > 0 else "var(--dim)"
        chart.bar(i - 0.38, i + 0.38, 0, n, tip, fill)
        x, y, half = chart.px(i), chart.py(by_chance), (chart.px(1) - chart.px(0)) * 0.42
        path = f"M{x - half:.1f} {y:.1f}h{2 * half:.1f}"
        chart.add("path", d=path, class_="error")
    every_q = numbers(campaign.intersections, "q_value")
    above = campaign.intersections["size"] > campaign.intersections["expected_size"]
    sure = int(((every_q < campaign.fdr) & above).sum())
    kept = truths(campaign.intersections, "kept")
    pruned = int((~kept).sum())
    return Figure(
        "intersections",
        f"{sure:,} of {plural(len(every_q), 'group')} are larger than chance makes them",
        chart.svg(),
        f"The {plural(len(size), 'largest group')}, in the colours of the consensus classes; "
        "the thin line is the size that unrelated runs with the same class sizes would give."
        + (
            f" {plural(pruned, 'group')} below consensus.min_class_size have no class."
            * bool(pruned)
        ),
        table,
        wide=True,
    )
