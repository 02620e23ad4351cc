"""What a method is for the workflow: its options, its runs and jobs, their cost, its starts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from emjax.campaign.costs import Cost, Facts
from emjax.campaign.folder import MethodFolder
from emjax.campaign.names import RunName
from emjax.errors import InputError

Config = dict[str, Any]


class Batch(NamedTuple):
    """Runs that share a job."""

    name: str  # of the job, below the method's name
    seeds: tuple[int, ...]
    runs: tuple[RunName, ...]
    columns: int  # classes of all runs together


class Method:
    """A way to classify: the section `runs.<name>` of the configuration and what follows from it.

    A method that has nothing to say about something inherits it from here.
    """

    name: ClassVar[str]
    prefix: ClassVar[str]  # of its runs' names
    seeds_vary: ClassVar[bool] = True  # else all seeds end in one answer and count as one run
    judged: ClassVar[str | None] = None  # what held-out particles judge, in words; None: nothing

    def options(self, config: Config) -> Config:
        """Its section of the configuration; empty where it is not run."""
        return config["runs"][self.name] or {}

    def batches(self, config: Config) -> list[Batch]:
        """Its jobs that make runs."""
        raise NotImplementedError

    def runs(self, config: Config) -> tuple[RunName, ...]:
        """Its runs, in their order."""
        return tuple(run for batch in self.batches(config) for run in batch.runs)

    def jobs(self, facts: Facts, config: Config) -> Iterator[tuple[str, Cost]]:
        """Names and costs of its jobs that take long; those of the batches, where that is all."""
        for batch in self.batches(config):
            yield f"classify_{batch.name}", self.cost(facts, config, batch)

    def cost(self, facts: Facts, config: Config, batch: Batch) -> Cost:
        """What one of its jobs costs."""
        raise NotImplementedError

    def evidence(self, config: Config, folder: MethodFolder) -> Path | None:
        """The file that says what held-out particles support; None where nothing judges it."""
        return None

    def contradictions(self, config: Config) -> Iterator[str]:
        """What its options cannot mean together: place, what was found, what would be right."""
        return iter(())

    def check(self, config: Config, n_particles: int) -> Iterator[InputError]:
        """What its options cannot mean for so many particles."""
        return iter(())

    def starts(self, config: Config) -> Iterator[tuple[str, str]]:
        """Option and path of every file of the user's that its runs start from."""
        return iter(())


def seed_list(seeds: int | Sequence[int]) -> list[int]:
    """Seeds 0 … n−1 of a number n, or the list itself."""
    return list(range(seeds)) if isinstance(seeds, int) else list(seeds)


def portions(values: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """The values in their order, so many at a time."""
    for start in range(0, len(values), size):
        yield tuple(values[start : start + size])
