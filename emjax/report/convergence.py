"""Did each run settle, and how sure are its assignments."""

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign
from emjax.report.figure import Figure, percent, plural
from emjax.report.number import chosen_number
from emjax.report.svg import Chart, colour, number, ticks

MOST_CURVES = 24


def history(metrics: dict) -> list[dict]:
    """The iterations of a run as metrics.json has them."""
    value = metrics.get("history")
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


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


def of_stage(rows: list[dict], stage: str) -> list[dict]:
    """The iterations of a stage: online, coarse, full or last."""
    return [r for r in rows if r.get("stage") == stage]


def has_coarse(rows: list[dict]) -> bool:
    """Whether some iterations left the finest frequencies out."""
    return bool(of_stage(rows, "coarse"))


def convergence_figure(campaign: Campaign, quantity: str) -> Figure | None:
    """One curve per run over its iterations."""
    label, short, factor = _CURVES[quantity]
    found = {name: curve(history(m), quantity) for name, m in campaign.metrics.items()}
    curves = {name: values for name, values in found.items() if len(values[0]) > 1}
    coarse = any(has_coarse(history(campaign.metrics[name])) for name in curves)
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
        chart.legend([plural(k, "class", "classes") for k in kinds])
    unit = " %" if factor > 1 else ""
    for name in shown:
        xs, ys = curves[name]
        hue = kinds.index(sizes[name])
        chart.line(xs, ys, hue)
        for x, y in zip(xs, ys, strict=True):
            chart.dot(x, y, f"{name}, iteration {int(x)}: {short} {number(y)}{unit}", hue, 2.5)
    rows = [(n, x, y) for n, (xs, ys) in curves.items() for x, y in zip(xs, ys, strict=True)]
    data = pd.DataFrame(rows, columns=["run", "iteration", quantity])
    if quantity == "switched":
        final = [ys[-1] for _, ys in curves.values()]
        title = (
            f"At the end at most {max(final):.1f} % of the particles still change class"
            if max(final) > 0
            else "At the end no particle changes class any more"
        )
        reading = "A run has settled when almost no particle changes class any more."
    else:
        done = [bool(campaign.metrics[name].get("converged")) for name in curves]
        title = f"{sum(done)} of {plural(len(done), 'run')} converged"
        reading = (
            "How well the classes explain the images (higher is better; only differences matter). "
        )
        reading += (
            "The first iterations, without the finest frequencies, are left out: they explain "
            "less of the images."
            if coarse
            else "Dips in the first iterations come from annealing, which starts with all "
            "classes equal."
        )
    return Figure(f"convergence-{short}", title, chart.svg(), reading, data)


def best_run(campaign: Campaign) -> str | None:
    """The best-fitting run that wrote posteriors, of those nearest in number to the consensus."""
    fit, k = campaign.fitted_runs(), campaign.run_classes()
    wanted = chosen_number(campaign)
    names = sorted(fit, key=lambda n: (abs(k.get(n, 0) - wanted), -fit[n]))
    names = names or campaign.run_names()
    return next((n for n in names if campaign.folder.run(n).posteriors.exists()), None)


def posteriors_of(campaign: Campaign, name: str | None) -> np.ndarray | None:
    """Class probabilities of the particles that have a class in a run."""
    found = campaign.array(campaign.folder.run(name).posteriors) if name else None
    return None if found is None else found[found.any(axis=1)]


def ess_figure(campaign: Campaign, name: str | None) -> Figure | None:
    """Effective number of classes that a particle is spread over, in a run."""
    posteriors = posteriors_of(campaign, name)
    if posteriors is None:
        return None
    step = max(1, len(posteriors) // 200_000)
    p = posteriors[::step].astype(float)
    if not ((p > 0) & (p < 1)).any():
        return None  # nothing but labels
    # Rounding may make the sum of probabilities a little more than 1.
    ess = np.clip(1 / (p**2).sum(axis=1), 1, max(p.shape[1], 2))
    counts, edges = np.histogram(ess, bins=20, range=(1, max(p.shape[1], 2)))
    share = 100 * counts / max(len(p), 1)
    chart = Chart((1, float(edges[-1])), (0, float(share.max()) * 1.08), label="Effective classes")
    chart.axes("effective number of classes of a particle", "particles (%)")
    for s, a, b in zip(share, edges[:-1], edges[1:], strict=True):
        chart.bar(
            a,
            b - 0.02 * (b - a),
            0,
            s,
            f"{s:.1f} % of particles: {a:.2f} to {b:.2f} classes",
            colour(0),
        )
    sure = float((ess < 1.2).mean())
    return Figure(
        "ess",
        f"{percent(sure, 1)} of the particles are assigned to a single class in {name}",
        chart.svg(),
        "1 divided by the sum of squared class probabilities: 1 is a clear decision, 2 a coin "
        "toss between two classes. Beware: probabilities near 1 say that the maps differ, not "
        "that the difference is real.",
        pd.DataFrame({"from": edges[:-1], "to": edges[1:], "percent": share}),
    )


def mass_figure(campaign: Campaign, name: str | None) -> Figure | None:
    """Particles counted by their best class in a run, beside the sum of their probabilities."""
    posteriors = posteriors_of(campaign, name)
    if posteriors is None:
        return None
    k = posteriors.shape[1]
    count = np.bincount(posteriors.argmax(axis=1), minlength=k).astype(float)
    mass = posteriors.sum(axis=0, dtype=float)
    chart = Chart(
        (0.4, k + 0.6),
        (0, float(max(count.max(), mass.max())) * 1.08),
        top=34,
        left=70,
        label="Counts and probability mass",
    )
    chart.axes("class", "particles", [(i, str(i)) for i in range(1, k + 1)][:: max(1, k // 12)])
    chart.legend(["assigned", "sum of probabilities"], 3)
    for i in range(k):
        chart.bar(
            i + 0.63,
            i + 0.99,
            0,
            count[i],
            f"Class {i + 1}: {number(count[i])} assigned",
            colour(0),
        )
        chart.bar(
            i + 1.01,
            i + 1.37,
            0,
            mass[i],
            f"Class {i + 1}: probability mass {mass[i]:,.0f}",
            colour(1),
        )
    gap = float(np.abs(count - mass).sum() / max(count.sum(), 1) / 2)
    return Figure(
        "mass",
        f"Counts and probabilities differ by {percent(gap, 1)} of the particles in {name}",
        chart.svg(),
        "Where a class gathers much probability but few particles, it collects the doubtful "
        "ones. Large gaps mean soft borders.",
        pd.DataFrame({"class": np.arange(1, k + 1), "assigned": count, "probability_mass": mass}),
    )
