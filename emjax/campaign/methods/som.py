"""Self-organising maps (KerDenSOM) of particles seen from one side."""

from collections.abc import Iterator
from math import prod

from emjax.campaign.costs import Cost, Facts
from emjax.campaign.methods.base import Batch, Config, Method, portions, seed_list
from emjax.campaign.names import RunName
from emjax.errors import InputError


class Som(Method):
    """Maps of similar images."""

    name, prefix = "som", "som"
    # The first regularisation flattens any start onto the leading plane of the images.
    seeds_vary = False

    def batches(self, config: Config) -> list[Batch]:
        """`seeds_per_job` seeds each."""
        options = self.options(config)
        if not options:
            return []
        columns, rows = options["map"]
        return [
            Batch(
                f"som_s{seeds[0]:03d}",
                seeds,
                tuple(RunName.of_map(self.prefix, (columns, rows), seed) for seed in seeds),
                columns * rows * len(seeds),
            )
            for seeds in portions(seed_list(options["seeds"]), config["seeds_per_job"])
        ]

    def cost(self, facts: Facts, config: Config, batch: Batch) -> Cost:
        """Of images in real space, their masked copies, and a mirror."""
        options = self.options(config)
        seconds = 4e-8 * facts.n * batch.columns
        # Few annealing steps take all of their iterations.
        iterations = options["annealing_steps"] * options["max_iterations"] / 2
        return Cost(facts.always_mb + 6 * facts.images_mb, seconds, iterations * seconds, 120)

    def contradictions(self, config: Config) -> Iterator[str]:
        """Smoothness that does not fall, and a map of one node."""
        options = self.options(config)
        if options and options["initial_regularisation"] <= options["final_regularisation"]:
            yield (
                "runs.som.initial_regularisation: found"
                f" {options['initial_regularisation']:g}, expected more than"
                f" final_regularisation ({options['final_regularisation']:g})"
            )
        if options and options["aligned"] and config["job"] != "som":
            yield "runs.som.aligned: found true, expected it with job: som only"
        if options and options["map"] == [1, 1]:
            yield "runs.som.map: found [1, 1], expected 2 or more nodes"

    def check(self, config: Config, n_particles: int) -> Iterator[InputError]:
        """More nodes than particles."""
        options = self.options(config)
        if options and prod(options["map"]) > n_particles:
            found = f"{' x '.join(map(str, options['map']))} nodes"
            yield InputError("config", "runs.som.map", found, f"at most {n_particles} (particles)")
