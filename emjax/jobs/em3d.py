"""A batch of em3d runs: what it starts from, and what it found."""

import dataclasses
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from emjax.campaign.job import Job
from emjax.campaign.names import RunName
from emjax.classify.classification import Classification
from emjax.classify.em3d.given import (
    ANTICORRELATED,
    HARDLY,
    correlations,
    fit_scale,
    group_maps,
)
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Run, RunState, Scene, make_scene
from emjax.classify.operators.passes import Engine, make_engine
from emjax.errors import InputError
from emjax.imaging.grids import resample
from emjax.io.mrc.volume import read_volume
from emjax.jobs.checkpoint import Checkpoint, fingerprint
from emjax.jobs.em3d_progress import Iterations, Progress, stand
from emjax.jobs.em3d_starts import write_starts
from emjax.jobs.prepared import Prepared
from emjax.jobs.subspace import given_components


def em3d_options(options: dict[str, Any]) -> Em3dOptions:
    """Options of the library from those of the configuration."""
    known = {field.name for field in dataclasses.fields(Em3dOptions)}
    return Em3dOptions(**{name: value for name, value in options.items() if name in known})


def read_scene(prepared: Prepared, focus: str | None) -> Scene:
    """Mean map and masks on the cropped box."""
    return make_scene(prepared.mean_map, prepared.solvent_mask, prepared.focus_mask(focus))


def first_maps(paths: Sequence[str], prepared: Prepared) -> np.ndarray | None:
    """The user's maps on the cropped box and the mean map's scale; None where there are none.

    Raises:
        InputError: where a map is anticorrelated with the mean map.
    """
    if not paths:
        return None
    box_size, mean, mask = prepared.particles.box_size, prepared.mean_map, prepared.solvent_mask
    volumes = np.stack([resample(read_volume(p)[0], box_size) for p in paths])
    for path, correlation in zip(paths, correlations(volumes, mean, mask), strict=True):
        found = f"{path}, whose correlation with the mean map is {correlation:.2f}"
        if correlation < ANTICORRELATED:
            expected = "white particles at the particles' orientations; invert the map"
            raise InputError("config", "runs.em3d.initial_maps", found, expected)
        if correlation < HARDLY:
            warnings.warn(
                f"runs.em3d.initial_maps: {found}: other particles, or another orientation, centre"
                " or hand",
                stacklevel=2,
            )
    return fit_scale(volumes, mean, mask)


def shared_warnings(names: Sequence[RunName], results: Sequence[Classification]) -> Iterator[str]:
    """One line per kind of warning, with the first run that has it and how many others do."""
    kinds: dict[str, list[str]] = {}
    for name, result in zip(names, results, strict=True):
        for warning in result.warnings:
            # The same but for its numbers.
            kinds.setdefault(re.sub(r"[\d.]+", "0", warning), []).append(f"{name}: {warning}")
    for first, *others in kinds.values():
        more = f" (and {len(others)} more like it: metrics.json of the runs)" if others else ""
        yield f"{first}{more}"


class Em3dBatch:
    """Runs that share a pass of the data, ready to start or to resume."""

    def __init__(
        self, work: Job, prepared: Prepared, names: Sequence[RunName], params: Any
    ) -> None:
        """Reads masks and first maps; `params` are those of the rule."""
        self._work, self._prepared, self._params = work, prepared, params
        self.names = names
        self.runs = [Run(name.n_classes or 0, name.seed or 0) for name in names]
        self.options = em3d_options(params.options)
        self.scene = read_scene(prepared, params.focus)
        maps = first_maps(params.options["initial_maps"], prepared)
        self.first_maps = None
        if maps is not None:
            self.first_maps = {r: group_maps(maps, r.n_classes, r.seed) for r in self.runs}
        self.components = given_components(params.options["initial_components"], prepared)
        self.checkpoint = Checkpoint(work.checkpoint, self._fingerprint())
        folders = dict(zip(self.runs, map(work.folder.run, names), strict=True))
        self._iterations = Iterations(folders, prepared, self.options.write_each_iteration)
        self.resume = self.checkpoint.load()
        if self.resume:
            work.say("resuming after {} iteration {}".format(*stand(self.resume)))
        else:
            self._iterations.remove()

    def _fingerprint(self) -> str:
        """Of all that decides the result: a checkpoint of anything else is not used."""
        params, folder = self._params, self._prepared.folder
        names, precision = list(map(str, self.names)), str(self._prepared.particles.images.dtype)
        settings = [params.emjax, params.options, params.focus, names, precision]
        files = [folder.particles.star, folder.noise, folder.solvent_mask, folder.mean_map]
        starts = [*params.options["initial_maps"], *params.options["initial_components"]]
        given = [*([params.focus] if params.focus else []), *starts]
        return fingerprint(settings, [*files, *given])

    @cached_property
    def engine(self) -> Engine:
        """The particles to which classes are fitted."""
        return self._engine(self.options.particle_limit)

    @cached_property
    def everyone(self) -> Engine | None:
        """All particles, where classes are fitted to some of them."""
        return self._engine(None) if self.options.particle_limit else None

    def _engine(self, limit: int | None) -> Engine:
        memory, highpass = self._work.config["max_memory_gb"], self.options.highpass_resolution
        return make_engine(self._prepared.particles, memory, 0, highpass, limit)

    @cached_property
    def progress(self) -> Progress:
        """What is to be called after each iteration."""
        return Progress(self._work, self.options, self.checkpoint, self._iterations)

    def started(self, states: Sequence[RunState]) -> None:
        """Write the first maps and say how different they are."""
        extent = self._prepared.particles.extent
        write_starts(self._work, self.names, states, self.options.initial, extent)

    @property
    def seconds_per_run(self) -> float:
        """Time spent, interrupted attempts included."""
        return self.checkpoint.seconds / len(self.runs)

    def write_iterations(self, results: Sequence[Classification]) -> None:
        """Write the tables of all iterations, with the classes' final numbers."""
        for run, result in zip(self.runs, results, strict=True):
            self._iterations.tabulate(run, result.history)

    def close(self) -> None:
        """Forget where the runs stood: all files are written."""
        self.checkpoint.remove()
