"""First maps of the classes of a run."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from sklearn.mixture import GaussianMixture

from emjax.classify.em3d.expectation import insert_columns
from emjax.classify.em3d.maximisation import mask_volumes, solve_classes
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Run, RunState, Scene
from emjax.classify.operators.passes import Engine
from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.subspace.volumes import (
    GivenComponents,
    ends_of_components,
    fit_variability,
    volumes_of,
)
from emjax.errors import OptionError
from emjax.imaging.maps import lowpass

NEARLY_EQUAL = 0.005  # RMS difference of first maps from their mean, over the mean map's RMS


def start_runs(
    engine: Engine,
    scene: Scene,
    runs: Sequence[Run],
    options: Em3dOptions,
    given: dict[Run, Float[np.ndarray, "k d d d"]] | None = None,
    components: GivenComponents | None = None,
) -> list[RunState]:
    """States before the first iteration.

    Args:
        engine: the particles in blocks.
        scene: mean map and masks.
        runs: numbers of classes and seeds.
        options: of the classification.
        given: first maps of each run on the cropped box, for `input`.
        components: found elsewhere, for `variability` and `components`; fitted where None.

    Raises:
        OptionError: where K exceeds the particles, or given maps do not fit in number or box.
    """
    n = len(engine.layout.rows)
    for run in runs:
        if run.n_classes > n:
            raise OptionError("n_classes", run.n_classes, f"at most the {n} particles")
        if options.initial == "pca" and run.n_classes > options.pca_reconstructions:
            raise OptionError(
                "pca_reconstructions",
                options.pca_reconstructions,
                f"at least the {run.n_classes} classes",
            )
    if options.initial == "input":
        maps = [check_given((given or {}).get(run), run, scene) for run in runs]
        maps = [lowpass(m, engine.grid, _radius(engine, options)) for m in maps]
    elif options.initial in ("variability", "components"):
        maps = _variability(engine, scene, runs, options, components)
    elif options.initial == "pca":
        maps = _principal_components(engine, scene, runs, options)
    else:
        maps = _random_subsets(engine, scene, runs, options)
    return [_state(run, mask_volumes(m, scene), scene) for run, m in zip(runs, maps, strict=True)]


def check_given(
    volumes: Float[np.ndarray, "k d d d"] | None, run: Run, scene: Scene
) -> Float[Array, "k d d d"]:
    """Given first maps, of the right number and box, not all the same.

    Raises:
        OptionError: where they are not.
    """
    found = 0 if volumes is None else len(volumes)
    if volumes is None or found != run.n_classes:
        raise OptionError("initial_maps", found, f"{run.n_classes}, one per class")
    if volumes.shape[1:] != scene.mean_map.shape:
        raise OptionError(
            "initial_maps", f"a box of {volumes.shape[1:]}", str(scene.mean_map.shape)
        )
    if len(volumes) > 1 and np.ptp(volumes, axis=0).max() == 0:
        raise OptionError("initial_maps", "identical maps", "maps that differ")
    return jnp.asarray(volumes, jnp.float32)


def _radius(engine: Engine, options: Em3dOptions) -> Float[Array, ""]:
    """Fourier pixels up to `initial_lowpass`."""
    return jnp.float32(engine.particles.extent / options.initial_lowpass)


def _state(run: Run, volumes: Array, scene: Scene) -> RunState:
    weights, labels = np.full(run.n_classes, 1 / run.n_classes, np.float32), np.zeros(0, np.int32)
    apart = tuple(differences(np.asarray(volumes), np.asarray(scene.mean_map * scene.solvent_mask)))
    return RunState(run, np.asarray(volumes), weights, labels, initial_differences=apart)


def differences(
    volumes: Float[np.ndarray, "k d d d"], mean_map: Float[np.ndarray, "d d d"]
) -> list[float]:
    """RMS difference of each map from the mean of all of them, over the RMS of the mean map."""
    gaps = np.mean((volumes - volumes.mean(0)) ** 2, (1, 2, 3), dtype=np.float64)
    return np.sqrt(gaps / np.mean(mean_map**2, dtype=np.float64)).tolist()


def overall(apart: Sequence[float]) -> float:
    """How different the maps of a run are, from the RMS differences of each."""
    return float(np.sqrt(np.mean(np.square(apart))))


def _subsets(
    engine: Engine, seed: tuple[int, int], size: int, number: int
) -> Bool[np.ndarray, "n c"]:
    """Random subsets of `size` of the engine's particles, one per column.

    Subsets are never more than half, or those of few particles would all be the same.
    """
    rng, rows = np.random.default_rng(seed), engine.layout.rows
    size = max(1, min(size, len(rows) // 2))
    columns = np.zeros((engine.particles.n, number), bool)
    for k in range(number):
        columns[rows[rng.choice(len(rows), size, replace=False)], k] = True
    return columns


def _maps(
    engine: Engine, scene: Scene, columns: Bool[np.ndarray, "n c"], options: Em3dOptions
) -> Float[Array, "c d d d"]:
    """Low-passed maps of subsets of the particles."""
    maps = []
    for part in engine.portions([1] * columns.shape[1]):
        sums = insert_columns(engine, columns[:, part])
        solved, _, _ = solve_classes(sums, slice(None), scene, engine.grid, options)
        maps.append(lowpass(solved, engine.grid, _radius(engine, options)))
    return jnp.concatenate(maps)


def _random_subsets(
    engine: Engine, scene: Scene, runs: Sequence[Run], options: Em3dOptions
) -> list[Float[Array, "k d d d"]]:
    """`simple`: each class from its own random particles, all runs in one pass."""
    size, maps = options.particles_per_reconstruction, []
    for part in engine.portions([run.n_classes for run in runs]):
        columns = [
            _subsets(engine, (run.seed, run.n_classes), size, run.n_classes) for run in runs[part]
        ]
        sums = insert_columns(engine, np.concatenate(columns, 1))
        start = 0
        for run in runs[part]:
            own = slice(start, start + run.n_classes)
            solved, _, _ = solve_classes(sums, own, scene, engine.grid, options)
            maps.append(lowpass(solved, engine.grid, _radius(engine, options)))
            start += run.n_classes
    return maps


def _variability(
    engine: Engine,
    scene: Scene,
    runs: Sequence[Run],
    options: Em3dOptions,
    given: GivenComponents | None,
) -> list[Float[Array, "k d d d"]]:
    """Maps in a basis of the particles' variability, fitted once for all runs.

    `variability`: of a mixture; `components`: the ends of each component. Given components are
    refined for the first, and stay as they are for the second.
    """
    rows = engine.layout.rows
    seen, given = engine.particles.subset(rows), given and given.of(rows)
    operators = make_pixel_operators(seen, max_memory_gb=engine.max_memory_gb)
    mask = np.asarray(scene.solvent_mask * scene.focus_mask)
    ends = options.initial == "components"
    iterations = 0 if given and ends else 12
    basis, statistics = fit_variability(
        operators, np.asarray(scene.mean_map), mask, given, iterations
    )
    make, maps = ends_of_components if ends else volumes_of, []
    for run in runs:
        volumes = make(basis, statistics, engine.grid, run.n_classes, run.seed)
        maps.append(lowpass(jnp.asarray(volumes), engine.grid, _radius(engine, options)))
    return maps


def _principal_components(
    engine: Engine, scene: Scene, runs: Sequence[Run], options: Em3dOptions
) -> list[Float[Array, "k d d d"]]:
    """`pca`: a Gaussian mixture over the leading components of many subsets' maps."""
    maps: dict[Run, Float[Array, "k d d d"]] = {}
    size, number = options.particles_per_reconstruction, options.pca_reconstructions
    for seed in sorted({run.seed for run in runs}):
        columns = _subsets(engine, (seed, 0), size, number)
        volumes = mask_volumes(_maps(engine, scene, columns, options), scene)
        table = np.asarray(volumes).reshape(number, -1)
        for run in runs:
            if run.seed == seed:
                averages = _mixture_means(table, run, options)
                maps[run] = jnp.asarray(averages.reshape(-1, *scene.mean_map.shape))
    return [maps[run] for run in runs]


def _mixture_means(
    table: Float[np.ndarray, "m v"], run: Run, options: Em3dOptions
) -> Float[np.ndarray, "k v"]:
    """Averages of the maps that a mixture over their principal components puts together.

    A component of the mixture to which no map is assigned gets the one that fits it best.
    """
    centred = table - table.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    scores = (left * values)[:, : options.pca_components]
    mixture = GaussianMixture(run.n_classes, random_state=run.seed, reg_covar=1e-6 * scores.var())
    members = mixture.fit(scores).predict_proba(scores)
    if options.pca_assignment == "hard":
        best = members.argmax(0)
        members = (members.argmax(1)[:, None] == np.arange(run.n_classes)).astype(float)
        empty = members.sum(0) == 0
        members[best[empty], empty] = 1
    members /= np.maximum(members.sum(0), 1e-12)
    return (members.T @ table).astype(np.float32)
