"""First maps of a batch of em3d runs, written before the first iteration; how they differ."""

import warnings
from collections.abc import Sequence

from emjax.campaign.job import Job
from emjax.campaign.names import RunName
from emjax.classify.em3d.start import NEARLY_EQUAL, overall
from emjax.classify.em3d.state import RunState
from emjax.io.mrc.volume import write_volume


def write_starts(
    work: Job, names: Sequence[RunName], states: Sequence[RunState], initial: str, extent: float
) -> None:
    """Write the first maps of every run and say how different they are.

    They are no declared outputs: these are lost when a job fails, and one that resumes does not
    start again.

    Args:
        work: the job.
        names: of the runs.
        states: before the first iteration.
        initial: what they were made by.
        extent: length of the box in Å.
    """
    for name, state in zip(names, states, strict=True):
        for number, volume in enumerate(state.volumes, 1):
            path = work.folder.run(name).initial_map(number)
            write_volume(path, volume, extent / len(volume))
    apart = {str(n): overall(s.initial_differences) for n, s in zip(names, states, strict=True)}
    low, high = min(apart.values()), max(apart.values())
    example = work.folder.run(names[0]).initial_map(1)
    span = f"{low:.1%}" if f"{low:.1%}" == f"{high:.1%}" else f"{low:.1%} to {high:.1%}"
    work.say(
        f"initial maps ({initial}) differ from their mean by {span} (RMS, of the mean map's):"
        f" {example} and so on"
    )
    for name, part in apart.items():
        work.note(f"{name}: initial maps differ by {part:.2%}")
    equal = [name for name, state in zip(apart, states) if nearly_equal(state)]
    if equal:
        warnings.warn(
            f"runs.em3d.initial: {initial}: found initial maps of {equal[0]}"
            f"{f' and {len(equal) - 1} more runs' if len(equal) > 1 else ''} that differ by"
            f" {apart[equal[0]]:.2%} (RMS), expected {NEARLY_EQUAL:.1%} or more: the classes may"
            " take many iterations to grow apart, or stay alike; initial: variability makes maps"
            " that differ more, initial: simple with fewer particles_per_reconstruction too",
            stacklevel=2,
        )


def nearly_equal(state: RunState) -> bool:
    """Whether the first maps of a run with several classes hardly differ."""
    return state.run.n_classes > 1 and overall(state.initial_differences) < NEARLY_EQUAL
