"""Self-organising maps of images, drawn node by node where the map has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emjax.io.mrc.header import read_header
from emjax.report.campaign import Campaign
from emjax.report.columns import column, numbers
from emjax.report.figure import Figure, percent, plural
from emjax.report.raster import grey, png_uri
from emjax.report.svg import Chart, heat_colour, number

IMAGE_SIDE = 96  # pixels of a node's picture
WIDE = 9.5  # columns above which pictures of half the page's width are too small
SAME = 1e-3  # of a property: where its means differ by less, the map does not follow it
PROPERTIES = {
    "mean_defocus": ("defocus", " Å"),
    "mean_tilt": ("tilt of the viewing direction", "°"),
    "mean_shift": ("shift", " Å"),
}


def best_map(campaign: Campaign) -> str | None:
    """The map that keeps neighbours together best (least topographic error)."""
    found = {
        name: float(metrics.get("topographic_error", np.inf))
        for name, metrics in campaign.metrics.items()
        if metrics.get("method") == "som" and campaign.folder.run(name).table("nodes").exists()
    }
    return min(found, key=lambda name: found[name]) if found else None


def som_figures(campaign: Campaign, name: str | None, averages: Path | None = None) -> list[Figure]:
    """Pictures, populations and properties of a map.

    Args:
        campaign: or job that made it.
        name: of the run; None where there is no map.
        averages: stack of its class averages, if not the run's own.
    """
    if name is None:
        return []
    nodes = campaign.table(campaign.folder.run(name).table("nodes"))
    size, border = numbers(nodes, "size"), numbers(nodes, "neighbour_distance")
    empty = int((size == 0).sum())
    error = float(campaign.metrics[name].get("topographic_error", np.nan))
    chance = len(nodes) / max(size.sum(), 1)
    figures = [
        map_pictures(
            averages or campaign.folder.run(name).images("class_averages")[0], nodes,
            "som-averages",
            f"{plural(len(nodes) - empty, 'node')} of {len(nodes)} hold particles in {name}",
            "The mean of the particles of each node, where the node lies on the map: neighbours "
            "should look similar, and change gradually.",
        ),
        map_pictures(
            campaign.folder.run(name).images("code_vectors")[0], nodes, "som-code-vectors",
            f"{percent(1 - error, 1)} of the particles have their two best nodes side by side",
            "What each node stands for: smoother than the averages, because neighbours help. The "
            "more particles have their two best nodes side by side, the better the map keeps what "
            "is alike together.",
        ),
        _values(
            nodes, "size", "som-sizes",
            f"The fullest node holds {number(size.max())} particles, the median "
            f"{number(float(np.median(size)))}",
            "Particles of each node. A few full nodes among empty ones: discrete states. An even "
            "spread: gradual change.", " particles",
        ),
        _values(
            nodes, "neighbour_distance", "som-borders",
            f"Node {int(nodes['node'].iloc[int(np.nanargmax(border))])} differs most from its "
            "neighbours",
            "Mean distance of a node to its neighbours (U-matrix). Bright ridges are borders "
            "between kinds of images.", "",
        ),
    ]  # fmt: skip
    for key, (what, unit) in (PROPERTIES | followed(campaign.metrics[name], chance)).items():
        values = column(nodes, key)
        if values is not None and np.isfinite(values).any():
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            if high - low <= SAME * max(abs(high), 1.0):
                continue
            title = f"Mean {what} of a node goes from {number(low)} to {number(high)}{unit}"
            reading = (
                f"Mean {what} of the particles of each node. If the map follows it from side to "
                "side, it sorts images by this and not by the molecule."
            )
            figures.append(_values(nodes, key, f"som-{key[5:]}", title, reading, unit))
    sure = column(nodes, "mean_membership")
    if sure is not None and np.isfinite(sure).any():
        mean = float(np.nansum(sure * size) / max(size[np.isfinite(sure)].sum(), 1))
        figures.append(
            _values(
                nodes, "mean_membership", "som-membership",
                f"A particle's best node has {percent(mean, 1)} of its probability on average",
                "Mean probability of the particles of each node that they belong there. Low "
                "values in the middle of the map: particles between neighbouring nodes.", "",
            )
        )  # fmt: skip
    return [f for f in figures if f is not None]


def followed(
    metrics: dict[str, Any], chance: float, least: float = 0.1, most: int = 3
) -> dict[str, tuple[str, str]]:
    """Other metadata that the map follows: its nodes explain most of their variance.

    Args:
        metrics: Of the map, with the share `explained` of the variance of each column.
        chance: Share that as many nodes explain of what they do not follow.
        least: Share beyond chance.
        most: Columns to name.
    """
    explained = {f"mean_{label}": share for label, share in metrics.get("explained", {}).items()}
    others = {key: v for key, v in explained.items() if key not in PROPERTIES}
    found = [key for key, share in others.items() if share >= least + chance]
    best = sorted(found, key=lambda key: -others[key])[:most]
    return {key: (key.removeprefix("mean_"), "") for key in best}


def _places(
    nodes: pd.DataFrame, wide: bool = False
) -> tuple[Chart, list[tuple[float, float]], float]:
    """A chart without axes that fits the map, the nodes' corners, and their side."""
    x, y = numbers(nodes, "x"), numbers(nodes, "y")
    side = min((980 if wide else 460) / (np.ptp(x) + 1), 112.0)
    width, height = side * (np.ptp(x) + 1) + 20, side * (np.ptp(y) + 1) + 20
    chart = Chart((0, 1), (0, 1), int(width), int(height), label="Map of images")
    corners = [
        (10 + side * a, 10 + side * b) for a, b in zip(x - x.min(), y - y.min(), strict=True)
    ]
    return chart, corners, side


