"""A page per run: its classes, its iterations, and how it compares with the consensus."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

from emjax.campaign.folder import CampaignFolder
from emjax.report import assignments, endings, history, provenance, quality, som
from emjax.report.campaign import Campaign
from emjax.report.columns import contingency, numbers
from emjax.report.crossing import crossing_figure
from emjax.report.figure import Figure, percent, plural
from emjax.report.frame import Frame
from emjax.report.run_maps import ClassPictures, ConsensusMaps, RunMaps
from emjax.report.svg import number as write
from emjax.report.tab import Tab
from emjax.report.verdict import Verdict

STAGES = {
    "online": "on mini-batches",
    "coarse": "at coarse frequencies",
    "full": "at all frequencies",
    "last": "with filtered differences",
}
MOST_CARDS = 60  # classes shown one by one


@dataclass(frozen=True)
class RunCard:
    """All that is shown of one class of a run."""

    number: int
    size: str
    facts: list[tuple[str, str]]
    links: list[str]
    pictures: ClassPictures


class RunPages:
    """The pages of a campaign's runs; what they share is read once."""

    def __init__(self, folder: CampaignFolder, runs: Sequence[str]) -> None:
        """The campaign's folder, and its runs in their order."""
        # No option of the campaign changes what its runs are.
        self._runs = list(map(str, runs))
        self._campaign = Campaign(folder, {}, frozenset(self._runs))
        self._consensus = ConsensusMaps(folder.consensus)
        self._frame = Frame()

    def render(self, name: str) -> str:
        """The page of a run as one HTML text."""
        run = _Run(self._campaign, name)
        at = self._runs.index(name)
        maps = RunMaps(self._campaign, name, self._consensus, run.partners)
        pictures = maps.pictures(dict(enumerate(run.sizes.tolist(), 1)))
        cards = [run.card(c, shown) for c, shown in pictures.classes.items()] if pictures else []
        figures = run.figures()
        return self._frame.render(
            "run.html.j2",
            campaign=self._campaign,
            run=name,
            before=self._runs[at - 1] if at else None,
            after=self._runs[at + 1] if at + 1 < len(self._runs) else None,
            verdict=run.verdict(),
            tabs=[tab for tab in _TABS if figures.get(tab.key) or _shown(tab, cards)],
            cards=cards[:MOST_CARDS],
            pictures=pictures,
            figures=figures,
            facts=run.facts(),
            options=[row[:2] for row in provenance.options(run.metrics.get("options") or {})],
        )


_TABS = (
    Tab("classes", "Classes", "The classes of this run, and what the consensus has instead."),
    Tab("iterations", "Iterations", "Where the particles flow, and whether the run settled."),
    Tab("particles", "Particles", "How sure the assignments are."),
    Tab("som", "Images", "The self-organising map of the images, node by node."),
    Tab("provenance", "Provenance", "What it was run with."),
)


def _shown(tab: Tab, cards: list[RunCard]) -> bool:
    return tab.key == "provenance" or (tab.key == "classes" and bool(cards))


