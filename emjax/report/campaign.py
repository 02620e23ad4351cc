"""The files of a campaign as the report needs them; what was not run is simply absent."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from emjax.campaign.alone import job_of
from emjax.campaign.folder import CampaignFolder, ConsensusFolder, ReconstructFolder
from emjax.io.fields import MICROGRAPH_NAME, REFINED_POSE, SET_ASIDE
from emjax.io.files import open_npy, read_json, read_tsv
from emjax.io.mrc.volume import read_volume
from emjax.io.star.tables import StarTable, read_star
from emjax.report.columns import column
from emjax.report.methods import JUDGED

# Of the particles: what is read, where the table has it.
NUMBERS = (
    "rlnClassNumber",
    "emjaxStability",
    "emjaxClassPosterior",
    "rlnAngleRot",
    "rlnAngleTilt",
    *REFINED_POSE[:2],
)
TEXTS = (SET_ASIDE, MICROGRAPH_NAME)
NOT_CLASSIFIED = ("image", "junk", "pose", "unassigned")  # reasons to take no part in the classes


@dataclass(frozen=True)
class Campaign:
    """What the campaign wrote, read on demand.

    Attributes:
        folder, config: of the campaign.
        own_runs: names of its runs; none, those of its table.
    """

    folder: CampaignFolder
    config: dict[str, Any]
    own_runs: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Name of the campaign."""
        return str(self.config.get("campaign") or self.folder.path.name)

    @property
    def job(self) -> str:
        """What was made: a campaign, or one part alone."""
        return job_of(self.config)

    @property
    def maps(self) -> ConsensusFolder | ReconstructFolder:
        """Where particles and maps of the classes lie."""
        return self.folder.reconstruct if self.job == "reconstruct" else self.folder.consensus

    @cached_property
    def representatives(self) -> pd.DataFrame:
        """The input class most like each class, and its map, of label files alone."""
        return self.table(self.folder.consensus.representatives_table)

    def class_map(self, number: int) -> Path:
        """The map that shows a class: its own, or of label files alone its representative's."""
        rows = self.representatives
        if rows.empty:
            return self.maps.class_map(number)
        name = str(rows["map"][rows["class"] == number].iloc[0])
        return self.folder.consensus.representatives / name

    def link(self, path: Path) -> str:
        """A file as the page, which lies in the campaign's folder, links to it."""
        return path.relative_to(self.folder.path).as_posix()

    def run_link(self, run: str, words: str, part: str = "") -> str:
        """Words that open the page of a run, at a part of it; the words alone where it has none."""
        page = self.folder.run(run).report
        if not page.exists():
            return words
        return Markup('<a href="{}{}">{}</a>').format(self.link(page), part, words)

    def table(self, path: Path) -> pd.DataFrame:
        """A tab-separated table; empty where absent."""
        return read_tsv(path) if path.exists() else pd.DataFrame()

    def json(self, path: Path) -> dict[str, Any]:
        """A JSON file; empty where absent."""
        return read_json(path) if path.exists() else {}

    def array(self, path: Path) -> np.ndarray | None:
        """An array, mapped rather than loaded."""
        return open_npy(path) if path.exists() else None

    def volume(self, path: Path) -> tuple[np.ndarray, float] | None:
        """A map and its voxel size in Å."""
        return read_volume(path) if path.exists() else None

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return self.table(self.folder.runs_table)

    @cached_property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """The record of every run that has one; runs of earlier options are left out."""
        every = self.folder.run("*").metrics.relative_to(self.folder.path)
        found = {p.parent.name: p for p in sorted(self.folder.path.glob(str(every)))}
        listed = self.own_runs or self._listed()
        return {name: read_json(p) for name, p in found.items() if not listed or name in listed}

    def _listed(self) -> set[str]:
        """Runs in the table of a campaign, or of maps alone."""
        tables = self.runs, self.table(self.folder.classes.seeds)
        return {str(name) for table in tables if "run" in table for name in table["run"]}

    @cached_property
    def intersections(self) -> pd.DataFrame:
        """Groups of particles that all runs keep together."""
        return self.table(self.folder.consensus.intersections)

    @cached_property
    def linkage(self) -> np.ndarray | None:
        """The tree of their merges, SciPy's (n−1, 4)."""
        found = self.array(self.folder.consensus.linkage)
        return None if found is None else np.array(found, float).reshape(-1, 4)

    @cached_property
    def elbows(self) -> dict[str, Any]:
        """The rules' numbers of classes, the recommended one and why."""
        return self.json(self.folder.consensus.elbows)

    @property
    def unreplicated(self) -> bool:
        """Whether the classes are of a single run: stability and q-values then say nothing."""
        return self.elbows.get("verdict") == "unreplicated"

    @cached_property
    def stability(self) -> pd.DataFrame:
        """One row per class."""
        if self.job == "reconstruct":
            given = self.table(self.folder.reconstruct.classes)
            return given.loc[given["size"] > 0].reset_index(drop=True)
        return self.table(self.folder.consensus.stability)

    @cached_property
    def particles(self) -> dict[str, np.ndarray]:
        """What the consensus says of every particle: class, stability, fit, where it comes from."""
        path = self.maps.particles.star
        if not path.exists():
            return {}
        table = particle_table(path)
        found = {name: table.numbers(name) for name in NUMBERS if name in table}
        return found | {name: np.array(table.text(name)) for name in TEXTS if name in table}

    @cached_property
    def lists_images(self) -> bool:
        """Whether its particles name their images; label files of a consensus may not."""
        path = self.maps.particles.star
        return path.exists() and "rlnImageName" in particle_table(path)

    @cached_property
    def reasons(self) -> np.ndarray:
        """Why each particle has no class, `none` where it has one; of none where nothing says it.

        `unassigned` are those that some run has no class for.
        """
        classes = self.particles.get("rlnClassNumber", np.zeros(0))
        given = self.particles.get(SET_ASIDE)
        if given is None:
            return np.full(len(classes), "none", "U10")
        return np.where((given == "none") & (classes == 0), "unassigned", given)

    @cached_property
    def takes_part(self) -> np.ndarray:
        """Whether each particle was classified; classes and their shares are of these."""
        return ~np.isin(self.reasons, NOT_CLASSIFIED)

    @cached_property
    def class_numbers(self) -> list[int]:
        """Numbers (1-based) of the consensus classes."""
        if "class" in self.stability:
            numbers = {int(c) for c in self.stability["class"] if c > 0}
        else:
            numbers = range(1, len(self.folder.consensus.class_maps()) + 1)
        return sorted(numbers)

    def fitted_runs(self) -> dict[str, float]:
        """Log-likelihood of the runs of one method (those of different methods do not compare)."""
        value = column(self.runs, "log_likelihood")
        if value is None:
            return {}
        found = list(
            zip(self.run_names(), value.tolist(), self.run_methods().values(), strict=True)
        )
        known = [m for _, v, m in found if np.isfinite(v)]
        judged = [m for m in JUDGED if m in known]
        main = judged[0] if judged else max(known, key=known.count, default="")
        return {n: v for n, v, m in found if m == main and np.isfinite(v)}

    def run_methods(self) -> dict[str, str]:
        """Method of every run; empty where none is named."""
        names = self.run_names()
        methods = self.runs["method"].astype(str) if "method" in self.runs else [""] * len(names)
        return dict(zip(names, methods, strict=True))

    def run_classes(self) -> dict[str, int]:
        """Number of classes of every run that has one."""
        return self._whole_numbers("n_classes")

    def run_seeds(self) -> dict[str, int]:
        """Seed of every run that has one: other programs' runs have none."""
        return self._whole_numbers("seed")

    def _whole_numbers(self, name: str) -> dict[str, int]:
        known = column(self.runs, name)
        if known is None:
            return {}
        pairs = zip(self.run_names(), known.tolist(), strict=True)
        return {run: int(value) for run, value in pairs if np.isfinite(value)}

    def by_class(self, name: str) -> dict[int, float]:
        """A column of stability.tsv by class number."""
        values, classes = column(self.stability, name), column(self.stability, "class")
        if values is None or classes is None:
            return {}
        return {int(c): float(v) for c, v in zip(classes, values, strict=True)}

    @cached_property
    def preparation(self) -> dict[str, Any]:
        """What the preparation found."""
        alone = self.job == "reconstruct"
        return self.json((self.folder.reconstruct if alone else self.folder.prepare).facts)

    @cached_property
    def input_doubts(self) -> list[str]:
        """What the check of the input, the preparation, and the check of the focus mask doubt."""
        found = list(self.preparation.get("doubts", []))
        paths = [self.folder.prepare.doubts]
        # Those of a mask that is no longer used stay where they are.
        if self.config.get("masks", {}).get("focus"):
            paths.append(self.folder.prepare.focus_doubts)
        for path in paths:
            found += read_json(path) if path.exists() else []
        return found

    @cached_property
    def judged_by_mean(self) -> dict[str, Any]:
        """What the preparation found of particles that do not fit the mean map."""
        return self.json(self.folder.prepare.outliers)

    @cached_property
    def rebalance(self) -> dict[str, Any]:
        """What was kept."""
        return self.json(self.folder.rebalance.summary)

    @cached_property
    def fdr(self) -> float:
        """The false-discovery rate asked for."""
        return float((self.config.get("consensus") or {}).get("fdr") or 0.05)

    def listed_metrics(self) -> list[dict[str, Any]]:
        """The records of the runs that the campaign asks for; others may lie beside them."""
        return [self.metrics[name] for name in self.run_names() if name in self.metrics]

    def run_names(self, method: str | None = None) -> list[str]:
        """Names of the runs, of one method where given."""
        if "run" not in self.runs:
            return sorted(self.metrics)
        keep = self.runs if method is None else self.runs[self.runs["method"] == method]
        return [str(name) for name in keep["run"]]


def particle_table(path: Path) -> StarTable:
    """The particle block of a STAR file, however old."""
    star = read_star(path)
    named = [t for t in star.tables if t.name == "particles"]
    return named[0] if named else max(star.tables, key=len)