def map_pictures(
    path: Path, nodes: pd.DataFrame, name: str, title: str, reading: str
) -> Figure | None:
    """The images of a stack, laid out as the map is; a wide one takes the page's whole width."""
    if not path.exists():
        return None
    wide = bool(np.ptp(numbers(nodes, "x")) >= WIDE)
    images = np.asarray(read_header(path).open(), np.float32)
    step = -(-images.shape[-1] // IMAGE_SIDE)
    side = images.shape[-1] // step * step
    images = images[:, :side, :side].reshape(len(images), side // step, step, -1, step)
    images = images.mean(axis=(2, 4))
    used = images[np.ptp(images, axis=(1, 2)) > 0]
    low, high = np.quantile(used, [0.01, 0.995]) if len(used) else (0.0, 1.0)
    chart, corners, width = _places(nodes, wide)
    sizes = numbers(nodes, "size")
    for (x, y), picture, size, node in zip(
        corners, images, sizes, numbers(nodes, "node"), strict=True
    ):
        tip = f"Node {int(node)}: {number(size)} particles"
        if not np.ptp(picture):
            style, side = "fill:var(--soft)", width - 2
            chart.add("rect", x=x, y=y, width=side, height=side, style=style, data_tip=tip)
            continue
        chart.add(
            "image", x=x, y=y, width=width - 2, height=width - 2, data_tip=tip,
            href=png_uri(grey(picture, float(low), float(high))),
        )  # fmt: skip
    return Figure(name, title, chart.svg(), reading, nodes, wide)


def _values(
    nodes: pd.DataFrame, key: str, name: str, title: str, reading: str, unit: str
) -> Figure | None:
    """A column of nodes.tsv as colours on the map."""
    values = column(nodes, key)
    if values is None:
        return None
    chart, corners, side = _places(nodes)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    for (x, y), value, node in zip(corners, values, numbers(nodes, "node"), strict=True):
        known = bool(np.isfinite(value))
        fill, light = heat_colour((value - low) / ((high - low) or 1)) if known else ("", False)
        tip = f"Node {int(node)}: {number(value)}{unit}"
        style = f"fill:{fill or 'var(--soft)'}"
        chart.add("rect", x=x, y=y, width=side - 2, height=side - 2, style=style, data_tip=tip)
        if known and side >= 44:
            ink = f"fill:{'#fff' if light else '#111'}"
            middle = (x + side / 2 - 1, y + side / 2 + 3)
            chart.text(*middle, number(value), style=ink, class_="cell")
    return Figure(name, title, chart.svg(), reading, nodes.loc[:, ["node", "x", "y", key]])
