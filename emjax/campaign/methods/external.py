"""Classifications that other programs made."""

from collections.abc import Iterator

from emjax.campaign.costs import Cost, Facts
from emjax.campaign.methods.base import Batch, Config, Method
from emjax.campaign.names import EXTERNAL, RunName


class External(Method):
    """Labels of other programs, joined to the particles row by row."""

    name, prefix = "external", EXTERNAL

    def batches(self, config: Config) -> list[Batch]:
        """One per file."""
        names = [run["name"] for run in config["runs"]["external"]]
        return [Batch(f"ext_{name}", (), (RunName.external(name),), 0) for name in names]

    def jobs(self, facts: Facts, config: Config) -> Iterator[tuple[str, Cost]]:
        """None takes long."""
        return iter(())

    def contradictions(self, config: Config) -> Iterator[str]:
        """One name for two files."""
        names = [run["name"] for run in config["runs"]["external"]]
        for name in {name for name in names if names.count(name) > 1}:
            yield f"runs.external: found the name {name} twice, expected different names"
