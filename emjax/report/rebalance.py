"""The report of classes rebalanced alone: superclasses, their affinity, and sizes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from emjax.io.mrc.header import read_header
from emjax.io.mrc.volume import read_volume
from emjax.report.affinity import affinity_figures, tree_figure
from emjax.report.campaign import Campaign
from emjax.report.columns import numbers
from emjax.report.compared import Classes, thumbnails
from emjax.report.figure import Figure, percent, plural
from emjax.report.raster import match_box
from emjax.report.svg import Chart, colour, number
from emjax.report.tab import Gallery, Picture, Tab, Table
from emjax.report.verdict import Verdict

PICTURE = 96  # pixels of a superclass's average


def report(campaign: Campaign) -> tuple[Verdict, Sequence[Tab]]:
    """Head and tabs of the page."""
    classes = Classes.of(campaign)
    assert classes is not None
    table = campaign.table(campaign.folder.rebalance.superclasses)
    tree = tree_figure(classes)
    figures = [*affinity_figures(campaign), *([tree] if tree else [])]
    tabs = [
        Tab(
            "superclasses",
            "Superclasses",
            "What each superclass looks like, and the classes in it.",
            galleries=_galleries(campaign, classes, table),
        ),
        Tab("affinity", "Affinity", "How similar the classes are to each other.", figures=figures),
        Tab(
            "sizes",
            "Sizes",
            "Particles of each superclass and class, before and after.",
            figures=[_superclass_sizes(classes, table), _class_sizes(classes, table)],
            tables=[_rows(campaign, table)],
        ),
    ]
    return _head(campaign, classes), [tab for tab in tabs if tab.figures or tab.galleries]


def _head(campaign: Campaign, classes: Classes) -> Verdict:
    """What was done and found in two sentences, warnings, and how to change it."""
    found, folder = campaign.rebalance, campaign.folder.rebalance
    left_out = found.get("left_out", {})
    what = "class" if _in_3d(campaign) else "class average"
    whats = "classes" if _in_3d(campaign) else "class averages"
    n = int((classes.superclass > 0).sum())
    superclasses = plural(classes.count, "superclass", "superclasses")
    falls = "falls" if n == 1 else "fall"
    warning = found.get("warning")
    head = Verdict(
        "warn" if warning else "found",
        "Rebalanced, but not clearly" if warning else "Rebalanced",
        f"{plural(n, what, whats)} {falls} into {superclasses}.",
    )
    total = found["kept"] + found["excluded"]
    kept = f"{number(found['kept'])} of {number(total)} particles are kept"
    if found["cap"] is not None:
        kept += f", at most {number(found['cap'])} of a superclass"
    kept += f" ({campaign.link(folder.kept.star)})"
    out = [f"{_listed(numbers)} ({why})" for why, numbers in left_out.items()]
    head.found.append(kept + (f"; left out: {'; '.join(out)}." if out else "."))
    if warning:
        head.distrust.append(f"{warning[0].upper()}{warning[1:]}.")
    head.advice.append(
        "For another number of superclasses set rebalance: {superclasses: N} in the configuration"
        f" ({campaign.name}.yaml where the command wrote it) and run it again."
    )
    return head


def _listed(classes: list[int]) -> str:
    """`class 3`, `classes 1 to 5 and 8`."""
    runs = np.split(np.array(classes), np.flatnonzero(np.diff(classes) != 1) + 1)
    spans = []
    for run in runs:
        spans += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run)
    *first, last = spans
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"{'class' if len(classes) == 1 else 'classes'} {listed}"


def _in_3d(campaign: Campaign) -> bool:
    return not campaign.folder.rebalance.averages.exists()


def _galleries(campaign: Campaign, classes: Classes, table: pd.DataFrame) -> list[Gallery]:
    """Each superclass: its average, or slices of its map, and its classes by size."""
    folder, found = campaign.folder.rebalance, []
    averages = thumbnails(read_header(folder.averages).open()) if not _in_3d(campaign) else []
    kept = numbers(table, "kept")
    for s in range(1, classes.count + 1):
        members = np.flatnonzero(classes.superclass == s)
        members = members[np.argsort(-classes.sizes[members], kind="stable")]
        if _in_3d(campaign):
            volume = match_box(read_volume(folder.superclass_map(s))[0], PICTURE)
            middle = len(volume) // 2
            slices = thumbnails(np.stack([volume[middle], volume[:, middle], volume[:, :, middle]]))
            large = [
                Picture(uri, f"mean, {axis}", f"Superclass {s}, slice {axis}")
                for uri, axis in zip(slices, ("xy", "xz", "yz"), strict=True)
            ]
        else:
            large = [Picture(averages[s - 1], "mean", f"Superclass {s}, mean of its classes")]
        total, left = classes.sizes[members].sum(), kept[members].sum()
        note = f"{plural(int(total), 'particle')} ({percent(total, np.nansum(classes.sizes))})"
        note += f", {number(left)} of them kept" if left < total else ", all kept"
        title = f"Superclass {s}: {plural(len(members), 'class', 'classes')}"
        small = [_picture(classes, k) for k in members.tolist()]
        found.append(Gallery(title, note, small, large, s - 1))
    out = np.flatnonzero(classes.superclass == 0)
    if len(out):
        title = f"Left out: {plural(len(out), 'class', 'classes')}"
        reasons = campaign.rebalance.get("left_out", {}).items()
        note = "; ".join(f"{_listed(found)}: {why}" for why, found in reasons)
        found.append(Gallery(title, note, [_picture(classes, k) for k in out.tolist()]))
    return found


def _picture(classes: Classes, k: int) -> Picture:
    return Picture(classes.pictures[k], f"{k + 1} · {number(classes.sizes[k])}", classes.tip(k))


def _superclass_sizes(classes: Classes, table: pd.DataFrame) -> Figure:
    """Particles of each superclass before and after."""
    s = np.arange(1, classes.count + 1)
    before, after = (
        np.array([numbers(table, name)[classes.superclass == k].sum() for k in s])
        for name in ("size", "kept")
    )
    chart = Chart((0.4, len(s) + 0.6), (0, 1.05 * before.max(initial=1)), label="Superclass sizes")
    chart.axes("superclass", "particles", [(int(k), str(k)) for k in s[:: max(1, len(s) // 20)]])
    for k, was, now in zip(s, before, after, strict=True):
        tip = f"Superclass {k}: {number(was)} particles before, {number(now)} after"
        chart.bar(k - 0.35, k + 0.35, 0, was, tip, "var(--soft)")
        chart.bar(k - 0.35, k + 0.35, 0, now, tip, colour(k - 1))
    title = f"Nothing is discarded: superclasses hold {_range(before)} particles"
    if (after < before).any():
        title = f"Superclasses held {_range(before)} particles, and hold {_range(after)} now"
    return Figure(
        "superclass-sizes", title, chart.svg(),
        "Grey: before; in colour: kept. rebalance.factor (0 to 1) evens them out.",
        pd.DataFrame({"superclass": s, "before": before, "after": after}),
    )  # fmt: skip


def _class_sizes(classes: Classes, table: pd.DataFrame) -> Figure:
    """Particles of each class before and after, sorted by superclass."""
    order = classes.sorted()
    before, after = numbers(table, "size")[order], numbers(table, "kept")[order]
    n = len(order)
    chart = Chart(
        (0, n), (0, 1.05 * before.max(initial=1)), 1000 if n > 30 else 480, label="Class sizes"
    )
    step = max(1, round(n / (40 if n > 30 else 15)))
    names = [(i + 0.5, str(order[i] + 1)) for i in range(0, n, step)]
    chart.axes("class, sorted by superclass", "particles", names)
    for i, k in enumerate(order.tolist()):
        tip = f"{classes.tip(k)}; {number(after[i])} kept"
        chart.bar(i + 0.1, i + 0.9, 0, before[i], tip, "var(--soft)")
        chart.bar(i + 0.1, i + 0.9, 0, after[i], tip, colour(int(classes.superclass[k]) - 1))
    largest = int(order[before.argmax()]) + 1
    title = f"The largest class is {largest} with {number(before.max())} particles, the median"
    title += f" holds {number(float(np.median(before)))}"
    data = pd.DataFrame({"class": order + 1, "before": before, "after": after})
    reading = "Grey: before; in the colour of its superclass: kept."
    return Figure("class-sizes", title, chart.svg(), reading, data, wide=n > 30)


def _range(values: np.ndarray) -> str:
    low, high = number(values.min(initial=np.inf)), number(values.max(initial=0))
    return low if low == high else f"{low} to {high}"


def _rows(campaign: Campaign, table: pd.DataFrame) -> Table:
    """superclasses.tsv for reading, with why a class was left out."""
    reasons = campaign.rebalance.get("left_out", {}).items()
    why = {k: reason for reason, classes in reasons for k in classes}
    head = [name.capitalize() for name in table.columns]
    rows = [[number(value) for value in row] for row in table.to_numpy(float).tolist()]
    if why:
        head.append("Left out")
        rows = [[*row, why.get(k, "")] for k, row in enumerate(rows, 1)]
    return Table("The classes", head, rows)
