"""The folder of a campaign: every path in it, by name.

Other tools read these names, so they are a contract. Paths are relative where the campaign's own
path is; whoever reads or writes a file asks here where it lies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emjax.campaign.names import RunName


@dataclass(frozen=True)
class Folder:
    """A folder whose files have names."""

    path: Path


class File:
    """A file or folder of that name in the folder that has it."""

    def __init__(self, name: str) -> None:
        """Its name, below the folder."""
        self.name = name

    def __get__(self, folder: Folder, owner: type) -> Path:
        """Where it lies."""
        return folder.path / self.name


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


class Particles:
    """A particle table of that name in the folder that has it."""

    def __init__(self, stem: str = "particles") -> None:
        """Its name without suffix."""
        self.stem = stem

    def __get__(self, folder: Folder, owner: type) -> ParticleFile:
        """Where it lies."""
        return ParticleFile(folder.path / self.stem)


@dataclass(frozen=True)
class PrepareFolder(Folder):
    """`prepare/`: whitened and cropped images and what was estimated from them."""

    particles = Particles()  # the input's rows: half-set, scale, fit, why set aside, refined pose
    facts = File("prepare.json")  # numbers of particles, boxes, pixels: what decides the cost
    images = File("images.npy")
    wide_images = File("images_full.npy")  # single precision, until they are narrowed to half
    mean_map = File("mean_map.mrc")
    solvent_mask = File("solvent_mask.mrc")
    noise = File("noise.tsv")  # power by optics group and shell
    outliers = File("outliers.json")  # how many fit no map, and what their scores mean
    poses = File("poses.json")  # how far off they were, and how far they were moved
    doubts = File("doubts.json")  # of the input, as the mean map shows them
    bad_images = File("bad_images.tsv")  # left out: which, why and by how much

    @property
    def half_maps(self) -> tuple[Path, Path]:
        """Mean maps of the half-sets."""
        return self.path / "mean_half1.mrc", self.path / "mean_half2.mrc"


@dataclass(frozen=True)
class RunFolder(Folder):
    """`runs/<run>/`: one classification."""

    particles = Particles()  # class and posterior of every particle
    posteriors = File("posteriors.npy")
    metrics = File("metrics.json")  # written last
    report = File("report.html")  # the page of the run
    fsc = File("fsc.tsv")
    focus_mask = File("focus_mask.mrc")  # as it was applied
    export = File("export")  # files for other programs, where they were asked for
    iterations = File("iterations")  # of each one while it runs: metrics, maps where asked for

    @property
    def name(self) -> RunName:
        """Parsed from the folder's name."""
        return RunName.parse(self.path.name)

    def class_map(self, number: int, part: str = "") -> Path:
        """Map of a class, from 1; `part` is empty, `half1`, `half2` or `hard`."""
        return self.path / _class_file(number, part)

    def class_maps(self) -> list[Path]:
        """Maps that are there, by number of the class."""
        return sorted(self.path.glob("class_???.mrc"))

    def initial_map(self, number: int) -> Path:
        """Map that a class started from, on the box of the first iterations."""
        return self.path / f"initial_{number:03d}.mrc"

    def table(self, name: str) -> Path:
        """A table of the method's own, such as `nodes` and `convergence` of a map."""
        return self.path / f"{name}.tsv"

    def images(self, kind: str) -> tuple[Path, Path]:
        """Stack and list of `class_averages` or `code_vectors`."""
        return self.path / f"{kind}.mrcs", self.path / f"{kind}.star"


@dataclass(frozen=True)
class MethodFolder(Folder):
    """`runs/<method>/`: what the runs of a method share."""

    evidence = File("evidence.json")  # what held-out particles say of its classes
    evidence_curve = File("evidence.tsv")  # held-out gain by number of classes
    basis = File("basis.npy")  # mean and components of a subspace
    statistics = File("statistics.npy")  # what each particle says about its coordinates
    held_out = File("held_out.npy")  # the same in the basis fitted without its half-set
    coordinates = File("coordinates.npy")  # posterior means; NaN for particles that take no part
    labels = File("labels.npy")  # of every optimum that was kept, from 0; -1 has no class
    likelihood = File("likelihood.tsv")  # of every seed
    seeds = File("seeds.npy")  # where every seed ended
    optima = File("optima.tsv")  # distinct answers that were kept


@dataclass(frozen=True)
class OutliersFolder(Folder):
    """`outliers/`: how well every particle fits the classes that the runs found."""

    gallery = File("gallery.mrcs")  # particles that were set aside, and others, with projections
    gallery_list = File("gallery.star")  # one row per picture
    fits = File("fits.tsv")  # one row per particle
    record = File("outliers.json")  # how many fit none, and what their scores mean


@dataclass(frozen=True)
class ConsensusFolder(Folder):
    """`consensus/`: what all runs say together."""

    particles = Particles()  # class, posterior and stability of every particle
    intersections = File("intersections.tsv")  # groups that all runs keep together
    linkage = File("linkage.npy")  # the tree of their merges, as SciPy writes it
    elbows = File("elbows.json")  # numbers of classes: of each rule, recommended, chosen
    stability = File("stability.tsv")  # one row per consensus class
    agreement = File("agreement.tsv")  # one row per pair of runs
    matching = File("matching.tsv")  # consensus classes beside the classes of every run
    confounders = File("confounders.tsv")  # what the classes follow besides the molecule

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
class RebalanceFolder(Folder):
    """`rebalance/`: superclasses, and the particles that are kept."""

    affinity = File("affinity.npy")  # of every pair of classes
    superclasses = File("superclasses.tsv")  # one row per class
    summary = File("rebalance.json")
    references = File("references.star")  # the given references with their superclasses
    kept = Particles("particles_kept")
    excluded = Particles("particles_excluded")


@dataclass(frozen=True)
class CampaignFolder(Folder):
    """`results/<campaign>/` and what lies beside it: logs and checkpoints."""

    runs_table = File("runs.tsv")  # one row per run
    export = File("export")  # files for other programs
    config = File("config.yaml")  # options of a campaign that repeats another
    record = File("campaign.json")  # options, versions, checksums: all that repeats the campaign
    report = File("report.html")
    verdict = File("verdict.json")  # the report's first words
    figures = File("figures")

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
    def outliers(self) -> OutliersFolder:
        """Fit of the particles to the runs' classes."""
        return OutliersFolder(self.path / "outliers")

    @property
    def consensus(self) -> ConsensusFolder:
        """The consensus of the runs."""
        return ConsensusFolder(self.path / "consensus")

    @property
    def rebalance(self) -> RebalanceFolder:
        """Superclasses and kept particles."""
        return RebalanceFolder(self.path / "rebalance")


def _class_file(number: int | str, part: str, suffix: str = "mrc") -> str:
    # A string is a wildcard of a rule.
    digits = f"{number:03d}" if isinstance(number, int) else number
    return f"class_{digits}{'_' if part else ''}{part}.{suffix}"
