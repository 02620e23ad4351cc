"""Subspace campaigns: held-out evidence, what the seeds reached, where the particles lie."""

from typing import Any

import numpy as np
import pandas as pd

from emjax.campaign.methods import METHODS
from emjax.report.campaign import Campaign, column, numbers
from emjax.report.figure import Figure, percent, plural
from emjax.report.methods import JUDGED
from emjax.report.svg import Chart, colour, number

MOST_SPECKS = 3000
SUBSPACE = "subspace"


def evidence(campaign: Campaign, method: str = SUBSPACE) -> dict[str, Any]:
    """What held-out particles judged; empty where nothing was held out, or is no longer."""
    config, folder = campaign.config, campaign.folder.method(method)
    complete = "symmetry" in config
    if complete and METHODS[method].evidence(config, folder) is None:
        return {}
    return campaign.json(folder.evidence)


def supported(campaign: Campaign) -> int | None:
    """Most states that held-out particles support by any method; None where none was asked."""
    chosen = [evidence(campaign, m).get("discrete_classes") for m in JUDGED]
    return max((c for c in chosen if isinstance(c, int)), default=None)


def evidence_verdicts(campaign: Campaign) -> list[str]:
    """The answer of held-out particles for each method that was judged, as a sentence."""
    answers = {method: evidence(campaign, method).get("verdict") for method in JUDGED}
    return [
        f"By held-out particles ({JUDGED[method]}): {answer}."
        for method, answer in answers.items()
        if answer
    ]


def numbers_untried(campaign: Campaign) -> list[str]:
    """Where the largest number tried explains held-out particles best: its neighbours may more."""
    found = []
    for method, name in JUDGED.items():
        record = evidence(campaign, method)
        table = campaign.table(campaign.folder.method(method).evidence_curve)
        k, best = column(table, "n_classes"), record.get("classes", {}).get("chosen")
        if k is None or best is None or best < 2 or record.get("follows_poses"):
            continue
        given = (campaign.config.get("runs") or {}).get(method)
        section = method if given or method != SUBSPACE else "em3d"
        if best == k.max() and record.get("discrete_classes", best) == best:
            found.append(
                f"{best} is the largest number of classes that was tried ({name}) and explains "
                "held-out particles best; others may explain more: add numbers beside it to "
                f"runs.{section}.n_classes."
            )
    return found


def evidence_notes(campaign: Campaign) -> list[str]:
    """What held-out particles say beside the curve, in sentences."""
    found = evidence(campaign)
    notes = []
    reason = found.get("classes", {}).get("reason")
    if reason:
        notes.append(f"Classes: {reason}")
    reason = found.get("components", {}).get("reason")
    if reason:
        notes.append(f"Components: {reason}")
    width = found.get("pose_error")
    if width:
        notes.append(
            f"Pose errors of {width['rotation_degrees']:.1f}° about each axis and "
            f"{width['shift_angstrom']:.1f} Å were allowed for."
        )
    modes = [mode for mode in found.get("nuisance_modes") or [] if mode.get("nuisance")]
    if modes:
        names = ", ".join(f"{mode['component']:.0f}" for mode in modes)
        remedy = "" if width else "; pose_error: auto would allow for it"
        follow = "follows" if len(modes) == 1 else "follow"
        notes.append(
            f"{plural(len(modes), 'component')} ({names}) {follow} the error of the poses{remedy}."
        )
    return notes


def evidence_figure(campaign: Campaign, method: str) -> Figure | None:
    """Likelihood gain of each number of classes on particles that the maps have not seen."""
    table = campaign.table(campaign.folder.method(method).evidence_curve)
    k, gain = column(table, "n_classes"), column(table, "gain")
    if k is None or gain is None or not np.isfinite(gain).any():
        return None
    low, high = numbers(table, "gain_low"), numbers(table, "gain_high")
    found = evidence(campaign, method)
    chosen = found.get("classes", {}).get("chosen")
    best = int(chosen) if isinstance(chosen, int) else int(k[np.nanargmax(gain)])
    states = found.get("discrete_classes", best)
    tried = f"of {', '.join(map(number, k[:-1]))} and {number(k[-1])} classes tried, " * (
        len(k) > 1
    )
    title = (
        f"{tried}{number(best)} explain held-out particles best".capitalize()
        if best > 1
        else "No number of classes explains held-out particles better than one map does"
    )
    if found.get("follows_poses"):
        title = "What more classes explain of held-out particles follows the error of the poses"
    if states < best:
        title = f"Held-out particles show a continuum, which {best} classes cut"
    chart = _curve(k, gain, low, high, "number of classes", "class")
    if best in k:
        # Its name stands above the one of the line of no gain.
        below = chart.height - chart.bottom - chart.py(0)
        chart.rule(x=best, name=f"{best} chosen", lift=int(below) + 22 if below < 24 else 8)
    return Figure(
        f"evidence-{method}", f"{title} ({JUDGED[method]})", chart.svg(),
        "Maps made from one half of the particles score the other half. More classes always fit "
        "their own particles better; only real ones help with particles they have not seen. Bars "
        "are 95 % intervals over micrographs.", table,
    )  # fmt: skip


