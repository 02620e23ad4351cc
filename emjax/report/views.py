"""Viewing directions: cells of equal area on the sphere, and how many particles lie in each."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from emjax.io.fields import REFINED_POSE
from emjax.report.campaign import Campaign
from emjax.report.figure import Figure, percent
from emjax.report.svg import colour, element, heat_colour

PER_CELL = 20  # particles of a map that a cell holds on average
FEWEST_BANDS, MOST_BANDS = 3, 12  # of cells from pole to pole
OTHER = 0.05  # of a class's particles: from it on, its views are named as others
MOST_MAPS = 25  # drawn; the CSV has all
CROWDED = 4.0  # times as many particles as if spread evenly: brightest colour
WIDTH, HEIGHT = 230, 115  # pixels of a map of the sphere
COLUMNS = 4


@dataclass(frozen=True)
class Cells:
    """Directions in cells of equal area: bands of equal height on the unit sphere."""

    bands: int

    @property
    def n(self) -> int:
        """Number of cells."""
        return 2 * self.bands**2

    def place(self, rot: np.ndarray, tilt: np.ndarray) -> np.ndarray:
        """Cell of each direction, in degrees."""
        around = ((rot + 180) % 360) / 360 * 2 * self.bands
        down = (1 - np.cos(np.deg2rad(tilt))) / 2 * self.bands
        column = np.minimum(around.astype(int), 2 * self.bands - 1)
        return np.minimum(down.astype(int), self.bands - 1) * 2 * self.bands + column

    def count(self, rot: np.ndarray, tilt: np.ndarray) -> np.ndarray:
        """Directions in each cell."""
        return np.bincount(self.place(rot, tilt), minlength=self.n)

    def edges(self, i: int) -> tuple[float, float, float, float]:
        """First and last rot in degrees, lowest and highest cosine of the tilt."""
        band, column = divmod(i, 2 * self.bands)
        rot, height = -180 + 180 * column / self.bands, 1 - 2 * band / self.bands
        return rot, rot + 180 / self.bands, height - 2 / self.bands, height

    def said(self, i: int) -> str:
        """The directions of a cell in words."""
        rot, end, low, high = self.edges(i)
        top, bottom = (np.rad2deg(np.arccos(np.clip(z, -1, 1))) for z in (high, low))
        return f"rot {rot:.0f} to {end:.0f}°, tilt {top:.0f} to {bottom:.0f}°"


def cells_for(n_particles: int) -> Cells:
    """Cells so large that counts say more than chance."""
    return Cells(int(np.clip(np.sqrt(n_particles / PER_CELL / 2), FEWEST_BANDS, MOST_BANDS)))


def directions(campaign: Campaign) -> tuple[np.ndarray, np.ndarray] | None:
    """Rot and tilt of every particle in degrees, refined ones where there are; None without."""
    known = campaign.particles
    names = REFINED_POSE[:2] if REFINED_POSE[0] in known else ("rlnAngleRot", "rlnAngleTilt")
    return (known[names[0]], known[names[1]]) if names[1] in known else None


def on_map(rot: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of directions (rot in degrees, cosine of the tilt) on a map of equal areas, −1..1.

    Source: Hammer, Petermanns Mitteilungen 38 (1892) 85.
    """
    half, cosine = np.deg2rad(rot) / 2, np.sqrt(np.clip(1 - height**2, 0, 1))
    scale = np.sqrt(1 + cosine * np.cos(half))
    return cosine * np.sin(half) / scale, height / scale


def views_figure(campaign: Campaign) -> Figure | None:
    """Maps of the sphere of viewing directions, of all particles and of each class."""
    found = directions(campaign)
    classes = campaign.particles.get("rlnClassNumber")
    if found is None or classes is None:
        return None
    there = campaign.takes_part & np.isfinite(found[0]) & np.isfinite(found[1])
    if not there.any():
        return None
    several = campaign.class_numbers if len(campaign.class_numbers) > 1 else []
    groups = {0: there} | {c: there & (classes == c) for c in several}
    cells = cells_for(int(there.sum()))
    counts = {c: cells.count(found[0][own], found[1][own]) for c, own in groups.items()}
    drawn = {c: (found[0][own], found[1][own]) for c, own in list(groups.items())[:MOST_MAPS]}
    return Figure(
        "views", _title(counts), _drawing(drawn),
        "Maps of the sphere that keep areas: tilt 0° on top, rot 0° in the middle. The colour says "
        "how many particles lie in each direction, against an even spread of as many: dark blue, "
        f"none; yellow, {CROWDED:g} times as many or more. Few bright views on a dark ground are "
        "preferred orientations, in which a map is smeared out. A class that has other views than "
        "all particles together may be views, not a state.",
        _table(cells, counts), wide=len(counts) > 1,
    )  # fmt: skip


