"""Where particles that fit nothing come from: micrographs and viewing directions."""

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from emjax.consensus.significance import adjust_fdr
from emjax.io.fields import MICROGRAPH_NAME, REFINED_POSE
from emjax.report.aside import FIT_NOTHING
from emjax.report.campaign import Campaign
from emjax.report.figure import Figure, percent, plural
from emjax.report.svg import Chart, colour, heat_colour, small

WORST = 10  # micrographs shown
MOST_NAME = 34  # characters of a micrograph's name
PER_VIEW = 25  # particles that a direction's cell holds on average
MOST_BANDS = 9  # of directions from pole to pole


def excess(place: np.ndarray, aside: np.ndarray, n_places: int) -> pd.DataFrame:
    """Particles of each place, those set aside, and the q-value of so many by chance.

    Args:
        place: number (from 0) of each particle's micrograph or direction.
        aside: whether each fits nothing.
        n_places: micrographs or directions.
    """
    total = np.bincount(place, minlength=n_places)
    found = np.bincount(place, aside, n_places).astype(int)
    n, k = len(place), int(aside.sum())
    p = hypergeom.sf(found - 1, n, k, total)
    q, there = np.ones(n_places), total > 0
    q[there] = adjust_fdr(p[there], int(there.sum()))
    return pd.DataFrame({"particles": total, "set_aside": found, "p_value": p, "q_value": q})


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
    table = excess(place, aside, len(names))
    table.insert(0, "micrograph", names)
    table = table.sort_values(["p_value", "micrograph"], ignore_index=True)
    worst = table.head(WORST)
    share = 100 * worst["set_aside"] / worst["particles"]
    chart = Chart(
        (0, max(float(share.max()), 1.0) * 1.3), (len(worst), 0), 480, 70 + 24 * len(worst),
        left=40 + 6 * MOST_NAME, label="Micrographs",
    )  # fmt: skip
    chart.axes("particles that fit nothing (%)", "", y_ticks=[])
    for i, row in enumerate(worst.itertuples()):
        many = row.q_value < campaign.fdr
        tip = (
            f"{row.micrograph}: {row.set_aside} of {plural(row.particles, 'particle')}, "
            f"q = {small(row.q_value)}"
        )
        chart.bar(0, share[i], i + 0.14, i + 0.86, tip, colour(1) if many else "var(--soft)")
        y, count = chart.py(i + 0.5) + 4, f"{row.set_aside} of {row.particles}"
        chart.text(chart.left - 6, y, _short(row.micrograph), "end", class_="tick")
        chart.text(chart.px(share[i]) + 5, y, count, "start", class_="note")
    chart.rule(x=100 * aside.mean())
    significant = int((table["q_value"] < campaign.fdr).sum())
    if significant:
        held = int(table["set_aside"][:significant].sum())
        title = (
            f"{plural(significant, 'micrograph')} of {len(names):,} "
            f"{'has' if significant == 1 else 'have'} more of what fits nothing than chance "
            f"explains: {percent(held, aside.sum())} of it"
        )
    else:
        title = f"What fits nothing is spread over the {len(names):,} micrographs as chance would"
    return Figure(
        "aside-micrographs", title, chart.svg(),
        f"The {len(worst)} micrographs with the most unlikely counts; dashed, the share of all. "
        "Orange: more than chance explains, at the false-discovery rate asked for. Look at these: "
        "thick ice, carbon or crystals are often on few of them.",
        table,
    )  # fmt: skip


def view_figure(campaign: Campaign, aside: np.ndarray) -> Figure | None:
    """Share of particles that fit nothing by viewing direction, in cells of equal area."""
    known = campaign.particles
    names = REFINED_POSE[:2] if REFINED_POSE[0] in known else ("rlnAngleRot", "rlnAngleTilt")
    if names[1] not in known:
        return None
    rot, height = (known[names[0]] + 180) % 360 - 180, np.cos(np.deg2rad(known[names[1]]))
    bands = int(np.clip(np.sqrt(len(rot) / PER_VIEW / 2), 3, MOST_BANDS))
    column = np.minimum(((rot + 180) / 360 * 2 * bands).astype(int), 2 * bands - 1)
    band = np.minimum(((1 - height) / 2 * bands).astype(int), bands - 1)
    table = excess(band * 2 * bands + column, aside, 2 * bands**2)
    share = table["set_aside"] / np.maximum(table["particles"], 1)
    chart = Chart((-180, 180), (-1, 1), 480, 300, left=64, label="Viewing directions")
    tilts = [(np.cos(np.deg2rad(t)), f"{t}°") for t in (0, 45, 60, 90, 120, 135, 180)]
    chart.axes("rot", "tilt", [(r, f"{r}°") for r in (-180, -90, 0, 90, 180)], tilts)
    top = max(float(share.max()), 1e-9)
    marked = []
    for i, row in enumerate(table.itertuples()):
        if not row.particles:
            continue
        b, c = divmod(i, 2 * bands)
        x0, x1 = -180 + 180 * c / bands, -180 + 180 * (c + 1) / bands
        y1, y0 = 1 - 2 * b / bands, 1 - 2 * (b + 1) / bands
        tip = (
            f"rot {x0:.0f} to {x1:.0f}°, tilt {_tilt(y1):.0f} to {_tilt(y0):.0f}°: "
            f"{row.set_aside} of {plural(row.particles, 'particle')}, q = {small(row.q_value)}"
        )
        chart.bar(x0, x1, y0, y1, tip, heat_colour(share[i] / top)[0])
        if row.q_value < campaign.fdr:
            marked.append((x0, x1, y0, y1))
    for x0, x1, y0, y1 in marked:
        x, y, width, side = chart.px(x0), chart.py(y1), chart.px(x1), chart.py(y0)
        chart.add("rect", x=x, y=y, width=width - x, height=side - y, class_="square")
    title = "No viewing direction has more of what fits nothing than chance explains"
    if marked:
        verb = "has" if len(marked) == 1 else "have"
        title = (
            f"{plural(len(marked), 'viewing direction')} of {int((table['particles'] > 0).sum())} "
            f"{verb} more of what fits nothing than chance explains"
        )
    return Figure(
        "aside-views", title, chart.svg(),
        f"Share of the particles in each direction that fits nothing: dark, none; yellow, "
        f"{percent(top, 1)}. Framed: more than chance explains, at the false-discovery rate asked "
        "for. A refinement puts images without a particle where noise correlates best, often into "
        "a few directions.",
        table.assign(rot_from=-180 + 180 * (np.arange(len(table)) % (2 * bands)) / bands,
                     tilt_from=_tilt(1 - 2 * (np.arange(len(table)) // (2 * bands)) / bands)),
    )  # fmt: skip


def _tilt(height: float | np.ndarray) -> float | np.ndarray:
    """Tilt in degrees of a height on the unit sphere."""
    return np.rad2deg(np.arccos(np.clip(height, -1, 1)))


def _short(name: str) -> str:
    """The end of a path, its middle left out where it is long."""
    name = name.replace("\\", "/").rpartition("/")[2]
    half = MOST_NAME // 2 - 1
    return name if len(name) <= MOST_NAME else f"{name[:half]}…{name[-half:]}"
