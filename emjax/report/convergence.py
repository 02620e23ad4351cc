"""How the runs went, iteration by iteration."""

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign
from emjax.report.endings import ending, endings_sentence, has_coarse, history, of_stage
from emjax.report.figure import Figure, plural
from emjax.report.svg import DASHES, Chart, number, series, ticks

MOST_CURVES = 24

_CURVES = {
    "log_likelihood": ("log-likelihood per particle", "log-likelihood", 1.0),
    "switched": ("particles that changed class (%)", "switching", 100.0),
    "rms_change": ("change of the maps (%)", "change", 100.0),
}


def curve(rows: list[dict], quantity: str) -> tuple[list[float], list[float]]:
    """Iterations and values of a quantity, fractions in per cent.

    The log-likelihood of coarse frequencies does not compare with that of all: it is left out, as
    is the first with all frequencies, which still scores the coarse maps. So are the
    last iterations, whose differences are filtered: they no longer search.
    """
    rows = [r for r in rows if quantity in r]
    rows = [r for r in rows if r.get("stage") != "last"]
    if quantity == "log_likelihood" and has_coarse(rows):
        rows = of_stage(rows, "full")
        rows = rows[1:] if len(rows) > 2 else rows
    factor = _CURVES[quantity][2]
    xs = [float(r.get("iteration", i + 1)) for i, r in enumerate(rows)]
    return xs, [factor * float(r[quantity]) for r in rows]


def convergence_figure(campaign: Campaign, quantity: str) -> Figure | None:
    """One curve per run over its iterations."""
    label, short, factor = _CURVES[quantity]
    found = {name: curve(history(m), quantity) for name, m in campaign.metrics.items()}
    curves = {name: values for name, values in found.items() if len(values[0]) > 1}
    if not curves:
        return None
    shown = list(curves)[:: max(1, len(curves) // MOST_CURVES)]
    values = np.concatenate([curves[n][1] for n in shown])
    low, high = float(values.min()), float(values.max())
    pad = (high - low) * 0.05 or 1.0
    first, last = (pick(curves[n][0][end] for n in shown) for pick, end in ((min, 0), (max, -1)))
    known = campaign.run_classes()
    sizes = {name: known.get(name, 0) for name in shown}
    kinds = sorted(set(sizes.values()))
    chart = Chart(
        (first, max(last, first + 1)),
        (max(low - pad, 0) if factor > 1 else low - pad, high + pad),
        label=f"{short} by iteration",
        top=14 if len(kinds) < 2 else 18 + 16 * -(-len(kinds) // 4),
    )
    whole = [t for t in ticks(first, max(last, first + 1), 6) if t == int(t)]
    chart.axes("iteration", label, [(t, number(t)) for t in whole])
    if len(kinds) > 1:
        names = [(plural(k, "class", "classes"), series(i)) for i, k in enumerate(kinds)]
        chart.legend(names, dashes=[DASHES[i % len(DASHES)] for i in range(len(kinds))])
    if quantity == "switched" and (limit := _limit(campaign, curves)):
        chart.rule(y=100 * limit, name=f"switch_convergence, {100 * limit:g} %")
    unit = " %" if factor > 1 else ""
    for name in shown:
        xs, ys = curves[name]
        kind = kinds.index(sizes[name])
        ink, dashes = series(kind), DASHES[kind % len(DASHES)]
        chart.line(xs, ys, ink, stroke_dasharray=dashes)
        for x, y in zip(xs, ys, strict=True):
            chart.dot(x, y, f"{name}, iteration {int(x)}: {short} {number(y)}{unit}", ink, 2.5)
    rows = [(n, x, y) for n, (xs, ys) in curves.items() for x, y in zip(xs, ys, strict=True)]
    data = pd.DataFrame(rows, columns=["run", "iteration", quantity])
    title, reading = _words(campaign, quantity, curves)
    return Figure(f"convergence-{short}", title, chart.svg(), reading, data)


def _limit(campaign: Campaign, curves: dict) -> float:
    """switch_convergence, where all runs have the same."""
    found = {e.limits[0] for name in curves if (e := ending(campaign.metrics[name]))}
    return found.pop() if len(found) == 1 else 0.0


def _words(campaign: Campaign, quantity: str, curves: dict) -> tuple[str, str]:
    """Title and reading of a convergence figure."""
    if quantity == "switched":
        final = [ys[-1] for _, ys in curves.values()]
        title = f"In the last iteration of the search at most {max(final):.1f} % of the particles "
        title += "of a run changed class"
        return title, (
            "A run is stopped when fewer particles than the dashed line change class, or when the "
            "maps change by less than rms_convergence: classes that still exchange particles then "
            "differ little, and may still have been growing apart. The last iterations, which only "
            "filter, are left out."
        )
    gains = [e.gain for name in curves if (e := ending(campaign.metrics[name]))]
    title = endings_sentence(campaign)
    if not title:
        done = sum(bool(campaign.metrics[name].get("converged")) for name in curves)
        title = f"{done} of {plural(len(curves), 'run')} converged"
    coarse = any(has_coarse(history(campaign.metrics[name])) for name in curves)
    reading = "How well the classes explain the images; only differences matter, and only between "
    reading += "runs with as many classes. "
    if gains and np.isfinite(gains).any():
        reading += (
            f"In the last iteration the log-likelihood rose by at most {number(np.nanmax(gains))} "
            "per particle. "
        )
    reading += (
        "The first iterations, without the finest frequencies, are left out: they explain less of "
        "the images."
        if coarse
        else "Dips in the first iterations come from annealing, which starts with all classes "
        "equal."
    )
    return title, reading
