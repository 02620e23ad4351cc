"""Thousands of seeds in the coordinates of a fitted basis; the best optima become runs."""

from collections.abc import Iterator
from pathlib import Path

from emjax.campaign.costs import Cost, Facts, pixel_operators
from emjax.campaign.folder import MethodFolder
from emjax.campaign.methods.base import Batch, Config, Method, seed_list
from emjax.campaign.names import RunName


def is_c1(config: Config) -> bool:
    """Whether the particles have no symmetry; the basis knows no other."""
    return config["symmetry"] == "C1"


class Subspace(Method):
    """Mixtures inside a subspace."""

    name, prefix, judged = "subspace", "sub", "maps inside the subspace"

    def batches(self, config: Config) -> list[Batch]:
        """One job; its runs are the optima that are kept, numbered from the best."""
        options = self.options(config)
        if not options:
            return []
        kept = range(options["keep"])
        runs = tuple(RunName(self.prefix, k, i) for k in options["n_classes"] for i in kept)
        seeds = seed_list(options["seeds"])
        return [Batch("subspace", tuple(seeds), runs, sum(options["n_classes"]) * len(seeds))]

    def jobs(self, facts: Facts, config: Config) -> Iterator[tuple[str, Cost]]:
        """The basis, and every seed inside it."""
        if self.fits_basis(config):
            yield "fit_subspace", pixel_operators(facts, config, 2)
        yield from super().jobs(facts, config)

    def cost(self, facts: Facts, config: Config, batch: Batch) -> Cost:
        """Of every seed and number of classes; a particle is a few moments of its coordinates."""
        options, basis = self.options(config), pixel_operators(facts, config)
        moments = options["n_components"] * (options["n_components"] + 3) / 2
        seconds = 1e-8 * facts.n * moments * batch.columns
        polished = options["polish_iterations"] * options["keep"] * len(options["n_classes"])
        seconds += polished * basis.seconds_an_iteration
        return Cost(basis.memory_mb, seconds, seconds, 120)

    def evidence(self, config: Config, folder: MethodFolder) -> Path | None:
        """Where there is a basis: it is judged."""
        return folder.evidence if self.fits_basis(config) else None

    def fits_basis(self, config: Config) -> bool:
        """For its own runs; else to settle and judge what runs of em3d find, where it can."""
        em3d = config["runs"]["em3d"] or {}
        return bool(self.options(config) or (em3d.get("evidence_seeds") and is_c1(config)))

    def contradictions(self, config: Config) -> Iterator[str]:
        """A point group."""
        if self.options(config) and not is_c1(config):
            yield (
                f"symmetry: found {config['symmetry']} with runs.subspace, which knows C1 only;"
                " expand the particles (relion_particle_symmetry_expand) and set C1"
            )

    def starts(self, config: Config) -> Iterator[tuple[str, str]]:
        """Components and maps of states where the basis starts."""
        for option in ("components", "states"):
            for path in self.options(config).get(option, []):
                yield f"runs.subspace.{option}", path
