"""Parts that only some campaigns have: 2D maps, superclasses, subspace landscape, noise."""

import numpy as np

from emjax.report.campaign import Campaign
from emjax.report.columns import column
from emjax.report.figure import Figure
from emjax.report.svg import Chart, number, resolution_ticks


def rebalance_notes(campaign: Campaign) -> list[str]:
    """What the rebalancing did, in sentences."""
    found, folder = campaign.rebalance, campaign.folder.rebalance
    notes = [str(found["warning"])] if found.get("warning") else []
    if "kept" in found and "cap" in found:
        none, left = found.get("unassigned", 0), found["excluded"]
        of_none = ", which have no class." if none == left else f", {number(none)} of no class."
        notes.append(
            f"{number(found['kept'])} of {number(found['kept'] + found['excluded'])} particles are "
            f"kept in {campaign.link(folder.kept.star)}, the others in {folder.excluded.star.name}"
            + (of_none if none else ".")
        )
    return notes


def rebalance_rows(campaign: Campaign) -> tuple[list[str], list[list[str]]]:
    """superclasses.tsv for reading."""
    table = campaign.table(campaign.folder.rebalance.superclasses)
    return [c.replace("_", " ") for c in table.columns], [
        [number(v) if isinstance(v, int | float) else str(v) for v in row]
        for row in table.itertuples(index=False)
    ]


def noise_figure(campaign: Campaign) -> Figure | None:
    """FSC of the mean map and where the filter cuts."""
    table = campaign.table(campaign.folder.prepare.noise)
    f, fsc = column(table, "frequency_per_angstrom"), column(table, "mean_fsc")
    if f is None or fsc is None or not np.isfinite(fsc).any():
        return None
    f, fsc = f[np.isfinite(fsc)], fsc[np.isfinite(fsc)]
    chart = Chart((0, float(f.max())), (-0.1, 1.05), height=260, label="FSC of the mean map")
    marks = resolution_ticks(float(f.max()))
    chart.axes("resolution (Å)", "FSC of half-maps (masked)", marks)
    chart.line(f.tolist(), fsc.tolist())
    for x, y in zip(f, fsc, strict=True):
        chart.dot(x, y, f"{1 / x:.1f} Å: FSC {y:.3f}", r=2.5)
    limit = float(
        campaign.preparation.get("filter_resolution")
        or campaign.config.get("filter_resolution")
        or 0
    )
    at = float(np.interp(1 / limit, f, fsc)) if limit else float("nan")
    title = "Half-maps of all particles together"
    if limit and 1 / limit <= f.max():
        chart.rule(x=1 / limit, name=f"filter at {limit:g} Å")
        title = f"At the filter of {limit:g} Å the FSC of the mean map's halves is {at:z.2f}"
    return Figure(
        "mean-fsc",
        title,
        chart.svg(),
        "Classification looks only at what lies left of the filter line. Where the curve is low "
        "there, poses or particle number are the first thing to improve.",
        table,
    )
