"""From a particle file to classes and maps without Snakemake: what `import emjax` gives.

Each function is one stage of a campaign, with the same numbers; files are read and written only
where a name says so.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from emjax.campaign.methods import METHODS
from emjax.campaign.methods.base import seed_list
from emjax.campaign.names import RunName
from emjax.classify.classification import Classification
from emjax.classify.em3d.iterations import classify
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Run, make_scene
from emjax.classify.operators.passes import make_engine
from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.outliers import OutlierOptions, leave_out
from emjax.classify.pose_error import PoseError
from emjax.classify.pose_refinement import refine_poses
from emjax.classify.som.images import circular_mask
from emjax.classify.som.kerdensom import SomOptions
from emjax.classify.som.runs import classify_images
from emjax.classify.subspace.analysis import analyse
from emjax.classify.subspace.mixture import fit_seeds
from emjax.classify.subspace.optima import distinct_optima, information
from emjax.classify.subspace.recipes import SubspaceOptions
from emjax.classify.subspace.runs import Polishing, full_maps, keep_optima
from emjax.consensus import build
from emjax.consensus.build import Consensus
from emjax.consensus.options import ConsensusOptions
from emjax.consensus.settle import Images
from emjax.imaging import prepare as preparation
from emjax.imaging import reconstruct as reconstruction
from emjax.imaging.inplane import upright_images
from emjax.imaging.masks import resample_mask
from emjax.imaging.particles import Particles
from emjax.imaging.prepare import Prepared, PrepareOptions
from emjax.io.particles.particle_set import ParticleSet, write_particles
from emjax.jobs.consensus import class_columns
from emjax.jobs.optics import doubts_of_optics
from emjax.jobs.preparation import aligned_images

Progress = Callable[[int, int], None]


def prepare(
    particles: ParticleSet,
    filter_resolution: int | float | PrepareOptions,
    mask: Float[np.ndarray, "d d d"] | None = None,
    progress: Progress = lambda done, total: None,
    outliers: OutlierOptions | None = None,
    pose_error: str | PoseError = "auto",
) -> Prepared:
    """Whitened, cropped images in memory, with the mean map, solvent mask and noise.

    Particles that are set aside have weight 0: no classification uses them.

    Args:
        particles: with poses and CTFs.
        filter_resolution: Å, or all options of the preparation.
        mask: solvent mask on the particles' box; made from the mean map where None.
        progress: called with particles read and in all.
        outliers: which particles to set aside; as a campaign does where None.
        pose_error: uncertainty of the poses, within which they are refined; `auto` finds it, `off`
            takes them as exact.

    Raises:
        InputError: where options cannot be used, or too many images would spoil the rest.
    """
    given = isinstance(filter_resolution, PrepareOptions)
    options = filter_resolution if given else PrepareOptions(float(filter_resolution))
    images = aligned_images(particles, options.scale == "input")
    prepared = preparation.prepare(images, options, mask, progress=progress)
    prepared, _ = leave_out(prepared, outliers or OutlierOptions(), options)
    prepared = refine_poses(prepared, pose_error, options, particles.micrograph)[0]
    for doubt in doubts_of_optics(prepared, particles, options):
        warnings.warn(doubt, stacklevel=2)
    return prepared


def classify_em3d(
    prepared: Prepared,
    n_classes: int | Sequence[int],
    seeds: int | Sequence[int] = 1,
    options: Em3dOptions | None = None,
    focus_mask: Float[np.ndarray, "d d d"] | None = None,
    max_memory_gb: float = 8.0,
) -> list[Classification]:
    """3D classification without alignment; every number of classes with every seed, in one pass.

    Args:
        prepared: particles.
        n_classes: number of classes, or several.
        seeds: how many (0 … n−1), or which.
        options: of the method.
        focus_mask: 1 where classes may differ, on the particles' box; everywhere where None.
        max_memory_gb: what may be kept between iterations.
    """
    options = options or Em3dOptions()
    rows, particles = taking_part(prepared)
    mean = prepared.mean
    focus = None if focus_mask is None else resample_mask(focus_mask, particles.box_size)
    scene = make_scene(mean.volume, mean.solvent_mask, focus)
    numbers = [n_classes] if isinstance(n_classes, int) else n_classes
    runs = [Run(k, seed) for k in numbers for seed in seed_list(seeds)]
    highpass, limit = options.highpass_resolution, options.particle_limit
    everyone = make_engine(particles, max_memory_gb, 0, highpass) if limit else None
    engine = make_engine(particles, max_memory_gb, 0, highpass, limit)
    found = classify(engine, scene, runs, options, everyone=everyone)
    return [run.spread(rows, prepared.particles.n) for run in found]


def fit_variability(
    prepared: Prepared,
    options: SubspaceOptions | None = None,
    focus_mask: Float[np.ndarray, "d d d"] | None = None,
    micrographs: np.ndarray | None = None,
    max_memory_gb: float = 8.0,
) -> Images:
    """A basis of the particles' variability, judged by held-out particles.

    Subspace runs are made in it, and a consensus settles and judges its classes in it.

    Args:
        prepared: particles.
        options: of the basis and its evidence.
        focus_mask: 1 where classes may differ, on the particles' box; everywhere where None.
        micrographs: of each particle, which held-out evidence keeps whole.
        max_memory_gb: what may be kept between iterations.
    """
    options = options or SubspaceOptions()
    rows, particles = taking_part(prepared)
    mask = prepared.mean.solvent_mask
    if focus_mask is not None:
        mask = mask * resample_mask(focus_mask, particles.box_size)
    operators = make_pixel_operators(particles, max_memory_gb=max_memory_gb)
    blocks = None if micrographs is None else micrographs[rows]
    found = analyse(operators, prepared.mean, mask, options, blocks)

    def full(some: np.ndarray) -> Polishing:
        part = particles.subset(some)
        return full_maps(part, prepared.mean, mask, 1, found.pose_error, max_memory_gb)

    row_of = np.full(prepared.particles.n, -1)
    row_of[rows] = np.arange(len(rows))
    held_out = found.judgement.chosen.evidence
    judged = held_out.discrete_classes, bool(held_out.spread and held_out.spread.continuum)
    return Images(found.basis, found.statistics, found.held_out, full, row_of, *judged)


def classify_subspace(
    prepared: Prepared,
    n_classes: Sequence[int],
    variability: Images,
    seeds: int | Sequence[int] = 1000,
    keep: int = 1,
) -> list[Classification]:
    """Every number of classes and seed in the coordinates of a fitted basis; the best optima.

    Args:
        prepared: particles.
        n_classes: numbers of classes.
        variability: of the same particles, by `fit_variability`.
        seeds: how many (0 … n−1), or which.
        keep: distinct optima of each number of classes.
    """
    rows, particles = taking_part(prepared)
    basis, statistics = variability.basis, variability.statistics
    metric, kept = information(statistics), []
    for k in n_classes:
        fits = fit_seeds(statistics, k, seed_list(seeds))
        optima = distinct_optima(fits, metric)
        kept += keep_optima(basis, statistics, fits, optima, keep, particles.grid)
    return [run.found.spread(rows, prepared.particles.n) for run in kept]


def classify_som(
    prepared: Prepared,
    options: SomOptions | None = None,
    seeds: int | Sequence[int] = 1,
    mask: Float[np.ndarray, "e e"] | None = None,
    phase_flip: bool = True,
) -> list[Classification]:
    """Self-organising maps (KerDenSOM) of particles seen from one side.

    Args:
        prepared: particles.
        options: of the maps.
        seeds: how many (0 … n−1), or which.
        mask: on the cropped box, 1 where images are compared; a circle where None.
        phase_flip: whether phases are flipped where the CTF is negative.
    """
    rows, particles = taking_part(prepared)
    box_size = particles.box_size
    inside = circular_mask(box_size, box_size / 2 - 2) if mask is None else mask
    images = upright_images(particles, phase_flip)
    found = classify_images(images, inside, options or SomOptions(), seed_list(seeds))
    return [run.spread(rows, prepared.particles.n) for run in found]


def taking_part(prepared: Prepared) -> tuple[Int[np.ndarray, " m"], Particles]:
    """Rows of the particles that are not set aside, and these."""
    particles = prepared.particles
    rows = np.flatnonzero(particles.weight > 0)
    return rows, particles if len(rows) == particles.n else particles.subset(rows)


def build_consensus(
    runs: Sequence[Classification],
    options: ConsensusOptions | None = None,
    variability: Images | None = None,
) -> Consensus:
    """What runs over the same particles agree on.

    Args:
        runs: classifications, of one method or several.
        options: of the consensus.
        variability: of the same particles, by `fit_variability`, in which the classes are settled
            and judged; None: labels are all there is.
    """
    likelihood = [np.nan if run.log_likelihood is None else run.log_likelihood for run in runs]
    names, groups = run_names(runs), [f"{run.method} {run.n_classes}" for run in runs]
    vary = [METHODS[run.method].seeds_vary for run in runs]
    return build.build_consensus(
        np.stack([run.labels for run in runs], 1),
        names,
        [run.posteriors for run in runs],
        options,
        log_likelihood=np.array(likelihood, float),
        run_groups=groups,
        starts=[n if v else g for n, g, v in zip(names, groups, vary, strict=True)],
        max_classes_supported=variability and variability.n_states,
        images=variability,
    )


def run_names(runs: Sequence[Classification]) -> list[str]:
    """Names of the runs as a campaign gives them; an optimum is numbered instead of its seed."""
    names = []
    for run in runs:
        number = run.facts["optimum"] - 1 if "optimum" in run.facts else run.seed or 0
        prefix = METHODS[run.method].prefix
        shape = run.facts.get("map")
        name = RunName(prefix, run.n_classes, number)
        if shape:
            name = RunName.of_map(prefix, (shape["columns"], shape["rows"]), number)
        names.append(str(name))
    return names


def reconstruct(
    particles: ParticleSet,
    prepared: Prepared,
    members: Int[np.ndarray, " m"],
    symmetry: str = "C1",
    progress: Progress = lambda done, total: None,
) -> reconstruction.Reconstruction:
    """Map of some of the particles at full box, with half-maps and FSC.

    Args:
        particles: all of them, with their images.
        prepared: what `prepare` made of them.
        members: rows of those that belong to the map; those of weight 0 are left out.
        symmetry: point group in RELION's axes.
        progress: called with particles read and in all.
    """
    made = prepared.particles
    members = members[made.weight[members] > 0]
    chosen = particles.select(members)
    images = aligned_images(chosen)
    return reconstruction.reconstruct(
        images.undistorted,
        made.rotations[members],
        prepared.shifts[members],
        images.ctf,
        made.scale[members],
        made.group[members],
        made.half[members],
        prepared.noise_power,
        images.box_size,
        images.pixel_size,
        resample_mask(prepared.mean.solvent_mask, images.box_size),
        progress,
        symmetry,
    )


def write_classes(path: str | Path, particles: ParticleSet, found: Consensus) -> None:
    """Write the particles with their consensus classes, as `.star` or `.cs` by the path.

    Args:
        path: to write.
        particles: all of them.
        found: their consensus.
    """
    write_particles(Path(path), particles, class_columns(found))
