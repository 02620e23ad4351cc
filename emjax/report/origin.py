"""Where particles that fit nothing come from: micrographs and viewing directions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from emjax.consensus.significance import adjust_fdr
from emjax.io.fields import MICROGRAPH_NAME
from emjax.report.aside import FIT_NOTHING
from emjax.report.campaign import Campaign
from emjax.report.figure import Figure, percent, plural
from emjax.report.svg import WARN, Chart, heat_colour, small
from emjax.report.views import Cells, directions

WORST = 10  # micrographs shown
MOST_NAME = 34  # characters of a micrograph's name
PER_VIEW = 25  # particles that a direction's cell holds on average
MOST_BANDS = 9  # of directions from pole to pole


@dataclass(frozen=True)
class Excess:
    """Particles of each place, those set aside, and how unlikely so many are by chance."""

    total: np.ndarray
    aside: np.ndarray
    p_value: np.ndarray
    q_value: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Share of the particles that is set aside; 0 where there are none."""
        return self.aside / np.maximum(self.total, 1)

    def table(self) -> dict[str, np.ndarray]:
        """Columns, one row per place."""
        counted = {"particles": self.total, "set_aside": self.aside}
        return counted | {"p_value": self.p_value, "q_value": self.q_value}

    def said(self, i: int) -> str:
        """The numbers of one place."""
        particles = plural(self.total[i], "particle")
        return f"{self.aside[i]} of {particles}, q = {small(self.q_value[i])}"


def excess(place: np.ndarray, aside: np.ndarray, n_places: int) -> Excess:
    """Whether more particles of a place are set aside than if they were drawn at random.

    Args:
        place: number (from 0) of each particle's micrograph or direction.
        aside: whether each fits nothing.
        n_places: micrographs or directions.
    """
    total = np.bincount(place, minlength=n_places)
    found = np.bincount(place, aside, n_places).astype(int)
    p = hypergeom.sf(found - 1, len(place), int(aside.sum()), total)
    q, there = np.ones(n_places), total > 0
    q[there] = adjust_fdr(p[there], int(there.sum()))
    return Excess(total, found, p, q)


def origin_figures(campaign: Campaign) -> list[Figure]:
    """Where particles that fit nothing come from; empty where there is none."""
    aside = np.isin(campaign.reasons, FIT_NOTHING)
    if not aside.any() or aside.all():
        return []
    found = [micrograph_figure(campaign, aside), view_figure(campaign, aside)]
    return [figure for figure in found if figure is not None]


def micrograph_figure(campaign: Campaign, aside: np.ndarray) -> Figure | None:
    """The micrographs that lose most, beside the share of all."""
    of_particle = campaign.particles.get(MICROGRAPH_NAME)
    if of_particle is None:
        return None
    names, place = np.unique(of_particle, return_inverse=True)
    if len(names) < 2:
        return None
    found = excess(place, aside, len(names))
    order = np.argsort(found.p_value, kind="stable")
    worst, share = order[:WORST], 100 * found.share
    chart = Chart(
        (0, max(float(share[worst].max()), 1.0) * 1.3), (len(worst), 0),
        480, 70 + 24 * len(worst), left=40 + 6 * MOST_NAME, label="Micrographs",
    )  # fmt: skip
    chart.axes("particles that fit nothing (%)", "", y_ticks=[])
    for row, i in enumerate(worst.tolist()):
        fill = WARN if found.q_value[i] < campaign.fdr else "var(--soft)"
        end = float(share[i])
        chart.bar(0, end, row + 0.14, row + 0.86, f"{names[i]}: {found.said(i)}", fill)
        y, count = chart.py(row + 0.5) + 4, f"{found.aside[i]} of {found.total[i]}"
        chart.text(chart.left - 6, y, _short(str(names[i])), "end", class_="tick")
        chart.text(chart.px(end) + 5, y, count, "start", class_="note")
    chart.rule(x=100 * aside.mean())
    many = found.q_value < campaign.fdr
    title = f"What fits nothing is spread over the {len(names):,} micrographs as chance would"
    if many.any():
        verb = "has" if many.sum() == 1 else "have"
        title = (
            f"{plural(many.sum(), 'micrograph')} of {len(names):,} {verb} more of what fits "
            f"nothing than chance explains: {percent(found.aside[many].sum(), aside.sum())} of it"
        )
    return Figure(
        "aside-micrographs", title, chart.svg(),
        f"The {len(worst)} micrographs with the most unlikely counts; dashed, the share of all. "
        "Yellow: more than chance explains, at the false-discovery rate asked for. Look at these: "
        "thick ice, carbon or crystals are often on few of them.",
        pd.DataFrame({"micrograph": names} | found.table()).iloc[order],
    )  # fmt: skip


def view_figure(campaign: Campaign, aside: np.ndarray) -> Figure | None:
    """Share of particles that fit nothing by viewing direction."""
    known = directions(campaign)
    if known is None:
        return None
    cells = Cells(int(np.clip(np.sqrt(len(aside) / PER_VIEW / 2), 3, MOST_BANDS)))
    found = excess(cells.place(*known), aside, cells.n)
    chart = Chart((-180, 180), (-1, 1), 480, 300, left=64, label="Viewing directions")
    tilts = [(np.cos(np.deg2rad(t)), f"{t}°") for t in (0, 45, 60, 90, 120, 135, 180)]
    chart.axes("rot", "tilt", [(r, f"{r}°") for r in (-180, -90, 0, 90, 180)], tilts)
    top = float(found.share.max())
    many = found.q_value < campaign.fdr
    for i in np.flatnonzero(found.total).tolist():
        rot, end, low, high = cells.edges(i)
        tip = f"{cells.said(i)}: {found.said(i)}"
        chart.bar(rot, end, low, high, tip, heat_colour(found.share[i] / top)[0])
    for rot, end, low, high in map(cells.edges, np.flatnonzero(many).tolist()):
        x, y, right, bottom = chart.px(rot), chart.py(high), chart.px(end), chart.py(low)
        chart.add("rect", x=x, y=y, width=right - x, height=bottom - y, class_="square")
    title = "No viewing direction has more of what fits nothing than chance explains"
    if many.any():
        verb = "has" if many.sum() == 1 else "have"
        title = (
            f"{plural(many.sum(), 'viewing direction')} of {(found.total > 0).sum()} {verb} more "
            "of what fits nothing than chance explains"
        )
    edges = np.array([cells.edges(i) for i in range(cells.n)])
    where = {"rot_from": edges[:, 0], "tilt_from": np.rad2deg(np.arccos(edges[:, 3]))}
    return Figure(
        "aside-views", title, chart.svg(),
        f"Share of the particles in each direction that fits nothing: dark, none; yellow, "
        f"{percent(top, 1)}. Framed: more than chance explains, at the false-discovery rate asked "
        "for. A refinement puts images without a particle where noise correlates best, often into "
        "a few directions.",
        pd.DataFrame(where | found.table()),
    )  # fmt: skip


def _short(name: str) -> str:
    """The end of a path, its middle left out where it is long."""
    name = name.replace("\\", "/").rpartition("/")[2]
    half = MOST_NAME // 2 - 1
    return name if len(name) <= MOST_NAME else f"{name[:half]}…{name[-half:]}"