class _Run:
    """What a run wrote, and how it compares with the other runs and the consensus."""

    def __init__(self, campaign: Campaign, name: str) -> None:
        self.campaign, self.name = campaign, name
        self.folder = campaign.folder.run(name)
        self.metrics = campaign.metrics.get(name, {})
        self.curves = quality.curves_of_run(campaign, name)
        posteriors = campaign.array(self.folder.posteriors)
        self.posteriors = np.zeros((0, 1)) if posteriors is None else posteriors
        # From 1; 0 has none.
        self.labels = (self.posteriors.argmax(axis=1) + 1) * self.posteriors.any(axis=1)
        self.sizes = np.bincount(self.labels, minlength=self.posteriors.shape[1] + 1)[1:]
        consensus = campaign.particles.get("rlnClassNumber")
        same = consensus is not None and len(consensus) == len(self.labels)
        self.consensus = np.asarray(consensus, int) if same else np.zeros_like(self.labels)
        # Its classes by those of the consensus; the last row and column may lack particles.
        shape = len(self.sizes), max(campaign.class_numbers, default=0)
        self.crossed = np.zeros(shape)
        found = contingency(self.labels, self.consensus, np.ones(len(self.labels)))
        self.crossed[: found.shape[0], : found.shape[1]] = found
        rows = enumerate(self.crossed, 1)
        self.partners = {k: int(row.argmax()) + 1 if row.any() else 0 for k, row in rows}

    def figures(self) -> dict[str, list[Figure]]:
        """Every figure that the run's files allow, by the part of the page it stands in."""
        campaign, metrics, name = self.campaign, self.metrics, self.name
        groups = {
            "classes": [
                crossing_figure(name, self.crossed),
                quality.resolution_figure(self.curves),
            ],
            "iterations": [
                history.flow_diagram(name, metrics),
                *history.curve_figures(metrics),
                history.flow_matrices(name, metrics),
            ],
            "particles": [
                assignments.ess_figure(campaign, name),
                assignments.mass_figure(campaign, name),
            ],
            "som": som.som_figures(campaign, name) if metrics.get("method") == "som" else [],
        }
        return {key: [f for f in found if f is not None] for key, found in groups.items()}

    def verdict(self) -> Verdict:
        """What the run is and whether it ended well."""
        count = plural(len(self.sizes), "class", "classes")
        headline = f"{self.name}: {count} of {plural(int(self.sizes.sum()), 'particle')}"
        warnings = self.warnings()
        converged = self.metrics.get("converged")
        other = self.metrics.get("method") == "external"
        badge = "Classes of another program" if other else "Finished"
        if converged is not None:
            badge = "Converged" if converged else "Not converged"
        if converged and warnings:
            badge = "Converged, with warnings"
        mood = "warn" if warnings or converged is False else "found"
        return Verdict(
            mood if converged is not None else "nothing",
            badge,
            headline,
            [line for line in self._found() if line],
            warnings,
        )

    def _found(self) -> list[str]:
        return [*self._course(), *self._rank(), *self._agreement()]

    def _course(self) -> list[str]:
        """Its iterations, and what stopped them."""
        metrics = self.metrics
        if "reached_by" in metrics:
            return [
                f"Optimum {metrics['optimum']} of those with {len(self.sizes)} classes in the "
                f"subspace: {percent(metrics['reached_by'], 1)} of the seeds ended in it. Its "
                "iterations lie inside the basis and have no maps of their own."
            ]
        rows = endings.history(metrics)
        if not rows:
            total = metrics.get("iterations")
            return [f"{plural(total, 'iteration')}."] if total else []
        stages = [str(row.get("stage", "full")) for row in rows]
        parts = [f"{stages.count(s)} {words}" for s, words in STAGES.items() if s in stages]
        lines = [f"{plural(len(rows), 'iteration')}: {', '.join(parts)}."]
        options = metrics.get("options", {})
        last = next((r for r in reversed(rows) if r.get("stage") != "last"), rows[-1])
        limit = float(options.get("switch_convergence") or 0)
        if metrics.get("converged") and last["switched"] < limit:
            lines.append(
                f"It stopped where {100 * last['switched']:.1f} % of the particles changed class "
                f"(less than switch_convergence, {100 * limit:g} %)."
            )
        elif metrics.get("converged"):
            lines.append(
                f"It stopped where the maps changed by {100 * last['rms_change']:.1f} % of the "
                f"mean map, while {100 * last['switched']:.1f} % of the particles changed class."
            )
        return lines

    def _rank(self) -> list[str]:
        """Its log-likelihood among the runs of its method with as many classes."""
        value = self.metrics.get("log_likelihood")
        if value is None:
            return []
        kind = [self.metrics.get(key) for key in ("method", "n_classes")]
        alike = {
            name: float(m["log_likelihood"])
            for name, m in self.campaign.metrics.items()
            if [m.get(key) for key in ("method", "n_classes")] == kind
            and m.get("log_likelihood") is not None
        }
        better = sum(other > value for other in alike.values())
        text = f"Log-likelihood per particle {value:.4f}"
        if len(alike) > 1:
            place = "the best" if not better else f"number {better + 1}"
            text += (
                f": {place} of {len(alike)} runs with {plural(kind[1] or 0, 'class', 'classes')}"
            )
        return [f"{text}."]

    def _agreement(self) -> list[str]:
        """With the consensus."""
        both = (self.labels > 0) & (self.consensus > 0)
        if not both.any() or self.crossed.shape[1] < 2:
            return []
        value = adjusted_rand_score(self.consensus[both], self.labels[both])
        return [f"Agreement with the consensus (adjusted Rand index): {value:.2f} of 1."]

    def warnings(self) -> list[str]:
        """Those of the run, then those of the log of its job."""
        own = [str(line) for line in self.metrics.get("warnings") or []]
        log = self._log()
        lines = log.read_text(encoding="utf-8").splitlines() if log else []
        said = [line.partition("warning: ")[2] for line in lines]
        return list(dict.fromkeys([*own, *(line for line in said if line)]))

    def _log(self) -> Path | None:
        path = self.campaign.folder.logs / str(self.metrics.get("log", ""))
        return path if path.is_file() else None

    def card(self, c: int, pictures: ClassPictures) -> RunCard:
        """Numbers, files and pictures of a class."""
        size = int(self.sizes[c - 1])
        partner = self.partners.get(c, 0)
        facts = []
        if partner and self.crossed.shape[1] > 1:
            share = percent(self.crossed[c - 1, partner - 1], self.crossed[c - 1].sum())
            facts.append(("Most of it is in consensus class", f"{partner} ({share})"))
        if c in self.curves:
            curve = self.curves[c]
            frequency, values = numbers(curve, "frequency_per_angstrom"), numbers(curve, "fsc")
            resolution, falls = quality.class_resolution(frequency, values)
            better = "" if falls else " or better"
            facts.append(("Resolution (FSC 0.143)", f"{resolution:.1f} Å{better}"))
        mass = float(self.posteriors[:, c - 1].sum(dtype=float))
        facts.append(("Sum of probabilities", write(round(mass))))
        parts = [self.folder.class_map(c, part) for part in ("", "half1", "half2", "hard")]
        total = int(self.sizes.sum())
        return RunCard(
            c,
            f"{plural(size, 'particle')} ({percent(size, total)})",
            facts,
            [path.name for path in parts if path.exists()],
            pictures,
        )

    def facts(self) -> list[tuple[str, str]]:
        """Where its numbers come from."""
        metrics = self.metrics
        log = self._log()
        rows = [
            ("Method", metrics.get("method")),
            ("Seed", metrics.get("seed")),
            ("emjax", metrics.get("emjax_version")),
            ("Input checksum", metrics.get("input_checksum")),
            ("Devices", ", ".join(metrics.get("devices") or [])),
            ("Log of its job", os.path.relpath(log, self.folder.path) if log else None),
        ]
        return [(name, str(value)) for name, value in rows if value not in (None, "")]