def _title(counts: dict[int, np.ndarray]) -> str:
    """How unevenly all particles look, and the class that looks most differently."""
    every = counts[0]
    most = np.sort(every)[::-1][: max(1, len(every) // 10)]
    title = (
        f"Particles cover {percent((every > 0).sum(), len(every))} of the viewing directions; the "
        f"densest tenth of them holds {percent(most.sum(), every.sum())}"
    )
    apart = {c: _apart(own, every) for c, own in counts.items() if c and own.any()}
    if not apart:
        return title
    other = max(apart, key=lambda c: apart[c])
    if apart[other] < OTHER:
        return f"{title}; all classes have the same views (to {percent(OTHER, 1)} of a class)"
    share = percent(apart[other], 1)
    return f"{title}; {share} of class {other} have other views than all"


def _apart(own: np.ndarray, every: np.ndarray) -> float:
    """Share of a class's particles that would have to turn to look like all, above chance."""
    share = every / every.sum()
    expected = own.sum() * share
    # Mean absolute deviation of counts that are drawn from all particles alike.
    chance = np.sqrt(2 / np.pi * expected * (1 - share)).sum() / 2
    return max(0.0, (np.abs(own - expected).sum() / 2 - chance) / own.sum())


def _drawing(views: dict[int, tuple[np.ndarray, np.ndarray]]) -> Markup:
    columns = min(COLUMNS, len(views))
    rows = -(-len(views) // columns)
    # A map by itself is no larger than one of several.
    width, height = max(columns, 2) * (WIDTH + 10), rows * (HEIGHT + 34) + 46
    left = (width - columns * (WIDTH + 10)) // 2 + 5
    parts = []
    for k, (c, own) in enumerate(views.items()):
        row, column = divmod(k, columns)
        parts.append(_map(c, *own, left + column * (WIDTH + 10), row * (HEIGHT + 34) + 24))
    parts.append(_key(width, height))
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" '
        f'viewBox="0 0 {width} {height}" aria-label="Viewing directions">{"".join(parts)}</svg>'
    )


def _outline(cells: Cells, i: int) -> str:
    """Path of a cell on the map, whose sides are curves."""
    rot, end, low, high = cells.edges(i)
    points = 3 if cells.bands > 6 else 9
    along, down = np.linspace(rot, end, points), np.linspace(high, low, points)
    sides = [(along, high), (end, down), (along[::-1], low), (rot, down[::-1])]
    ends = [np.broadcast_arrays(*map(np.asarray, side)) for side in sides]
    x, y = on_map(*(np.concatenate([side[k] for side in ends]).astype(float) for k in (0, 1)))
    pixels = zip((x + 1) * WIDTH / 2, (1 - y) * HEIGHT / 2, strict=True)
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in pixels) + "Z"


def _map(c: int, rot: np.ndarray, tilt: np.ndarray, x: int, y: int) -> str:
    """One map of the sphere with its name above it."""
    cells = cells_for(len(rot))
    own = cells.count(rot, tilt)
    even = max(len(rot) / cells.n, 1e-12)
    parts = []
    for i, count in enumerate(own.tolist()):
        times = count / even
        tip = f"{cells.said(i)}: {count:,} particles, {times:.2g} times an even spread"
        fill = heat_colour(times / CROWDED)[0]
        style = f"fill:{fill};stroke:{fill};stroke-width:.4"
        parts.append(element("path", d=_outline(cells, i), style=style, data_tip=tip))
    name = f"class {c}: {len(rot):,}" if c else f"all particles: {len(rot):,}"
    label = element("text", name, x=WIDTH / 2, y=-7, text_anchor="middle", class_="tick")
    if c:
        label += element(
            "rect",
            x=WIDTH / 2 - 3.3 * len(name) - 14,
            y=-17,
            width=10,
            height=10,
            style=f"fill:{colour(c - 1)}",
        )
    return element("g", "".join(parts) + label, transform=f"translate({x} {y})")


def _key(width: int, height: int) -> str:
    """What the colours mean."""
    steps, x, y = 40, width / 2 - 100, height - 32
    parts = [
        element("rect", x=x + 5 * i, y=y, width=5.3, height=9,
                style=f"fill:{heat_colour(i / (steps - 1))[0]}")
        for i in range(steps)
    ]  # fmt: skip
    for times in range(int(CROWDED) + 1):
        name = f"{times}×" if times < CROWDED else f"≥ {times}×"
        at = x + 200 * times / CROWDED
        parts.append(element("text", name, x=at, y=y + 24, text_anchor="middle", class_="tick"))
    return "".join(parts)


def _table(cells: Cells, counts: dict[int, np.ndarray]) -> pd.DataFrame:
    """Particles of each cell, of all and of each class."""
    edges = np.array([cells.edges(i) for i in range(cells.n)])
    tilt = np.rad2deg(np.arccos(np.clip(edges[:, 2:], -1, 1)))
    where = {
        "rot_from": edges[:, 0], "rot_to": edges[:, 1],
        "tilt_from": tilt[:, 1], "tilt_to": tilt[:, 0],
    }  # fmt: skip
    own = {f"class_{c}" if c else "all": count for c, count in counts.items()}
    return pd.DataFrame(where | own)
