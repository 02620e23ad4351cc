"""The folder of a campaign: every path in it, by name.

Other tools read these names, so they are a contract. Paths are plain `pathlib.Path`s, relative
where the campaign's own path is; whoever reads or writes a file asks here where it lies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emjax.campaign.names import RunName


@dataclass(frozen=True)
class ParticleFile:
    """A particle table in every format that the campaign writes: a CryoSPARC input gets both."""

    stem: Path

    @property
    def star(self) -> Path:
        """The RELION file, which is always there."""
        return self.stem.with_name(f"{self.stem.name}.star")

    def all(self, suffixes: tuple[str, ...] = (".star",)) -> list[Path]:
        """A file for each suffix."""
        return [self.stem.with_name(f"{self.stem.name}{suffix}") for suffix in suffixes]


@dataclass(frozen=True)
class PrepareFolder:
    """`prepare/`: whitened and cropped images and what was estimated from them."""

    path: Path

    @property
    def particles(self) -> ParticleFile:
        """The input's rows with half-set and scale."""
        return ParticleFile(self.path / "particles")

    @property
    def facts(self) -> Path:
        """Numbers of particles, boxes, pixels: what decides the cost of a campaign."""
        return self.path / "prepare.json"

    @property
    def images(self) -> Path:
        """Images in Fourier space."""
        return self.path / "images.npy"

    @property
    def mean_map(self) -> Path:
        """Of all particles, on the cropped box."""
        return self.path / "mean_map.mrc"

    @property
    def half_maps(self) -> tuple[Path, Path]:
        """Mean maps of the half-sets."""
        return self.path / "mean_half1.mrc", self.path / "mean_half2.mrc"

    @property
    def solvent_mask(self) -> Path:
        """On the cropped box."""
        return self.path / "solvent_mask.mrc"

    @property
    def noise(self) -> Path:
        """Noise power by optics group and shell."""
        return self.path / "noise.tsv"


@dataclass(frozen=True)
class RunFolder:
    """`runs/<run>/`: one classification."""

    path: Path

    @property
    def name(self) -> RunName:
        """Parsed from the folder's name."""
        return RunName.parse(self.path.name)

    @property
    def particles(self) -> ParticleFile:
        """Class and posterior of every particle."""
        return ParticleFile(self.path / "particles")

    @property
    def posteriors(self) -> Path:
        """Of every particle and class."""
        return self.path / "posteriors.npy"

    @property
    def metrics(self) -> Path:
        """The run's record; written last."""
        return self.path / "metrics.json"

    @property
    def fsc(self) -> Path:
        """Of each class's half-maps."""
        return self.path / "fsc.tsv"

    @property
    def focus_mask(self) -> Path:
        """As it was applied, on the cropped box."""
        return self.path / "focus_mask.mrc"

    @property
    def iterations(self) -> Path:
        """Maps and classes after each iteration, where they are asked for."""
        return self.path / "iterations"

    def class_map(self, number: int, part: str = "") -> Path:
        """Map of a class, from 1; `part` is empty, `half1`, `half2` or `hard`."""
        return self.path / _class_file(number, part)

    def class_maps(self) -> list[Path]:
        """Maps that are there, by number of the class."""
        return sorted(self.path.glob("class_???.mrc"))

    def images(self, kind: str) -> tuple[Path, Path]:
        """Stack and list of a map's `class_averages` or `code_vectors`."""
        return self.path / f"{kind}.mrcs", self.path / f"{kind}.star"

    @property
    def nodes(self) -> Path:
        """One row per node of a map."""
        return self.path / "nodes.tsv"

    @property
    def convergence(self) -> Path:
        """One row per iteration of a map."""
        return self.path / "convergence.tsv"


@dataclass(frozen=True)
class MethodFolder:
    """`runs/<method>/`: what the runs of a method share."""

    path: Path

    @property
    def evidence(self) -> Path:
        """What held-out particles say of its classes."""
        return self.path / "evidence.json"

    @property
    def evidence_curve(self) -> Path:
        """Held-out gain by number of classes."""
        return self.path / "evidence.tsv"

    @property
    def basis(self) -> Path:
        """Mean and components of a subspace."""
        return self.path / "basis.npy"

    @property
    def statistics(self) -> Path:
        """What each particle says about its coordinates."""
        return self.path / "statistics.npy"

    @property
    def coordinates(self) -> Path:
        """Posterior means of the coordinates."""
        return self.path / "coordinates.npy"

    @property
    def labels(self) -> Path:
        """Of every optimum that was kept."""
        return self.path / "labels.npy"

    @property
    def likelihood(self) -> Path:
        """Of every seed."""
        return self.path / "likelihood.tsv"

    @property
    def seeds(self) -> Path:
        """Where every seed ended."""
        return self.path / "seeds.npy"

    @property
    def optima(self) -> Path:
        """Distinct answers that were kept."""
        return self.path / "optima.tsv"


