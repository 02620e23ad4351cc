"""Held-out evidence: what particles that the maps have not seen say of classes and components."""

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from emjax.campaign.methods import METHODS
from emjax.report.campaign import Campaign
from emjax.report.columns import column, numbers
from emjax.report.figure import Figure, plural
from emjax.report.methods import JUDGED, SUBSPACE
from emjax.report.number import chosen_number
from emjax.report.svg import Chart, number

WIDTH, HEIGHT, SPLIT = 480, 500, 290  # of a figure; where its lower part begins


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
    # What a figure shows is not said again in other words.
    drawn = {
        "classes": any(evidence_figure(campaign, method) for method in JUDGED),
        "components": components_figure(campaign),
    }
    for what, figure in drawn.items():
        reason = found.get(what, {}).get("reason")
        if reason and not figure:
            notes.append(f"{what.capitalize()}: {reason}")
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
    """Held-out gain of each number of classes, and what others lose beside the chosen one."""
    table = campaign.table(campaign.folder.method(method).evidence_curve)
    if "difference" not in table:
        return None
    curve = Curve.of(*(numbers(table, name) for name in ("n_classes", *COLUMNS)))
    found = evidence(campaign, method)
    states = found.get("discrete_classes", curve.best)
    words = "classes explain"
    title = curve.title(words, "No number of classes explains held-out particles better than one")
    if found.get("follows_poses"):
        title = "What more classes explain of held-out particles follows the error of the poses"
    elif states < curve.best:
        title = f"Held-out particles show a continuum, which {curve.best} classes cut"
    return Figure(
        f"evidence-{method}", f"{title} ({JUDGED[method]})", curve.draw("number of classes"),
        "Above: maps made from one half of the particles score the other half; more classes always "
        "fit their own particles better, but not particles they have not seen. Below: the same "
        f"beside {plural(curve.best, 'class', 'classes')}, particle by particle, with 95 % "
        "intervals over micrographs; where an interval holds 0, the two numbers explain the "
        f"particles equally well.{_beside_consensus(campaign, curve.best, states)}", table,
    )  # fmt: skip


def _beside_consensus(campaign: Campaign, best: int, states: int) -> str:
    """Why the consensus has another number, where it has."""
    count = chosen_number(campaign)
    if count == best or states < best:
        return ""
    name = plural(count, "class", "classes")
    if campaign.elbows.get("chosen_by", "auto") != "auto":
        return f" The consensus has {name}, as you asked."
    if count < best:
        return f" The consensus has {name}: the runs do not agree on a division into {best}."
    return (
        f" The consensus has {name}: so many are the same in the runs, but held-out particles "
        f"confirm {best} only."
    )


COLUMNS = (
    "gain", "gain_low", "gain_high", "difference", "difference_low", "difference_high",
)  # fmt: skip


def components_figure(campaign: Campaign) -> Figure | None:
    """The same for the number of components."""
    found = evidence(campaign).get("components", {})
    if "differences" not in found or len(found["numbers"]) < 2:
        return None
    columns = {
        name + (end and f"_{end}"): np.array([v[end or "value"] for v in found[key]], float)
        for name, key in (("gain", "gains"), ("difference", "differences"))
        for end in ("", "low", "high")
    }
    counts = np.array(found["numbers"], float)
    curve = Curve.of(counts, *(columns[name] for name in COLUMNS))
    nothing = "No component of variability raises the likelihood of held-out particles"
    return Figure(
        "components", curve.title("components of variability explain", nothing),
        curve.draw("components of variability"),
        "The same test for the independent ways in which the particles vary: above, what each "
        "number gains over none on particles that the components were not fitted to; below, what "
        "the others lose beside the number chosen, with 95 % intervals.",
        pd.DataFrame({"components": counts, **columns}),
    )  # fmt: skip


