"""Did each run settle, and how sure are its assignments."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign
from emjax.report.figure import Figure, percent, plural
from emjax.report.number import chosen_number
from emjax.report.svg import DASHES, Chart, number, series, ticks

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


class Ending(NamedTuple):
    """What ended a run's search, and where that left it (the last iterations do not search)."""

    by: str  # switched, change or limit
    switched: float  # fraction of the particles that changed class in the last iteration
    change: float  # mean change of the maps over the last two, as the criterion takes it
    gain: float  # log-likelihood per particle in the last iteration; NaN where not comparable
    limits: tuple[float, float]  # switch_convergence and rms_convergence

    @property
    def settled(self) -> bool:
        """Whether all criteria that are on are met."""
        pairs = zip((self.switched, self.change), self.limits, strict=True)
        return all(value < limit for value, limit in pairs if limit)


def ending(metrics: dict) -> Ending | None:
    """How a run of em3d ended; None for runs without such iterations or criteria."""
    rows = [r for r in history(metrics) if r.get("stage") != "last"]
    options = metrics.get("options") or {}
    limits = tuple(float(options.get(f"{n}_convergence") or 0) for n in ("switch", "rms"))
    if len(rows) < 2 or not any(limits) or "switched" not in rows[-1]:
        return None
    last = rows[-1]
    same = [r for r in rows[-2:] if r.get("stage") == last.get("stage")]
    change = float(np.mean([r.get("rms_change", np.nan) for r in same]))
    gain = np.nan
    if len(same) == 2:
        gain = float(last["log_likelihood"]) - float(same[0]["log_likelihood"])
    switched = float(last["switched"])
    by = "limit"
    if metrics.get("converged"):
        by = "switched" if switched < limits[0] else "change"
    return Ending(by, switched, change, gain, (limits[0], limits[1]))


def ended_by(metrics: dict) -> str:
    """What ended a run, in the table of runs."""
    found = ending(metrics)
    if found is None:
        return {True: "converged", False: "not converged"}.get(metrics.get("converged"), "")  # type: ignore[arg-type]
    if found.by == "limit":
        return f"all {metrics.get('iterations', len(history(metrics)))} iterations"
    if found.by == "switched":
        return f"{100 * found.switched:.1f} % changed class"
    return f"maps changed {100 * found.change:.1f} %, {100 * found.switched:.1f} % changed class"


def endings_sentence(campaign: Campaign) -> str:
    """How many runs settled, and what stopped the others; empty where no run has criteria."""
    found = [e for e in map(ending, campaign.listed_metrics()) if e is not None]
    if not found:
        return ""
    switch, rms = (100 * max(e.limits[i] for e in found) for i in (0, 1))
    settled = [e for e in found if e.by != "limit" and e.settled]
    by_maps = [e for e in found if e.by == "change" and not e.settled]
    by_switched = [e for e in found if e.by == "switched" and not e.settled]
    late = [e for e in found if e.by == "limit"]
    parts = [f"{len(settled)} of {plural(len(found), 'run')} settled"]
    if settled:
        both = [f"under {switch:g} % of the particles changed class"] * (switch > 0)
        both += [f"the maps changed by under {rms:g} %"] * (rms > 0)
        parts[0] += f" ({', '.join(both)})"
    if by_switched:
        most = 100 * max(e.change for e in by_switched)
        parts.append(
            f"{_stopped(by_switched)} by the first of these while the maps changed by up to "
            f"{most:.1f} %"
            if settled
            else f"{_stopped(by_switched)} as under {switch:g} % of the particles changed class, "
            f"while the maps changed by up to {most:.1f} %"
        )
    if by_maps:
        most = 100 * max(e.switched for e in by_maps)
        parts.append(
            f"{_stopped(by_maps)} as the maps changed by under {rms:g} %, while up to {most:.1f} % "
            "of the particles changed class"
        )
    if late:
        parts.append(f"{len(late)} ran out of iterations")
    return "; ".join(parts)


def _stopped(endings: list[Ending]) -> str:
    return f"{len(endings)} {'was' if len(endings) == 1 else 'were'} stopped"


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
            "differ by little more than the noise. The last iterations, which only filter, are "
            "left out."
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
            series(),
        )
    sure = float((ess < 1.2).mean())
    return Figure(
        "ess",
        f"{percent(sure, 1)} of the particles are spread over fewer than 1.2 classes in {name}",
        chart.svg(),
        "1 divided by the sum of squared class probabilities: 1 is a clear decision, 2 a coin "
        "toss between two classes. Beware: probabilities near 1 say that the maps differ, not "
        "that other particles would confirm the difference; noise gives them too.",
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
    chart.legend([("assigned", series(0)), ("sum of probabilities", series(1))], 3)
    for i in range(k):
        chart.bar(
            i + 0.63,
            i + 0.99,
            0,
            count[i],
            f"Class {i + 1}: {number(count[i])} assigned",
            series(0),
        )
        chart.bar(
            i + 1.01,
            i + 1.37,
            0,
            mass[i],
            f"Class {i + 1}: probability mass {mass[i]:,.0f}",
            series(1),
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
