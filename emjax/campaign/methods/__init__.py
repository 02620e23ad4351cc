"""The ways to classify that a campaign can run: `METHODS`, by their section under `runs:`."""

from collections.abc import Iterator

from emjax.campaign.alone import CAMPAIGN, job_of
from emjax.campaign.costs import Cost, Facts, consensus, prepare, reconstruct
from emjax.campaign.methods.base import Batch, Method
from emjax.campaign.methods.em3d import Em3d
from emjax.campaign.methods.external import External
from emjax.campaign.methods.som import Som
from emjax.campaign.methods.subspace import Subspace
from emjax.campaign.names import RunName

SUBSPACE = Subspace()
METHODS: dict[str, Method] = {m.name: m for m in (Em3d(), Som(), SUBSPACE, External())}


def all_runs(config: dict) -> list[RunName]:
    """Every run of a campaign, in the order of the consensus."""
    return [run for method in METHODS.values() for run in method.runs(config)]


def long_jobs(facts: Facts, config: dict) -> Iterator[tuple[str, Cost]]:
    """Names and costs of the jobs that take long, of a campaign or of one part alone."""
    if config["job"] == "reconstruct":
        yield "prepare_classes", prepare(facts)
        yield "reconstruct_class (all)", reconstruct(facts)
        return
    whole = job_of(config) == CAMPAIGN
    yield "prepare_particles" if whole else "prepare_images", prepare(facts)
    for method in METHODS.values():
        yield from method.jobs(facts, config)
    if whole and (runs := all_runs(config)):
        yield "build_consensus", consensus(facts, config, len(runs), SUBSPACE.fits_basis(config))
        yield "reconstruct_class (all)", reconstruct(facts)


__all__ = ["METHODS", "Batch", "Method", "all_runs", "long_jobs"]