def components_figure(campaign: Campaign) -> Figure | None:
    """Likelihood gain of each number of components on held-out particles."""
    found = evidence(campaign).get("components", {})
    gains = found.get("gains") or []
    if len(gains) < 2 or len(gains) != len(found.get("numbers", [])):
        return None
    k = np.array(found["numbers"], float)
    gain, low, high = (np.array([g[n] for g in gains], float) for n in ("value", "low", "high"))
    chart = _curve(k, gain, low, high, "components of variability", "component")
    count = int(found.get("chosen", 0))
    title = f"{plural(count, 'component')} of variability {'is' if count == 1 else 'are'} real"
    if count == 0:
        title = "No variability that held-out particles would confirm"
    return Figure(
        "components", title, chart.svg(),
        "The same test for the independent ways in which the particles vary: what rises is "
        "found again in held-out particles, what falls is noise.",
        pd.DataFrame({"components": k, "gain": gain, "low": low, "high": high}),
    )  # fmt: skip


def _curve(
    k: np.ndarray, gain: np.ndarray, low: np.ndarray, high: np.ndarray, label: str, noun: str
) -> Chart:
    """Gains with their intervals over a whole number."""
    values = np.concatenate([gain, low, high, [0.0]])
    bottom, top = float(np.nanmin(values)), float(np.nanmax(values))
    pad = (top - bottom) * 0.08 or 1.0
    chart = Chart((k.min() - 0.5, k.max() + 0.5), (bottom - pad, top + pad), left=82, label=label)
    chart.axes(label, "held-out log-likelihood gain", [(v, number(v)) for v in sorted(set(k))])
    chart.rule(y=0, name="no gain", right=True)
    chart.line(k.tolist(), gain.tolist())
    for x, y, a, b in zip(k, gain, low, high, strict=True):
        span = ""
        if np.isfinite([a, b]).all():
            p, q = chart.py(a), chart.py(b)
            chart.add("path", d=f"M{chart.px(x):.1f} {p:.1f}V{q:.1f}", class_="error")
            span = f" ({number(a)} to {number(b)})"
        many = "classes" if noun == "class" else None
        chart.dot(x, y, f"{plural(int(x), noun, many)}: gain {number(y)}{span}")
    return chart


