"""3D classification without alignment, full maps, all seeds in one pass of the data."""

from collections.abc import Iterator
from pathlib import Path

from emjax.campaign.costs import BLOCKS, OPERATORS, Cost, Facts, pixel_operators
from emjax.campaign.folder import MethodFolder
from emjax.campaign.methods.base import Batch, Config, Method, portions, seed_list
from emjax.campaign.methods.subspace import is_c1
from emjax.campaign.names import RunName
from emjax.errors import InputError

TILE = 16  # classes that are sliced and inserted together
COMPONENTS = ("variability", "components")  # initial maps made in a basis of volumes


class Em3d(Method):
    """Expectation-maximisation of full maps."""

    name, prefix, judged = "em3d", "em3d", "full maps"

    def batches(self, config: Config) -> list[Batch]:
        """`seeds_per_job` seeds with every number of classes."""
        options = self.options(config)
        if not options:
            return []
        return [
            Batch(
                f"em3d_s{seeds[0]:03d}",
                seeds,
                tuple(RunName(self.prefix, k, s) for k in options["n_classes"] for s in seeds),
                sum(options["n_classes"]) * len(seeds),
            )
            for seeds in portions(seed_list(options["seeds"]), config["seeds_per_job"])
        ]

    def jobs(self, facts: Facts, config: Config) -> Iterator[tuple[str, Cost]]:
        """The batches, and the held-out evidence."""
        yield from super().jobs(facts, config)
        if self.is_judged(config):
            yield "judge_em3d", self.cost_of_evidence(facts, config)

    def cost(self, facts: Facts, config: Config, batch: Batch) -> Cost:
        """Of a batch."""
        return self.cost_of_columns(facts, config, batch.columns)

    def cost_of_columns(self, facts: Facts, config: Config, columns: int) -> Cost:
        """Of classifications with so many classes together."""
        limit = 1024 * config["max_memory_gb"]
        options = self.options(config)
        tiles = -(-columns // TILE)
        # Neither a run nor a tile is divided.
        widest = -(-max(options["n_classes"]) // TILE)
        blocks = min(BLOCKS * facts.images_mb, limit / 2)
        if options["initial"] in COMPONENTS:
            blocks = max(blocks, min(OPERATORS * facts.images_mb, limit))
        tile = TILE * 140e-6 * facts.voxels
        memory = (
            facts.always_mb
            + blocks
            + min(tiles * tile, max(limit / 4, widest * tile))
            + 280e-6 * facts.voxels  # entries of the blocks being inserted
            + limit / 8  # maps being solved
            + columns * (6e-6 * facts.n + 40e-6 * facts.map_voxels)
        )
        if options["initial"] == "pca":
            memory += options["pca_reconstructions"] * (1e-6 * facts.n + 16e-6 * facts.map_voxels)
        seconds = (
            facts.n * facts.pixels * (4e-8 + 3e-8 * tiles) + 4.5e-8 * columns * facts.map_voxels
        )
        passes = (
            options["full_iterations"] + options["last_iterations"] + options["online_epochs"] + 3
        )
        if start := options["start_resolution"]:
            pixels = 0.5 if start == "auto" else (config["filter_resolution"] / start) ** 2
            passes += options["full_iterations"] * pixels
        return Cost(memory, seconds, passes * seconds)

    def cost_of_evidence(self, facts: Facts, config: Config) -> Cost:
        """Of classifying each half-set alone, one after the other, for the held-out evidence."""
        options = self.options(config)
        numbers = sum(options["n_classes"])
        cost = self.cost_of_columns(facts, config, 1 + options["evidence_seeds"] * numbers)
        # One run of each number starts from the variability besides.
        given = options["initial"] not in ("simple", "pca")
        again = 0 if given else self.cost_of_columns(facts, config, numbers).seconds
        memory = max(cost.memory_mb, pixel_operators(facts, config).memory_mb)
        return cost._replace(memory_mb=memory, seconds=cost.seconds + again)

    def evidence(self, config: Config, folder: MethodFolder) -> Path | None:
        """Where half-sets are classified anew."""
        return folder.evidence if self.is_judged(config) else None

    def is_judged(self, config: Config) -> bool:
        """Where `evidence_seeds` asks for it, and no basis of variability can be had."""
        return bool(self.options(config).get("evidence_seeds")) and not is_c1(config)

    def contradictions(self, config: Config) -> Iterator[str]:
        """First maps without `initial: input`, and classes in two orders at once."""
        options = self.options(config)
        if not options:
            return
        if options["reorder_by_size"] and options["write_each_iteration"]:
            yield (
                "runs.em3d.reorder_by_size: excludes write_each_iteration, whose classes are"
                " numbered before their sizes are known"
            )
        if (options["initial"] == "input") != bool(options["initial_maps"]):
            yield "runs.em3d.initial_maps: needed with initial: input, and only there"
        if options["initial_components"] and options["initial"] not in COMPONENTS:
            found = f"found initial: {options['initial']}"
            yield f"runs.em3d.initial_components: {found}, expected {' or '.join(COMPONENTS)}"

    def check(self, config: Config, n_particles: int) -> Iterator[InputError]:
        """More classes than particles, or than first maps."""
        options = self.options(config)
        for k in options.get("n_classes", []):
            if k > n_particles:
                expected = f"at most {n_particles} particles"
                yield InputError("config", "runs.em3d.n_classes", k, expected)
            maps = options["initial_maps"]
            if maps and len(maps) < k:
                found = f"{len(maps)} maps for {k} classes"
                expected = "one map per class, or more, which are averaged in groups"
                yield InputError("config", "runs.em3d.initial_maps", found, expected)

    def starts(self, config: Config) -> Iterator[tuple[str, str]]:
        """First maps of `initial: input`, and components found elsewhere."""
        for option in ("initial_maps", "initial_components"):
            for path in self.options(config).get(option, []):
                yield f"runs.em3d.{option}", path
