"""How sure a run is of the class of each particle."""

import numpy as np
import pandas as pd

from emjax.report.campaign import Campaign
from emjax.report.figure import Figure, percent
from emjax.report.number import chosen_number
from emjax.report.svg import Chart, number, series


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
    if posteriors is None or not ((posteriors > 0) & (posteriors < 1)).any():
        return None  # nothing but labels
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
