"""The confounder audit: do the classes follow something that is not the molecule?"""

import numpy as np
import pandas as pd

from emjax.audit.confounders import VIEWING_DIRECTION
from emjax.audit.rigid_body import RIGID_BODY_MOTION
from emjax.consensus.traces import parse_class
from emjax.report.campaign import Campaign
from emjax.report.columns import column, truths
from emjax.report.figure import Figure, plural
from emjax.report.svg import Chart, heat_colour, small

MATTERS = 0.2  # effect size from which a significant confounder is a warning
POSES = (VIEWING_DIRECTION, "shift", RIGID_BODY_MOTION)  # what pose errors look like

NAMES = {
    "shifts": "shift",
}


def flagged(campaign: Campaign) -> pd.DataFrame:
    """Rows of confounders.tsv that deserve a warning."""
    table = campaign.table(campaign.folder.consensus.confounders)
    effect, q = column(table, "effect_size"), column(table, "q_value", "q")
    if effect is None or q is None or "nuisance" not in table:
        return pd.DataFrame(columns=["class", "nuisance", "effect_size"])
    keep = (np.abs(effect) >= MATTERS) & (q < campaign.fdr)
    return table.loc[truths(table, "flag") if "flag" in table else keep]


def say(nuisance: str) -> str:
    """A nuisance in the field's words."""
    return NAMES.get(nuisance, nuisance.replace("_", " "))


def _listed(nuisances: list[str]) -> str:
    names = list(map(say, nuisances))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def confounder_figure(campaign: Campaign) -> Figure | None:
    """Effect size of every nuisance on every class."""
    table = campaign.table(campaign.folder.consensus.confounders)
    if "nuisance" not in table or "class" not in table:
        return None
    several = len(campaign.class_numbers) > 1
    if not several:  # whatever all particles share shows nothing, but a run's classes may
        table = table.loc[[bool(parse_class(str(c))[0]) for c in table["class"]]]
    effect = column(table, "effect_size")
    if effect is None or table.empty:
        return None
    q = column(table, "q_value", "q")
    places = [(str(n), str(c)) for n, c in zip(table["nuisance"], table["class"], strict=True)]
    nuisances = list(dict.fromkeys(n for n, _ in places))
    classes = list(dict.fromkeys(c for _, c in places))
    labels = [c if parse_class(c)[0] else f"class {c}" for c in classes]
    chart = Chart(
        (0, len(nuisances)),
        (len(classes), 0),
        470,
        110 + 34 * len(classes),
        left=max(70, 14 + 7 * max(map(len, labels))),
        top=8,
        bottom=94,
        label="Confounders",
    )
    hits = flagged(campaign)
    marked = [(str(n), str(c)) for n, c in zip(hits["nuisance"], hits["class"], strict=True)]
    for i, (nuisance, own) in enumerate(places):
        x, y = nuisances.index(nuisance), classes.index(own)
        value = float(effect[i])
        if not np.isfinite(value):
            continue
        fill, light = heat_colour(min(abs(value) / 0.5, 1))
        note = "" if q is None or not np.isfinite(q[i]) else f", q = {small(float(q[i]))}"
        chart.bar(
            x,
            x + 1,
            y,
            y + 1,
            f"{labels[y].capitalize()}, {say(nuisances[x])}: effect {value:.3f}{note}",
            fill,
        )
        ink = "#fff" if light else "#111"
        middle = (chart.px(x + 0.5), chart.py(y + 0.5) + 4)
        mark = "!" * ((nuisance, own) in marked)
        chart.text(*middle, f"{value:z.2f}{mark}", style=f"fill:{ink}", class_="cell")
    for nuisance, own in marked:
        x, y = chart.px(nuisances.index(nuisance)), chart.py(classes.index(own))
        width, height = chart.px(1) - chart.px(0), chart.py(1) - chart.py(0)
        chart.add("rect", x=x, y=y, width=width, height=height, class_="warned")
    for j, name in enumerate(nuisances):
        x, base = chart.px(j + 0.5), chart.height - chart.bottom + 16
        chart.text(
            x, base, say(name), "end", class_="tick", transform=f"rotate(-30 {x:.1f} {base})"
        )
    for i, label in enumerate(labels):
        chart.text(chart.left - 6, chart.py(i + 0.5) + 4, label, "end", class_="tick")
    if len(hits):
        what = ", ".join(dict.fromkeys(say(str(n)) for n in hits["nuisance"]))
        count = plural(len(set(hits["class"])), "class correlates", "classes correlate")
        them = "it" if count.startswith("1 ") else "them"
        title = f"{count} with {what}: distrust {them}"
    else:
        title = f"No class reaches the level of a warning for {_listed(nuisances)}"
    return Figure(
        "confounders",
        title,
        chart.svg(),
        "How strongly membership of a class correlates with a property that has nothing to do "
        "with the molecule's state: 0 not at all, 1 entirely. A frame with ! is a warning: from "
        "0.2 if chance does not explain it. For intensity scale and rigid-body motion the number "
        "is the share of the class's difference map that another intensity scale of the particle, "
        "or a small rotation or shift of it, explains; they warn from 0.5. Reproducible is not the "
        "same as true: such a class may be an artefact of poses, CTF or ice that every seed finds."
        + ("" if several else " These are the classes of the best-fitting run."),
        table,
    )