class Curve:
    """Held-out gains of candidate numbers over the simplest, and their paired differences."""

    def __init__(self, k: np.ndarray, gain: np.ndarray, paired: np.ndarray) -> None:
        """From candidates, and a row of value, low and high each."""
        self.k, self.gain, self.paired = k, gain, paired
        # The difference of the number chosen from itself is 0, exactly.
        self.at = int(np.abs(paired).sum(axis=1).argmin())
        self.best = int(k[self.at])

    @classmethod
    def of(cls, k: np.ndarray, *columns: np.ndarray) -> "Curve":
        """From gain, its ends, the paired difference and its ends, by candidate."""
        return cls(k, np.stack(columns[:3], 1), np.stack(columns[3:], 1))

    def title(self, words: str, nothing: str) -> str:
        """By how much the chosen number is better than the one before, and what more would add."""
        more = [number(n) for n in self.k[self.at + 1 :]]
        if self.at == 0:
            if not more:
                return nothing
            nearest = self.at + 1 + int(self.paired[self.at + 1 :, 0].argmax())
            return f"{nothing}: {number(self.k[nearest])} {_gains(self.paired[nearest])}"
        low, value, high = np.sort(-self.paired[self.at - 1])
        if low <= 0:  # chosen for another reason than the gain
            noun, before = words.removesuffix(" explain"), number(self.k[self.at - 1])
            return f"{self.best} {noun} chosen, where {before} {_gains(self.paired[self.at - 1])}"
        title = (
            f"{self.best} {words} held-out particles better than {number(self.k[self.at - 1])}, by "
            f"{_nats(value)} nats ({_nats(low)} to {_nats(high)})"
        )
        if not more:
            return f"{title}; more were not tried"
        listed = more[0] if len(more) == 1 else f"{', '.join(more[:-1])} and {more[-1]}"
        if (self.paired[self.at + 1 :, 1] > 0).any():
            return f"{title}; what {listed} gain beyond is too little to count"
        return f"{title}; no further gain with {listed}"

    def draw(self, label: str) -> Markup:
        """Gains above, paired differences below, on a scale that shows small ones too."""
        ends, parts = (float(self.k.min()) - 0.5, float(self.k.max()) + 0.5), list[str]()
        low, high = min(0.0, float(self.gain[:, 0].min())), max(0.0, float(self.gain[:, 0].max()))
        pad = 0.1 * (high - low) or 1.0
        above = Chart(
            ends, (low - pad, high + pad), WIDTH, HEIGHT, left=88, bottom=HEIGHT - SPLIT + 56,
            label=label, parts=parts,
        )  # fmt: skip
        whole = [(v, number(v)) for v in sorted(set(self.k.tolist()))]
        above.axes("", "held-out gain (nats)", whole)
        above.rule(y=0, name="no gain", right=True)
        above.line(self.k.tolist(), self.gain[:, 0].tolist())
        for x, (y, a, b) in zip(self.k, self.gain, strict=True):
            above.dot(x, y, f"{number(x)}: gain {_nats(y)} ({_nats(a)} to {_nats(b)}) nats")
        scaled = np.arcsinh(self.paired / SMALL)
        reach = max(float(np.abs(scaled).max()) * 1.1, 2.0)
        top = max(float(scaled.max()) * 1.2, 1.5)
        below = Chart(
            ends, (-reach, top), WIDTH, HEIGHT, left=above.left, top=SPLIT, label=label, parts=parts
        )
        powers = [0.0, *(s * 10.0**p for p in range(1, 8) for s in (-1, 1))]
        marks = [(float(np.arcsinh(v / SMALL)), f"{v:,.0f}") for v in powers]
        below.axes(
            label, f"beside {self.best} (nats)", whole, [m for m in marks if -reach < m[0] < top]
        )
        below.rule(y=0)
        for x, row, values in zip(self.k, scaled, self.paired, strict=True):
            p, q = below.py(row[1]), below.py(row[2])
            below.add("path", d=f"M{below.px(x):.1f} {p:.1f}V{q:.1f}", class_="error")
            below.dot(x, row[0], f"{number(x)} {_gains(values)} beside {self.best}")
        return above.svg()


SMALL = 10.0  # nats up to which the scale of the differences is about linear


def _nats(value: float) -> str:
    return f"{value:z,.0f}"


def _gains(values: np.ndarray) -> str:
    """`gains -12 nats (-20 to -4)`, without the sign of a rounded zero."""
    value, low, high = values
    return f"gains {_nats(value)} nats ({_nats(low)} to {_nats(high)})"