def seed_figure(campaign: Campaign) -> Figure | None:
    """Likelihood of all seeds, best first: how many reach the best answer."""
    table = campaign.table(campaign.folder.method(SUBSPACE).likelihood)
    value = column(table, "log_likelihood")
    if value is None:
        return None
    k, optimum = numbers(table, "n_classes").astype(int), numbers(table, "optimum")
    kinds = sorted(set(k.tolist()))
    most = max(int((k == c).sum()) for c in kinds)
    low, high = float(np.nanmin(value)), float(np.nanmax(value))
    pad = (high - low) * 0.05 or 1.0
    rows = -(-len(kinds) // 4)
    chart = Chart((1, max(most, 2)), (low - pad, high + pad), left=76, top=18 + 16 * rows)
    chart.label = "Seeds by likelihood"
    chart.axes("seed, best first", "log-likelihood per particle")
    chart.legend([plural(c, "class", "classes") for c in kinds], 4)
    for i, c in enumerate(kinds):
        ordered = np.sort(value[k == c])[::-1]
        step = max(1, len(ordered) // 300)
        xs = np.arange(1, len(ordered) + 1)[::step]
        chart.line(xs.tolist(), ordered[::step].tolist(), i)
        for x, y in list(zip(xs, ordered[::step], strict=True))[:: max(1, len(xs) // 40)]:
            chart.dot(x, y, f"{plural(c, 'class', 'classes')}, seed ranked {x}: {y:.5g}", i, 2.5)
    main = _shown_number(campaign, kinds)
    share = percent(float((optimum[k == main] == 1).sum()), float((k == main).sum()))
    return Figure(
        "seeds",
        f"{share} of {most:,} seeds reach the best answer for {plural(main, 'class', 'classes')}",
        chart.svg(),
        "A long flat start: most seeds find the same best answer. Steps are other, worse answers "
        "that seeds get stuck in.", table,
    )  # fmt: skip


def _shown_number(campaign: Campaign, kinds: list[int]) -> int:
    """The number of classes that the figures speak of: the chosen one, or the nearest run."""
    chosen = evidence(campaign).get("classes", {}).get("chosen") or len(campaign.class_numbers)
    return min(kinds, key=lambda c: abs(c - int(chosen)))


def optima_figure(campaign: Campaign) -> Figure | None:
    """How often each distinct answer was found."""
    table = campaign.table(campaign.folder.method(SUBSPACE).likelihood)
    if "optimum" not in table or "n_classes" not in table:
        return None
    k = numbers(table, "n_classes").astype(int)
    main = _shown_number(campaign, sorted(set(k.tolist())))
    optimum = numbers(table, "optimum")[k == main].astype(int)
    value = numbers(table, "log_likelihood")[k == main]
    counts = np.bincount(optimum)[1:21]
    if not counts.size:
        return None
    chart = Chart((0.4, len(counts) + 0.6), (0, float(counts.max()) * 1.08), label="Optima")
    every = max(1, len(counts) // 10)
    ranks = [(i, str(i)) for i in range(1, len(counts) + 1, every)]
    chart.axes("answer, best likelihood first", "seeds that found it", ranks)
    rows = []
    for i, count in enumerate(counts, 1):
        best = float(value[optimum == i].max(initial=-np.inf))
        tip = f"Answer {i}: {count:,} seeds, log-likelihood {best:.5g} per particle"
        chart.bar(i - 0.38, i + 0.38, 0, int(count), tip, colour(0))
        rows.append((i, int(count), best))
    total = len(set(optimum[optimum > 0].tolist()))
    return Figure(
        "optima",
        f"{len(optimum):,} seeds ended in {plural(total, 'distinct answer')} for "
        f"{plural(main, 'class', 'classes')}",
        chart.svg(),
        "A single run finds any of these, with these odds. Only the best one matters if it is "
        "clearly better and found often.",
        pd.DataFrame(rows, columns=["answer", "seeds", "log_likelihood"]),
    )  # fmt: skip


def between_classes(points: np.ndarray, labels: np.ndarray) -> float:
    """Share of the points' variance that is between classes (from 1; 0 takes no part)."""
    points, labels = points[labels > 0], labels[labels > 0]
    own = np.stack([points[labels == c].mean(axis=0) for c in np.unique(labels)])
    spread = points - points.mean(axis=0)
    inside = points - own[np.unique(labels, return_inverse=True)[1]]
    return 1 - float((inside**2).sum() / max((spread**2).sum(), 1e-12))


def landscape_figure(campaign: Campaign) -> Figure | None:
    """Particles in the first two components, with their consensus class."""
    z = campaign.array(campaign.folder.method(SUBSPACE).coordinates)
    if z is None or z.ndim != 2 or z.shape[1] < 2 or not np.isfinite(z).any():
        return None
    rows = np.flatnonzero(np.isfinite(z[:, 0]))  # of the particles that take part
    pick = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_SPECKS)).astype(int)]
    xy = np.asarray(z[pick, :2], float)
    labels = campaign.particles.get("rlnClassNumber", np.zeros(0)).astype(int)
    labels = labels[pick] if len(labels) == len(z) else np.zeros(len(pick), int)
    (x0, y0), (x1, y1) = np.quantile(xy, 0.002, axis=0), np.quantile(xy, 0.998, axis=0)
    chart = Chart((float(x0), float(x1)), (float(y0), float(y1)), 480, 420, top=34)
    chart.label = "Landscape"
    chart.axes("first component of variability", "second component")
    for (x, y), c in zip(xy.tolist(), labels.tolist(), strict=True):
        if x0 <= x <= x1 and y0 <= y <= y1:
            style = f"fill:{colour(c - 1) if c else 'var(--soft)'}"
            chart.add("circle", cx=chart.px(x), cy=chart.py(y), r=1.8, class_="speck", style=style)
    count = int(labels.max(initial=0))
    if count > 1:
        chart.legend([f"class {c}" for c in range(1, min(count, 8) + 1)], 4)
    title = "All particles are one class; these are their two largest differences"
    if count > 1:
        between = percent(between_classes(xy, labels), 1)
        title = f"{between} of the spread along the two largest differences is between classes"
    return Figure(
        "landscape", title, chart.svg(),
        "Each dot is a particle. Separate clouds are separate states; one stretched cloud is "
        "gradual motion or noise.",
        pd.DataFrame({"component_1": xy[:, 0], "component_2": xy[:, 1], "class": labels}),
    )  # fmt: skip
