"""How similar classes are: matrices and tree, with a picture of each class along the axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import dendrogram, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from emjax.io.mrc.header import read_header
from emjax.report.campaign import Campaign, column
from emjax.report.figure import Figure, Number
from emjax.report.raster import grey, png_uri
from emjax.report.svg import Chart, colour, element, heat_colour, number

GREYS = 1.0, 99.5  # percentiles of a picture that are black and white
SMALLEST = 24  # pixels of a picture along an axis; where they are closer they stand in rows
SINGLE_CELLS = 60  # classes up to which every cell of a matrix says its number


@dataclass(frozen=True)
class Classes:
    """What is known of classes that were compared.

    Attributes:
        affinity: of every two.
        superclass: of each, from 1; 0 has none.
        sizes: particles of each; NaN where unknown.
        pictures: data URIs; empty where there are none.
    """

    affinity: np.ndarray
    superclass: np.ndarray
    sizes: np.ndarray
    pictures: Sequence[str] = ()

    @classmethod
    def of(cls, campaign: Campaign) -> "Classes | None":
        """Those of a campaign or job; None where none were compared."""
        folder = campaign.folder.rebalance
        affinity, table = campaign.array(folder.affinity), campaign.table(folder.superclasses)
        if affinity is None or affinity.ndim != 2 or not len(affinity):
            return None
        superclass, sizes = column(table, "superclass"), column(table, "size")
        if superclass is None or len(superclass) != len(affinity):
            superclass, sizes = np.ones(len(affinity)), None
        pictures = (
            thumbnails(read_header(folder.thumbnails).open()) if folder.thumbnails.exists() else ()
        )
        return cls(
            np.asarray(affinity, float),
            superclass.astype(int),
            np.full(len(affinity), np.nan) if sizes is None else sizes,
            pictures,
        )

    @property
    def count(self) -> int:
        """Number of superclasses."""
        return len(set(self.superclass[self.superclass > 0].tolist()))

    @property
    def used(self) -> np.ndarray:
        """Classes that have a superclass, from 0; all where none has."""
        found = np.flatnonzero(self.superclass > 0)
        return found if len(found) else np.arange(len(self.affinity))

    def sorted(self) -> np.ndarray:
        """By superclass, within it the most similar ones side by side; those of none last."""
        order = list[int]()
        for superclass in range(1, int(self.superclass.max(initial=0)) + 1):
            members = np.flatnonzero(self.superclass == superclass)
            order += members[_by_similarity(self.affinity[np.ix_(members, members)])].tolist()
        return np.array([*order, *np.flatnonzero(self.superclass == 0)], int)

    def tip(self, k: int) -> str:
        """What a picture of a class says."""
        words = [f"Class {k + 1}"]
        if np.isfinite(self.sizes[k]):
            words.append(f"{number(self.sizes[k])} particles")
        s = self.superclass[k]
        words.append(f"superclass {s}" if s else "left out")
        others = self.affinity[k].copy()
        others[k] = -1
        if s and len(others) > 1:
            near = int(others.argmax())
            words.append(f"most similar to class {near + 1} ({others[near]:.2f})")
        return ", ".join(words)


def thumbnails(images: np.ndarray) -> list[str]:
    """Images as data URIs, each on its own intensity scale."""
    found = []
    for image in np.asarray(images, np.float32):
        low, high = np.percentile(image, GREYS)
        found.append(png_uri(grey(image, float(low), float(high))))
    return found


def affinity_figures(campaign: Campaign) -> list[Figure]:
    """Affinity between classes, as they come, sorted by superclass, and as a tree."""
    classes = Classes.of(campaign)
    if classes is None or len(classes.affinity) < 2:
        return []
    unsorted = _matrix(
        "affinity", _extremes(classes), classes, np.arange(len(classes.affinity)), False
    )
    title = _superclass_title(classes)
    title += ", not clearly" if campaign.rebalance.get("warning") else ""
    return [unsorted, _matrix("affinity-sorted", title, classes, classes.sorted(), True)]


def _superclass_title(classes: Classes) -> str:
    """How alike the classes of one superclass are, and those of two."""
    used, s = classes.used, classes.superclass[classes.used]
    pairs = np.triu_indices(len(used), 1)
    values = classes.affinity[np.ix_(used, used)][pairs]
    same = (s[:, None] == s)[pairs]
    if not len(values):
        return "One class is left to compare"
    if same.all():
        return f"One superclass: no group of classes stands out ({_span(values)} alike)"
    name = f"{classes.count} superclasses"
    if not same.any():
        return (
            f"Each class is a superclass of its own: no two are more than {values.max():.2f} alike"
        )
    inside, between = values[same].min(), values[~same].max()
    if inside > between:
        return (
            f"{name}: classes of one are {inside:.2f} alike or more, of two {between:.2f} or less"
        )
    return (
        f"{name} without a sharp border: the least alike two classes of one have {inside:.2f}, the "
        f"most alike two of different ones {between:.2f}"
    )


def _span(values: np.ndarray) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def tree_figure(classes: Classes) -> Figure | None:
    """Which classes are joined first, by mean affinity."""
    used = classes.used
    m = len(used)
    if m < 3:
        return None
    tree = _tree(classes.affinity[np.ix_(used, used)])
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


def _extremes(classes: Classes) -> str:
    """The most and the least similar two of the classes that have a superclass."""
    used = classes.used
    a = classes.affinity[np.ix_(used, used)]
    if len(a) < 2:
        return "One class is left to compare"
    pairs = np.where(np.eye(len(a), dtype=bool), np.nan, a)
    i, j = used[list(np.unravel_index(int(np.nanargmin(pairs)), a.shape))]
    k, m = used[list(np.unravel_index(int(np.nanargmax(pairs)), a.shape))]
    title = f"Classes {k + 1} and {m + 1} are most similar ({classes.affinity[k, m]:z.2f})"
    if len(a) > 2:
        title += f", {i + 1} and {j + 1} least ({classes.affinity[i, j]:z.2f})"
    return title


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


def _tree(affinity: np.ndarray) -> np.ndarray:
    distance = squareform(
        np.clip(1 - affinity, 0, None) * (1 - np.eye(len(affinity))), checks=False
    )
    return optimal_leaf_ordering(linkage(distance, "average"), distance)


def _by_similarity(affinity: np.ndarray) -> np.ndarray:
    return leaves_list(_tree(affinity)) if len(affinity) > 2 else np.arange(len(affinity))
