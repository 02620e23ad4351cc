"""How similar classes are: matrices and tree, with a picture of each class along the axes."""

from math import ceil

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import dendrogram

from emjax.report.campaign import Campaign
from emjax.report.compared import Classes, extremes, superclass_title, tree_of
from emjax.report.figure import Figure, Number
from emjax.report.raster import png_uri
from emjax.report.svg import Chart, colour, element, heat_colour

SMALLEST = 24  # pixels of a picture along an axis; where they are closer they stand in rows
SINGLE_CELLS = 60  # classes up to which every cell of a matrix says its number


def affinity_figures(campaign: Campaign) -> list[Figure]:
    """Affinity between classes, as they come, sorted by superclass, and as a tree."""
    classes = Classes.of(campaign)
    if classes is None or len(classes.affinity) < 2:
        return []
    unsorted = _matrix(
        "affinity", extremes(classes), classes, np.arange(len(classes.affinity)), False
    )
    title = superclass_title(classes)
    title += ", not clearly" if campaign.rebalance.get("warning") else ""
    return [unsorted, _matrix("affinity-sorted", title, classes, classes.sorted(), True)]


def tree_figure(classes: Classes) -> Figure | None:
    """Which classes are joined first, by mean affinity."""
    used = classes.used
    m = len(used)
    if m < 3:
        return None
    tree = tree_of(classes.affinity[np.ix_(used, used)])
    inks = _inks(tree, classes.superclass[used])
    drawn = dendrogram(tree, no_plot=True, link_color_func=lambda node: inks[node])
    order = used[np.array(drawn["leaves"], int)]
    axis = _Axis(classes, order, max(440, min(1000, 40 * m)))
    top = float(tree[:, 2].max()) * 1.05 or 1.0
    chart = Chart(
        (0, m), (0, top), axis.length + 80, 300 + axis.depth, left=66, bottom=axis.depth + 26,
        label="Tree of the classes",
    )  # fmt: skip
    chart.axes("class", "1 − mean affinity", [])
    for xs, ys, ink in zip(drawn["icoord"], drawn["dcoord"], drawn["color_list"], strict=True):
        # SciPy puts leaf i at 10 i + 5.
        chart.line((np.array(xs) / 10).tolist(), ys, ink)
    if classes.pictures:
        axis.define(chart, "tree-picture")
    axis.below(chart, "tree-picture")
    data = pd.DataFrame(tree, columns=["first", "second", "height", "classes"])
    return Figure(
        "affinity-tree",
        f"The most similar classes join at a mean affinity of {1 - tree[0, 2]:.2f}, all at"
        f" {1 - tree[-1, 2]:.2f}",
        chart.svg(),
        "Classes that join low are alike (average linkage of 1 − affinity). Colours are those of"
        " the superclasses; grey joins several.",
        data,
        wide=m > 14,
    )


class _Axis:
    """Pictures and numbers of classes along an axis, in several rows where they are close."""

    def __init__(self, classes: Classes, order: np.ndarray, length: int) -> None:
        self.classes, self.order, self.length = classes, order, length
        self.pitch = length / len(order)
        # A number needs about this much room, or every few classes have one.
        self.named = max(1, ceil((6 + 8 * len(str(len(order)))) / self.pitch))
        self.side = min(max(self.pitch - 1, SMALLEST), 64) if classes.pictures else 0.0
        self.rows = ceil(self.side / self.pitch) if self.side else 0
        self.depth = round(self.rows * (self.side + 1)) + 18

    def below(self, chart: Chart, name: str) -> None:
        """Beneath a chart whose x axis has one unit per class."""
        base = chart.height - chart.bottom + 3
        self._draw(chart, name, [(chart.px(i + 0.5), base) for i in range(len(self.order))], False)

    def beside(self, chart: Chart, name: str) -> None:
        """Left of a chart whose y axis has one unit per class."""
        edge = chart.left - 3
        self._draw(chart, name, [(edge, chart.py(i + 0.5)) for i in range(len(self.order))], True)

    def _draw(
        self, chart: Chart, name: str, places: list[tuple[Number, Number]], upright: bool
    ) -> None:
        reach = self.rows * (self.side + 1)
        for i, ((x, y), k) in enumerate(zip(places, self.order.tolist(), strict=True)):
            row = i % self.rows if self.rows else 0
            far = row * (self.side + 1)
            if row:
                end = (x - far, y) if upright else (x, y + far)
                chart.add("line", x1=x, y1=y, x2=end[0], y2=end[1], class_="grid")
            if self.rows:
                corner = (
                    (x - far - self.side, y - self.side / 2)
                    if upright
                    else (x - self.side / 2, y + far)
                )
                chart.add(
                    "use", href=f"#{name}-{k}", x=float(corner[0]), y=float(corner[1]),
                    data_tip=self.classes.tip(k),
                )  # fmt: skip
            if i % self.named == 0:
                at = (x - reach - 3, y + 4) if upright else (x, y + reach + 12)
                chart.text(*at, str(k + 1), "end" if upright else "middle", class_="tick")

    def define(self, chart: Chart, name: str) -> None:
        """The pictures once, for all places where they are used."""
        side = self.side
        size = {"width": side, "height": side, "preserveAspectRatio": "none"}
        images = (
            element("image", id=f"{name}-{k}", href=self.classes.pictures[k], **size)
            for k in self.order.tolist()
        )
        chart.add("defs", "".join(images))


