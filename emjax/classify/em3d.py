"""3D classification without alignment: expectation-maximisation over K volumes at fixed poses.

Images F_i, slices P_i with CTF, scale and noise in their weights: ℓ_ik = −½|F_i − P_i M(V_k)|²,
posteriors p_ik ∝ π_k exp((1−β)·ℓ_ik), M(V) = S·(F·V + (1−F)·V̄) with solvent mask S, focus mask F
and mean map V̄. Every run (a number of classes and a seed) has its own columns in the engine's one
pass; nothing a run computes depends on the other runs of its batch.

Source: Scheres et al., Nat. Methods 4 (2007) 27; Punjani et al., Nat. Methods 14 (2017) 290.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int

from emjax.classify.engine import Accumulator, Engine, Sums, log_likelihoods, to_tiles
from emjax.imaging.grids import FourierGrid
from emjax.imaging.prepare import slicing_values, solve_map


@dataclass(frozen=True)
class Em3dOptions:
    """Options of a classification; lengths in Å."""

    initial: str = "simple"  # simple · input
    initial_lowpass: float = 20.0
    particles_per_reconstruction: int = 1000
    full_iterations: int = 25
    switch_convergence: float = 0.02
    rms_convergence: float = 0.01
    class_similarity: float = 0.5
    anneal_until: int = 10
    fsc_filter: bool = True
    hard: bool = False
    dead_class: str = "warn"  # warn · reseed

    def similarity(self, iteration: int) -> float:
        """β of an iteration (from 1): falls linearly to 0 at `anneal_until`."""
        if self.anneal_until <= 0:
            return 0.0
        return self.class_similarity * max(0.0, 1 - (iteration - 1) / self.anneal_until)


@dataclass(frozen=True)
class Run:
    """One seeded classification of a campaign."""

    n_classes: int
    seed: int


class Scene(eqx.Module):
    """What all runs share: the mean map and the masks, on the cropped box."""

    mean_map: Float[Array, "d d d"]
    solvent_mask: Float[Array, "d d d"]
    focus_mask: Float[Array, "d d d"]


def make_scene(
    mean_map: Float[np.ndarray, "d d d"],
    solvent_mask: Float[np.ndarray, "d d d"],
    focus_mask: Float[np.ndarray, "d d d"] | None = None,
) -> Scene:
    """Scene without a focus mask where none is given.

    Raises:
        ValueError: where a mask has no voxel left.
    """
    focus = np.ones_like(solvent_mask) if focus_mask is None else focus_mask
    if (solvent_mask * focus).max() < 0.5:
        raise ValueError("masks.focus: found no voxel inside the solvent mask, expected an overlap")
    return Scene(jnp.asarray(mean_map), jnp.asarray(solvent_mask), jnp.asarray(focus))


@dataclass(frozen=True)
class RunState:
    """State of a run between iterations; all that a restart needs."""

    run: Run
    volumes: Float[np.ndarray, "k d d d"]  # masked, as the next E-step slices them
    class_weights: Float[np.ndarray, " k"]
    labels: Int[np.ndarray, " n"]
    iteration: int = 0
    converged: bool = False
    history: tuple[dict, ...] = ()
    flow: tuple[Int[np.ndarray, "k k"], ...] = ()


@dataclass(frozen=True)
class RunResult:
    """What a finished run leaves; maps unmasked except `volumes`."""

    run: Run
    converged: bool
    log_likelihood: float  # mean of a particle, without its constant −½|F|²
    posteriors: Float[np.ndarray, "n k"]
    labels: Int[np.ndarray, " n"]
    volumes: Float[np.ndarray, "k d d d"]
    half_maps: Float[np.ndarray, "2 k d d d"]
    hard_maps: Float[np.ndarray, "k d d d"]
    fsc: Float[np.ndarray, "k s"]
    history: tuple[dict, ...]
    flow: tuple[Int[np.ndarray, "k k"], ...]
    warnings: tuple[str, ...]


@dataclass
class _Pass:
    """What one pass over the data gathers for one run."""

    start: int
    labels: Int[np.ndarray, " n"]
    posteriors: Float[np.ndarray, "n k"] | None
    log_likelihood: float = 0.0
    mass: np.ndarray = field(default_factory=lambda: np.zeros(0))
    ess: np.ndarray = field(default_factory=lambda: np.zeros(10))


@jax.jit
def posteriors_of(
    log_likelihood: Float[Array, "b k"], class_weights: Float[Array, " k"], similarity: float
) -> tuple[Float[Array, "b k"], Float[Array, " b"]]:
    """p_ik ∝ π_k exp((1−β)ℓ_ik), and log Σ_k π_k exp ℓ_ik of each particle.

    Args:
        log_likelihood: ℓ_ik.
        class_weights: π_k.
        similarity: β, 0 for the posterior as it is, 1 for all classes alike.
    """
    log_weights = jnp.log(jnp.maximum(class_weights, 1e-12))
    evidence = jax.nn.logsumexp(log_likelihood + log_weights, axis=1)
    tempered = (1 - similarity) * log_likelihood + log_weights
    return jax.nn.softmax(tempered, axis=1), evidence


@eqx.filter_jit
def solve_classes(
    numerator: Complex[Array, "2 k v"],
    denominator: Float[Array, "2 k v"],
    scene: Scene,
    grid: FourierGrid,
    fsc_filter: bool,
) -> tuple[Float[Array, "k d d d"], Float[Array, "2 k d d d"], Float[Array, "k s"]]:
    """M-step: maps of K classes (unmasked), their half-maps and FSC."""

    def one(args):
        return solve_map(args[0], args[1], scene.solvent_mask, grid, fsc_filter)

    maps, halves, fsc = jax.lax.map(
        one, (jnp.moveaxis(numerator, 0, 1), jnp.moveaxis(denominator, 0, 1))
    )
    return maps, jnp.moveaxis(halves, 1, 0), fsc


@jax.jit
def mask_volumes(maps: Float[Array, "k d d d"], scene: Scene) -> Float[Array, "k d d d"]:
    """M(V) = S·(F·V + (1−F)·V̄): outside the focus mask the mean map stands in."""
    inside = scene.focus_mask * maps + (1 - scene.focus_mask) * scene.mean_map
    return scene.solvent_mask * inside


def initial_responsibilities(run: Run, n: int, members: int) -> Bool[np.ndarray, "n k"]:
    """Random subsets, one a class: which particles make its first map."""
    rng = np.random.default_rng((run.seed, run.n_classes))
    chosen = np.zeros((n, run.n_classes), bool)
    for k in range(run.n_classes):
        chosen[rng.choice(n, min(members, n), replace=False), k] = True
    return chosen


def lowpass(
    maps: Float[Array, "k d d d"], grid: FourierGrid, voxel_size: float, resolution: float
) -> Float[Array, "k d d d"]:
    """Maps without frequencies beyond a resolution in Å."""
    from emjax.imaging.grids import to_fourier, to_real

    radius = grid.box_size * voxel_size / resolution
    keep = jnp.sum(grid.kxyz**2, -1) <= radius**2
    return to_real(to_fourier(maps, grid) * keep, grid)


def start_runs(
    engine: Engine,
    scene: Scene,
    runs: Sequence[Run],
    options: Em3dOptions,
    initial_volumes: Float[np.ndarray, "k d d d"] | None = None,
) -> list[RunState]:
    """States before the first iteration.

    Raises:
        ValueError: where K exceeds the particles, or initial maps do not fit in number or box.
    """
    n, grid = engine.particles.n, engine.grid
    for run in runs:
        if run.n_classes > n:
            raise ValueError(f"n_classes: found {run.n_classes}, expected at most {n} particles")
    if options.initial == "input":
        return [_start_from(initial_volumes, run, scene, n) for run in runs]
    accumulator = Accumulator(sum(run.n_classes for run in runs), grid.kxyz.shape[0])
    chosen = np.concatenate(
        [initial_responsibilities(run, n, options.particles_per_reconstruction) for run in runs], 1
    )
    for rows, block in engine.blocks():
        padded = np.zeros((engine.block_size, chosen.shape[1]), np.float32)
        padded[: len(rows.rows)] = chosen[rows.rows]
        accumulator.add(block, rows.half, padded)
    sums = accumulator.sums(grid)
    states, start = [], 0
    for run in runs:
        columns = slice(start, start + run.n_classes)
        maps, _, _ = _solve(sums, columns, scene, grid, options)
        maps = lowpass(maps, grid, engine.particles.voxel_size, options.initial_lowpass)
        states.append(_state(run, mask_volumes(maps, scene), n))
        start += run.n_classes
    return states


def _start_from(volumes: np.ndarray | None, run: Run, scene: Scene, n: int) -> RunState:
    if volumes is None or len(volumes) != run.n_classes:
        found = 0 if volumes is None else len(volumes)
        raise ValueError(f"initial maps: found {found}, expected {run.n_classes}, one a class")
    if volumes.shape[1:] != scene.mean_map.shape:
        raise ValueError(
            f"initial maps: found a box of {volumes.shape[1:]}, expected {scene.mean_map.shape}"
        )
    if np.ptp(volumes, axis=0).max() == 0:
        raise ValueError("initial maps: found identical maps, expected maps that differ")
    return _state(run, mask_volumes(jnp.asarray(volumes), scene), n)


def _state(run: Run, volumes: Array, n: int) -> RunState:
    weights = np.full(run.n_classes, 1 / run.n_classes, np.float32)
    return RunState(run, np.asarray(volumes), weights, np.full(n, -1, np.int32))


def _solve(sums: Sums, columns: slice, scene: Scene, grid: FourierGrid, options: Em3dOptions):
    return solve_classes(
        sums.numerator[:, columns], sums.denominator[:, columns], scene, grid, options.fsc_filter
    )


def _sweep(
    engine: Engine,
    states: Sequence[RunState],
    similarity: float,
    hard: bool,
    keep_posteriors: bool,
) -> tuple[Sums, list[_Pass]]:
    """One pass: E-step of all runs on each block, and at once its insertion with the posteriors."""
    n, grid = engine.particles.n, engine.grid
    starts = np.cumsum([0, *(s.run.n_classes for s in states)])
    tiles = to_tiles(
        jnp.concatenate([slicing_values(jnp.asarray(s.volumes), grid) for s in states])
    )
    passes = [
        _Pass(
            int(start),
            np.zeros(n, np.int32),
            np.zeros((n, s.run.n_classes), np.float32) if keep_posteriors else None,
            mass=np.zeros(s.run.n_classes),
        )
        for s, start in zip(states, starts, strict=False)
    ]
    accumulator = Accumulator(int(starts[-1]), grid.kxyz.shape[0])
    for rows, block in engine.blocks():
        ell = np.concatenate([np.asarray(log_likelihoods(block, t)) for t in tiles], 1)
        columns = np.zeros((engine.block_size, starts[-1]), np.float32)
        for state, gathered in zip(states, passes, strict=True):
            own = slice(gathered.start, gathered.start + state.run.n_classes)
            columns[:, own] = _gather(gathered, state, ell[:, own], rows.rows, similarity, hard)
        accumulator.add(block, rows.half, columns)
    return accumulator.sums(grid), passes


def _gather(
    gathered: _Pass,
    state: RunState,
    ell: Float[np.ndarray, "b k"],
    rows: Int[np.ndarray, " m"],
    similarity: float,
    hard: bool,
) -> Float[np.ndarray, "b k"]:
    """Posteriors of one block for one run, with its tallies added up."""
    m = len(rows)
    p, evidence = posteriors_of(
        jnp.asarray(ell), jnp.asarray(state.class_weights), jnp.float32(similarity)
    )
    p = np.array(p)
    best = p.argmax(1)
    if hard:
        p = np.eye(p.shape[1], dtype=np.float32)[best]
    p[m:] = 0
    gathered.labels[rows] = best[:m]
    gathered.log_likelihood += float(np.sum(np.asarray(evidence)[:m], dtype=np.float64))
    gathered.mass += p[:m].sum(0, dtype=np.float64)
    ess = 1 / np.maximum((p[:m] ** 2).sum(1), 1e-12)
    gathered.ess += np.histogram(ess, bins=10, range=(1, max(p.shape[1], 2)))[0]
    if gathered.posteriors is not None:
        gathered.posteriors[rows] = p[:m]
    return p


def iterate(
    engine: Engine, scene: Scene, states: Sequence[RunState], options: Em3dOptions
) -> list[RunState]:
    """One full iteration of every run that has not converged; the others stay as they are."""
    active = [s for s in states if not s.converged]
    similarity = options.similarity(active[0].iteration + 1)
    sums, passes = _sweep(engine, active, similarity, options.hard, False)
    updated = {}
    for state, gathered in zip(active, passes, strict=True):
        columns = slice(gathered.start, gathered.start + state.run.n_classes)
        maps, _, fsc = _solve(sums, columns, scene, engine.grid, options)
        volumes = np.asarray(mask_volumes(maps, scene))
        updated[state.run] = _advance(state, gathered, volumes, np.asarray(fsc), scene, options)
    return [updated.get(s.run, s) for s in states]


def _advance(
    state: RunState,
    gathered: _Pass,
    volumes: Float[np.ndarray, "k d d d"],
    fsc: Float[np.ndarray, "k s"],
    scene: Scene,
    options: Em3dOptions,
) -> RunState:
    """The state after an iteration, with its record and the stopping rules applied."""
    n = len(gathered.labels)
    weights = (gathered.mass / n).astype(np.float32)
    first = state.iteration == 0
    switched = 1.0 if first else float(np.mean(gathered.labels != state.labels))
    change = np.sqrt(np.mean((volumes - state.volumes) ** 2, (1, 2, 3)))
    reference = np.sqrt(np.mean(np.asarray(scene.mean_map * scene.solvent_mask) ** 2))
    rms = float(np.sum(weights * change) / reference)
    k = state.run.n_classes
    flow = state.flow
    if not first:
        flow = (
            *flow,
            np.bincount(state.labels * k + gathered.labels, minlength=k * k).reshape(k, k),
        )
    similarity = options.similarity(state.iteration + 1)
    record = {
        "iteration": state.iteration + 1,
        "log_likelihood": gathered.log_likelihood / n,
        "class_similarity": similarity,
        "switched": switched,
        "rms_change": rms,
        "class_sizes": np.bincount(gathered.labels, minlength=k).tolist(),
        "class_mass": gathered.mass.tolist(),
        "ess_histogram": gathered.ess.astype(int).tolist(),
        "fsc": np.round(fsc, 4).tolist(),
    }
    recent = [h["rms_change"] for h in state.history[-1:]] + [rms]
    settled = len(recent) == 2 and np.mean(recent) < options.rms_convergence
    converged = similarity == 0 and (switched < options.switch_convergence or bool(settled))
    return replace(
        state,
        volumes=volumes,
        class_weights=weights,
        labels=gathered.labels,
        iteration=state.iteration + 1,
        converged=converged,
        history=(*state.history, record),
        flow=flow,
    )


def finish(
    engine: Engine, scene: Scene, states: Sequence[RunState], options: Em3dOptions
) -> list[RunResult]:
    """Final posteriors without annealing, and the maps they give, weighted and from labels."""
    sums, passes = _sweep(engine, states, 0.0, options.hard, True)
    n, grid = engine.particles.n, engine.grid
    accumulator = Accumulator(sums.numerator.shape[1], grid.kxyz.shape[0])
    hard = np.concatenate(
        [
            np.eye(s.run.n_classes, dtype=np.float32)[p.labels]
            for s, p in zip(states, passes, strict=True)
        ],
        1,
    )
    for rows, block in engine.blocks():
        padded = np.zeros((engine.block_size, hard.shape[1]), np.float32)
        padded[: len(rows.rows)] = hard[rows.rows]
        accumulator.add(block, rows.half, padded)
    hard_sums = accumulator.sums(grid)
    results = []
    for state, gathered in zip(states, passes, strict=True):
        columns = slice(gathered.start, gathered.start + state.run.n_classes)
        maps, halves, fsc = _solve(sums, columns, scene, grid, options)
        hard_maps, _, _ = _solve(hard_sums, columns, scene, grid, options)
        assert gathered.posteriors is not None
        results.append(
            RunResult(
                run=state.run,
                converged=state.converged,
                log_likelihood=gathered.log_likelihood / n,
                posteriors=gathered.posteriors,
                labels=gathered.labels,
                volumes=np.asarray(mask_volumes(maps, scene)),
                half_maps=np.asarray(halves),
                hard_maps=np.asarray(hard_maps),
                fsc=np.asarray(fsc),
                history=state.history,
                flow=state.flow,
                warnings=_warnings(state, gathered, n),
            )
        )
    return results


def _warnings(state: RunState, gathered: _Pass, n: int) -> tuple[str, ...]:
    found = []
    for k, size in enumerate(np.bincount(gathered.labels, minlength=state.run.n_classes)):
        if size < max(10, 0.001 * n):
            found.append(f"class {k + 1} is dead: {size} of {n} particles")
    if not state.converged:
        found.append(f"not converged after {state.iteration} iterations")
    return tuple(found)


def classify(
    engine: Engine,
    scene: Scene,
    runs: Sequence[Run],
    options: Em3dOptions,
    *,
    initial_volumes: Float[np.ndarray, "k d d d"] | None = None,
    resume: Sequence[RunState] | None = None,
    on_iteration: Callable[[Sequence[RunState]], None] = lambda states: None,
) -> list[RunResult]:
    """Classify the engine's particles once for every run, all runs in one pass an iteration.

    Args:
        engine: operators of the particles.
        scene: mean map and masks.
        runs: numbers of classes and seeds.
        options: of the classification.
        initial_volumes: maps on the cropped box, for `initial="input"`.
        resume: states of an interrupted call with the same runs.
        on_iteration: called with all states after each iteration (checkpoints, progress).

    Returns:
        A result a run, in the order of `runs`; not converging is a result, not an error.
    """
    states = list(resume) if resume else start_runs(engine, scene, runs, options, initial_volumes)
    while any(_unfinished(s, options) for s in states):
        states = iterate(engine, scene, states, options)
        on_iteration(states)
    return finish(engine, scene, states, options)


def _unfinished(state: RunState, options: Em3dOptions) -> bool:
    return not state.converged and state.iteration < options.full_iterations
