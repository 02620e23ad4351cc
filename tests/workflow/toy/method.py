"""Classes of equal defocus: no science, only the smallest method there can be."""

from emjax.campaign.costs import Cost, Facts
from emjax.campaign.methods.base import Batch, Config, Method, seed_list
from emjax.campaign.names import RunName


class Toy(Method):
    """Particles sorted by defocus."""

    name, prefix = "toy", "toy"

    def batches(self, config: Config) -> list[Batch]:
        """One job."""
        if not (options := self.options(config)):
            return []
        seeds, k = seed_list(options["seeds"]), options["n_classes"]
        runs = tuple(RunName(self.prefix, k, seed) for seed in seeds)
        return [Batch("toy", tuple(seeds), runs, k * len(seeds))]

    def cost(self, facts: Facts, config: Config, batch: Batch) -> Cost:
        """Next to nothing."""
        return Cost(facts.always_mb, 1.0, 1.0)
