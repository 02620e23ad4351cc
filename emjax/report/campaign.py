"""The files of a campaign as the report needs them; what was not run is simply absent."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emjax.io.files import read_tsv
from emjax.io.mrc.volume import read_volume
from emjax.io.star.tables import StarTable, read_star


@dataclass(frozen=True)
class Campaign:
    """A campaign's folder, read on demand."""

    folder: Path
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the campaign."""
        return str(self.config.get("campaign") or self.folder.name)

    def path(self, name: str) -> Path | None:
        """A file of the campaign, or None where it was not written."""
        path = self.folder / name
        return path if path.exists() else None

    def table(self, name: str) -> pd.DataFrame:
        """A tab-separated table; empty where absent."""
        path = self.path(name)
        return read_tsv(path) if path else pd.DataFrame()

    def json(self, name: str) -> dict[str, Any]:
        """A JSON file; empty where absent."""
        path = self.path(name)
        return json.loads(path.read_text(encoding="utf-8")) if path else {}

    def array(self, name: str) -> np.ndarray | None:
        """An array, mapped rather than loaded."""
        path = self.path(name)
        return np.load(path, mmap_mode="r", allow_pickle=False) if path else None

    def volume(self, name: str) -> tuple[np.ndarray, float] | None:
        """A map and its voxel size in Å."""
        path = self.path(name)
        return read_volume(path) if path else None

    @cached_property
    def runs(self) -> pd.DataFrame:
        """runs.tsv."""
        return self.table("runs.tsv")

    @cached_property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """metrics.json of every run that has one."""
        paths = sorted(self.folder.glob("runs/*/metrics.json"))
        return {p.parent.name: json.loads(p.read_text(encoding="utf-8")) for p in paths}

    @cached_property
    def intersections(self) -> pd.DataFrame:
        """consensus/intersections.tsv."""
        return self.table("consensus/intersections.tsv")

    @cached_property
    def linkage(self) -> np.ndarray | None:
        """consensus/linkage.npy, SciPy's (n−1, 4)."""
        found = self.array("consensus/linkage.npy")
        return None if found is None else np.array(found, float).reshape(-1, 4)

    @cached_property
    def elbows(self) -> dict[str, Any]:
        """consensus/elbows.json: the rules' numbers, the recommended one and why."""
        return self.json("consensus/elbows.json")

    @cached_property
    def stability(self) -> pd.DataFrame:
        """consensus/stability.tsv, one row a consensus class."""
        return self.table("consensus/stability.tsv")

    @cached_property
    def particles(self) -> dict[str, np.ndarray]:
        """Class, stability and posterior of every particle in the consensus."""
        path = self.path("consensus/particles.star")
        if path is None:
            return {}
        table = particle_table(path)
        names = ("rlnClassNumber", "emjaxStability", "emjaxClassPosterior")
        return {name: table.numbers(name) for name in names if name in table}

    @cached_property
    def class_numbers(self) -> list[int]:
        """Numbers (1-based) of the consensus classes."""
        if "class" in self.stability:
            numbers = {int(c) for c in self.stability["class"] if c > 0}
        else:
            numbers = {
                int(p.stem[6:]) for p in self.folder.glob("consensus/class_[0-9][0-9][0-9].mrc")
            }
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
        main = "em3d" if "em3d" in known else max(known, key=known.count, default="")
        return {n: v for n, v, m in found if m == main and np.isfinite(v)}

    def run_methods(self) -> dict[str, str]:
        """Method of every run; empty where none is told."""
        names = self.run_names()
        methods = self.runs["method"].astype(str) if "method" in self.runs else [""] * len(names)
        return dict(zip(names, methods, strict=True))

    def run_classes(self) -> dict[str, int]:
        """Number of classes of every run that has one."""
        known = column(self.runs, "n_classes")
        if known is None:
            return {}
        pairs = zip(self.run_names(), known.tolist(), strict=True)
        return {name: int(k) for name, k in pairs if np.isfinite(k)}

    def by_class(self, name: str) -> dict[int, float]:
        """A column of stability.tsv by class number."""
        values, classes = column(self.stability, name), column(self.stability, "class")
        if values is None or classes is None:
            return {}
        return {int(c): float(v) for c, v in zip(classes, values, strict=True)}

    @cached_property
    def preparation(self) -> dict[str, Any]:
        """prepare/prepare.json."""
        return self.json("prepare/prepare.json")

    @cached_property
    def rebalance(self) -> dict[str, Any]:
        """rebalance/rebalance.json: what was kept."""
        return self.json("rebalance/rebalance.json")

    @cached_property
    def fdr(self) -> float:
        """The false-discovery rate asked for."""
        return float((self.config.get("consensus") or {}).get("fdr") or 0.05)

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


def column(table: pd.DataFrame, *names: str) -> np.ndarray | None:
    """The first of these columns that the table has, as float64."""
    for name in names:
        if name in table:
            return np.asarray(pd.to_numeric(table[name], errors="coerce"), float)
    return None


def numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column that the table is known to have, as float64."""
    found = column(table, name)
    return np.full(len(table), np.nan) if found is None else found


def truths(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column of True and False as written by any program; False where absent."""
    if name not in table:
        return np.zeros(len(table), bool)
    return np.array([str(value).lower() in ("true", "1") for value in table[name]], bool)


def traces(intersections: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Run names, and the class (1-based, 0 where missing) of every group in every run.

    Traces read `em3d-K04-s000.2 & em3d-K04-s001.1`.
    """
    parts = [
        dict(item.rsplit(".", 1) for item in str(trace).split(" & ") if "." in item)
        for trace in (intersections["trace"] if "trace" in intersections else [])
    ]
    names = list(dict.fromkeys(name for part in parts for name in part))
    classes = np.array([[int(part.get(name, 0)) for name in names] for part in parts], int).reshape(
        -1, len(names)
    )
    return names, classes


def contingency(first: np.ndarray, second: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Particles shared by each class of one labelling with each class of another (from class 1)."""
    a, b = first, second
    both = (a > 0) & (b > 0)
    table = np.zeros((int(a.max(initial=0)), int(b.max(initial=0))))
    np.add.at(table, (a[both] - 1, b[both] - 1), size[both])
    return table
