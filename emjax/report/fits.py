"""How well the particles fit: the distribution of their scores, and what scores mean."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from emjax.classify.calibration import SEPARATED, Calibration, score_of
from emjax.io.fields import FIT, SET_ASIDE
from emjax.report.aside import FIT_NOTHING
from emjax.report.campaign import Campaign, particle_table
from emjax.report.columns import numbers
from emjax.report.figure import Figure, plural
from emjax.report.svg import WARN, Chart, series

BINS = 60
# The colour of each reason; particles that were kept are grey.
COLOURS = {"none": "var(--soft)", "junk": WARN, "pose": series(0), "image": series(2)}
NAMES = {"none": "kept", "junk": "no particle", "pose": "another pose", "image": "bad image"}


@dataclass(frozen=True)
class Scores:
    """Scores of all particles against some maps, what they mean, and who was set aside by them."""

    score: np.ndarray
    reason: np.ndarray  # of FIT_NOTHING, or none
    calibration: Calibration
    what: str  # the maps

    @property
    def judged(self) -> np.ndarray:
        """Particles whose images are good, on which the decision stands."""
        return self.reason != "image"

    @property
    def aside(self) -> np.ndarray:
        """Particles that were set aside by these scores."""
        return np.isin(self.reason, ("junk", "pose"))

    @property
    def threshold(self) -> float | None:
        """Score below which particles were set aside; None where none was."""
        if not self.aside.any():
            return None
        highest = self.score[self.aside].max()
        above = self.score[self.judged & ~self.aside & (self.score > highest)]
        return float((highest + above.min(initial=highest + 1)) / 2)

    @property
    def expected_wrong(self) -> float:
        """Particles among those set aside that are expected to fit."""
        return float(self.calibration.probability(self.score[self.aside]).sum())


def read_scores(campaign: Campaign) -> list[Scores]:
    """Scores against the mean map, and against the runs' classes where these set aside more."""
    record, path = campaign.judged_by_mean, campaign.folder.prepare.particles.star
    if "calibration" not in record or not path.exists():
        return []
    table = particle_table(path)
    before = np.array(table.text(SET_ASIDE))
    calibration = Calibration.read(record["calibration"])
    found = [Scores(score_of(table.numbers(FIT)), before, calibration, "the mean map")]
    record = campaign.json(campaign.folder.outliers.record)
    if record.get("set_aside"):
        fits = campaign.table(campaign.folder.outliers.fits)
        after = fits["set_aside"].to_numpy(str)
        new = before == "none"
        calibration = Calibration.read(record["calibration"])
        score = score_of(numbers(fits, "fit"))[new]
        found.append(Scores(score, after[new], calibration, "every class"))
    return found


def fit_figures(campaign: Campaign) -> list[Figure]:
    """Histogram of the scores with the calibrated curves and the threshold."""
    names = ("fits", "fits-classes")
    return [_figure(campaign, *pair) for pair in zip(names, read_scores(campaign), strict=False)]


def _figure(campaign: Campaign, name: str, scores: Scores) -> Figure:
    found, n = scores.calibration, int(scores.judged.sum())
    good = scores.score[scores.judged]
    low, high = min(float(good.min()), -1.0), float(np.quantile(good, 0.999)) + 1
    edges = np.linspace(low, high, BINS + 1)
    reasons = [r for r in ("none", *FIT_NOTHING) if r != "image" and (scores.reason == r).any()]
    count = {r: np.histogram(good[scores.reason[scores.judged] == r], edges)[0] for r in reasons}
    middle, width = (edges[:-1] + edges[1:]) / 2, float(edges[1] - edges[0])
    fit = n * width * (1 - found.share) * found.fit.density(middle)
    unfit = n * width * found.share * found.unfit.density(middle)
    together = np.sum(list(count.values()), axis=0)
    top = 1.06 * float(max(together.max(), fit.max(), unfit.max()))
    chart = Chart((low, high), (0, top), 960, 330, top=34, label="Scores of the particles")
    chart.axes("score (√2 × log-likelihood ratio of the map against no particle)", "particles")
    base = np.zeros(BINS)
    for reason in reversed(reasons):
        for i in np.flatnonzero(count[reason]):
            span = f"score {edges[i]:.1f} to {edges[i + 1]:.1f}"
            tip = f"{plural(count[reason][i], 'particle')}, {NAMES[reason]}, {span}"
            ends = edges[i], edges[i + 1], base[i], base[i] + count[reason][i]
            chart.bar(*ends, tip, COLOURS[reason])
        base += count[reason]
    curves = {}
    if found.separated:
        curves["expected of what fits"] = fit, series(1)
    if found.share > 0:
        curves["expected of what fits nothing"] = unfit, "var(--ink)"
    for curve, stroke in curves.values():
        chart.line(middle.tolist(), curve.tolist(), stroke)
    if scores.threshold is not None:
        chart.rule(x=scores.threshold, name=f"set aside below {scores.threshold:.1f}", lift=230)
    bars = [(NAMES[r], COLOURS[r]) for r in reasons]
    _legend(chart, bars + [(name, stroke) for name, (_, stroke) in curves.items()])
    data = {"score_from": edges[:-1], "score_to": edges[1:]} | count
    return Figure(
        name, _title(campaign, scores), chart.svg(), _reading(scores),
        pd.DataFrame(data | {"expected_fit": fit, "expected_unfit": unfit}), wide=True,
    )  # fmt: skip


def _legend(chart: Chart, entries: list[tuple[str, str]]) -> None:
    """Names with their colours above the plot."""
    x = chart.left
    for name, fill in entries:
        chart.add("rect", x=x, y=8, width=12, height=6, style=f"fill:{fill}")
        chart.text(x + 16, 15, name, "start", class_="tick")
        x += 40 + 7 * len(name)


def _title(campaign: Campaign, scores: Scores) -> str:
    aside = int(scores.aside.sum())
    if not scores.calibration.separated:
        return "What fits nothing cannot be distinguished from the particles: none is set aside"
    junk = (campaign.config.get("outliers") or {}).get("junk", "auto")
    if scores.threshold is not None:
        wrong = scores.expected_wrong
        some = f"about {wrong:.0f}" if wrong >= 1 else "none"
        verb = "is" if aside == 1 else "are"
        return (
            f"{plural(aside, 'particle')} {verb} set aside below a score of "
            f"{scores.threshold:.1f}; {some} of them should fit after all"
        )
    if junk in ("off", False):
        return "No particle is set aside: outliers.junk is off"
    return f"Every particle fits {scores.what} better than chance"


def _reading(scores: Scores) -> str:
    found = scores.calibration
    text = (
        f"How much better {scores.what} at the particle's pose explains the image than no particle "
        f"does. At the poses of other particles, where nothing fits, images score "
        f"{found.decoys.mean:.1f} ± {found.decoys.sd:.1f}. "
    )
    if not found.separated:
        return text + (
            "The scores of the particles overlap with these (separation "
            f"{found.separation:.1f}, at least {SEPARATED:g} expected): at a finer "
            "filter_resolution images may say more."
        )
    text += f"Particles that fit score {found.fit.mean:.1f} ± {found.fit.sd:.1f}."
    if scores.aside.any():
        text += (
            " Particles are set aside from the left, at most so many as hold the fraction of "
            "fitting ones that outliers.junk allows; those that fit best near their pose stay."
        )
    return text