def _matrix(name: str, title: str, classes: Classes, order: np.ndarray, framed: bool) -> Figure:
    """The affinity of every two classes as colour."""
    a, m = classes.affinity[np.ix_(order, order)], len(order)
    length = 360 if m < 10 else 440 if m <= 30 else 720
    axis = _Axis(classes, order, length)
    left = max(axis.depth + 14, 84 if framed else 0)  # room for the word above the frames
    chart = Chart(
        (0, m), (m, 0), left + length + 14, length + axis.depth + 46, left=left, top=24,
        bottom=axis.depth + 22, label=title,
    )  # fmt: skip
    used = np.isin(order, classes.used)
    # What was left out was not compared.
    a = np.where(used[:, None] & used, a, np.nan)
    low = min(float(np.nanmin(a)), 0.8)
    axis_name = f"{name}-picture"
    if classes.pictures:
        axis.define(chart, axis_name)
    if m <= SINGLE_CELLS:
        _cells(chart, a, order, low)
    else:
        _raster(chart, a, low)
    axis.below(chart, axis_name)
    axis.beside(chart, axis_name)
    chart.text(chart.left + length / 2, chart.height - 8, "class", class_="label")
    if framed:
        _frames(chart, classes.superclass[order])
    data = pd.DataFrame(a, columns=[f"class_{k + 1}" for k in order]).round(4)
    data.insert(0, "class", order + 1)
    reading = "1: identical; 0: nothing in common; the darkest colour is "
    reading += f"{low:.2f}. Rows and columns are the classes"
    reading += ", with those of a superclass side by side in a frame." if framed else " by number."
    if framed:
        reading += (
            " Superclasses say which maps look alike, by the affinities of all classes together; "
            "classes of one superclass may still be different states."
        )
    return Figure(name, title, chart.svg(), reading, data, wide=m > 30)


def _cells(chart: Chart, a: np.ndarray, order: np.ndarray, low: float) -> None:
    for i, j in np.argwhere(np.isfinite(a)).tolist():
        fill, light = heat_colour((float(a[i, j]) - low) / (1 - low))
        tip = f"Classes {order[i] + 1} and {order[j] + 1}: {a[i, j]:.3f}"
        chart.bar(j, j + 1, i, i + 1, tip, fill)
        if len(a) <= 10:
            style = f"fill:{'#fff' if light else '#111'}"
            middle = chart.px(j + 0.5), chart.py(i + 0.5) + 4
            chart.text(*middle, f"{a[i, j]:z.2f}", style=style, class_="cell")


def _raster(chart: Chart, a: np.ndarray, low: float) -> None:
    """One picture instead of thousands of cells."""
    colours = [heat_colour(v)[0] for v in np.linspace(0, 1, 256)]
    palette = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], np.uint8)
    level = np.clip((np.nan_to_num(a) - low) / (1 - low) * 255, 0, 255).astype(int)
    picture = np.dstack([palette[level], np.where(np.isfinite(a), 255, 0)])
    side = chart.px(len(a)) - chart.left
    chart.add(
        "image", x=chart.left, y=chart.top, width=side, height=side, href=png_uri(picture),
        style="image-rendering:pixelated", preserveAspectRatio="none",
    )  # fmt: skip


def _frames(chart: Chart, superclass: np.ndarray) -> None:
    """A frame around each superclass, with its number; classes of none stand last without one."""
    m = int((superclass > 0).sum())
    edges = [0, *(np.flatnonzero(np.diff(superclass[:m])) + 1).tolist(), m]
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        x, y, side = chart.px(low), chart.py(low), chart.px(high) - chart.px(low)
        chart.add("rect", x=x, y=y, width=side, height=side, class_="square")
        if side >= 14:
            chart.text(x + side / 2, chart.top - 7, f"{superclass[low]}", class_="tick")
    if m:
        chart.text(chart.left - 6, chart.top - 7, "superclass", "end", class_="tick")


def _inks(tree: np.ndarray, superclass: np.ndarray) -> dict[int, str]:
    """Colour of every join: its superclass's, where there is one."""
    m = len(superclass)
    below = {k: {int(s)} for k, s in enumerate(superclass)}
    for node, (first, second) in enumerate(tree[:, :2].astype(int), m):
        below[node] = below[first] | below[second]
    grey = "var(--dim)"
    return {n: colour(min(s) - 1) if len(s) == 1 else grey for n, s in below.items()}