@dataclass(frozen=True)
class ConsensusFolder:
    """`consensus/`: what all runs say together."""

    path: Path

    @property
    def particles(self) -> ParticleFile:
        """Class, posterior and stability of every particle."""
        return ParticleFile(self.path / "particles")

    @property
    def intersections(self) -> Path:
        """Groups of particles that all runs keep together."""
        return self.path / "intersections.tsv"

    @property
    def linkage(self) -> Path:
        """The tree of their merges, as SciPy writes it."""
        return self.path / "linkage.npy"

    @property
    def elbows(self) -> Path:
        """Numbers of classes by each rule, the recommended and the chosen one."""
        return self.path / "elbows.json"

    @property
    def stability(self) -> Path:
        """One row per consensus class."""
        return self.path / "stability.tsv"

    @property
    def agreement(self) -> Path:
        """Of every pair of runs."""
        return self.path / "agreement.tsv"

    @property
    def matching(self) -> Path:
        """Consensus classes beside the classes of every run."""
        return self.path / "matching.tsv"

    @property
    def confounders(self) -> Path:
        """What the classes follow besides the molecule."""
        return self.path / "confounders.tsv"

    def class_map(self, number: int | str, part: str = "") -> Path:
        """Map of a class at full box; `part` is empty, `half1` or `half2`."""
        return self.path / _class_file(number, part)

    def class_fsc(self, number: int | str) -> Path:
        """FSC of its half-maps."""
        return self.path / _class_file(number, "fsc", "tsv")

    def class_maps(self) -> list[Path]:
        """Maps that are there, by number of the class."""
        return sorted(self.path.glob("class_???.mrc"))

    def of_classes(self) -> Iterator[Path]:
        """Every file of any class."""
        return self.path.glob("class_*")


@dataclass(frozen=True)
class RebalanceFolder:
    """`rebalance/`: superclasses, and the particles that are kept."""

    path: Path

    @property
    def affinity(self) -> Path:
        """Of every pair of classes."""
        return self.path / "affinity.npy"

    @property
    def superclasses(self) -> Path:
        """One row per class."""
        return self.path / "superclasses.tsv"

    @property
    def summary(self) -> Path:
        """Numbers of superclasses and particles."""
        return self.path / "rebalance.json"

    @property
    def references(self) -> Path:
        """The given references with their superclasses."""
        return self.path / "references.star"

    @property
    def kept(self) -> ParticleFile:
        """Particles that are kept."""
        return ParticleFile(self.path / "particles_kept")

    @property
    def excluded(self) -> ParticleFile:
        """Particles that are not."""
        return ParticleFile(self.path / "particles_excluded")


@dataclass(frozen=True)
class CampaignFolder:
    """`results/<campaign>/` and what lies beside it: logs and checkpoints."""

    path: Path

    @classmethod
    def of(cls, campaign: str, base: Path = Path()) -> "CampaignFolder":
        """The folder of a campaign by name, below the folder where emjax runs."""
        return cls(base / "results" / campaign)

    @property
    def base(self) -> Path:
        """Where emjax runs."""
        return self.path.parent.parent

    @property
    def logs(self) -> Path:
        """One log per job."""
        return self.base / "logs" / self.path.name

    @property
    def benchmarks(self) -> Path:
        """Time and memory of each job."""
        return self.logs / "benchmarks"

    @property
    def checkpoints(self) -> Path:
        """Where unfinished jobs stand; outside the declared outputs, which failed jobs lose."""
        return self.base / "checkpoints" / self.path.name

    @property
    def prepare(self) -> PrepareFolder:
        """Prepared particles."""
        return PrepareFolder(self.path / "prepare")

    def run(self, name: RunName | str) -> RunFolder:
        """One run."""
        return RunFolder(self.path / "runs" / str(name))

    def method(self, method: str) -> MethodFolder:
        """What the runs of a method share."""
        return MethodFolder(self.path / "runs" / method)

    @property
    def runs_table(self) -> Path:
        """One row per run."""
        return self.path / "runs.tsv"

    @property
    def consensus(self) -> ConsensusFolder:
        """The consensus of the runs."""
        return ConsensusFolder(self.path / "consensus")

    @property
    def rebalance(self) -> RebalanceFolder:
        """Superclasses and kept particles."""
        return RebalanceFolder(self.path / "rebalance")

    @property
    def export(self) -> Path:
        """Files for other programs."""
        return self.path / "export"

    @property
    def config(self) -> Path:
        """The configuration of a campaign that repeats another."""
        return self.path / "config.yaml"

    @property
    def record(self) -> Path:
        """Options, versions, checksums and times: all that repeats the campaign."""
        return self.path / "campaign.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def figures(self) -> Path:
        """The page's figures one by one."""
        return self.path / "figures"


def _class_file(number: int | str, part: str, suffix: str = "mrc") -> str:
    # A string is a wildcard of a rule.
    digits = f"{number:03d}" if isinstance(number, int) else number
    return f"class_{digits}{'_' if part else ''}{part}.{suffix}"
