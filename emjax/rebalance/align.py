"""Volumes brought into one frame before they are compared: all rotations, then the nearest maximum.

Each is aligned to the first at low frequencies: for every rotation of a grid of orientations the
shift comes from the peak of the cross-correlation; the best few are refined together with it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from emjax.classify.pose_search import orientations
from emjax.rebalance.affinity import shrink_volume

COARSE_BOX, FINE_BOX = 20, 32  # voxels
STEP = 0.26  # rad between orientations; moves the edge of the particle by about one coarse voxel
CANDIDATES = 4  # rotations of each volume that are refined


@dataclass(frozen=True)
class Move:
    """How a volume is brought into the frame of another.

    Attributes:
        rotation: about the box centre, on (z, y, x).
        shift: z, y, x as fractions of the box, after the rotation.
        correlation: with the other volume, after both.
    """

    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, " 3"]
    correlation: float

    def apply(self, volume: Float[np.ndarray, "d d d"], order: int = 3) -> np.ndarray:
        """The volume in the other's frame; zero where it was not known."""
        size = len(volume)
        return _moved(volume, self.rotation, self.shift * size, order)


def align_volumes(
    volumes: Float[np.ndarray, "k d d d"],
    reference: int = 0,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> tuple[Move, ...]:
    """Rotation and shift that bring every volume onto one of them.

    Args:
        volumes: of one box, in any orientation, centred to within a quarter of the box.
        reference: the one that stays.
        progress: is given how many are done, of how many of what.
    """
    coarse = np.stack([_standard(shrink_volume(v, COARSE_BOX)) for v in volumes])
    fine = np.stack([_standard(shrink_volume(v, FINE_BOX)) for v in volumes])
    candidates = _search(coarse, coarse[reference])
    moves = []
    for k, found in enumerate(candidates):
        progress(k, len(volumes), "maps aligned")
        if k == reference or not coarse[k].any():
            moves.append(Move(np.eye(3), np.zeros(3), 1.0))
            continue
        # Where it already lies is tried too.
        starts = [*found, (np.eye(3), np.zeros(3))]
        refined = [_refine(fine[k], fine[reference], *start) for start in starts]
        moves.append(max(refined, key=lambda move: move.correlation))
    return tuple(moves)


def _search(
    volumes: Float[np.ndarray, "k d d d"], target: Float[np.ndarray, "d d d"]
) -> list[list[tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]]]:
    """The best rotations of each volume, with shifts as fractions of the box."""
    size = len(target)
    grid = orientations(STEP).astype(float)
    spectra = np.fft.rfftn(volumes, axes=(1, 2, 3))
    near = np.abs(np.fft.fftfreq(size) * size) <= size // 4
    scores = np.empty((len(grid), len(volumes)))
    places = np.empty((len(grid), len(volumes), 3))
    shape = (int(near.sum()),) * 3
    ticks = (np.fft.fftfreq(size) * size)[near]
    for row, rotation in enumerate(grid):
        # The target turned backwards: one rotation serves all volumes.
        turned = np.fft.rfftn(_moved(target, rotation.T, np.zeros(3), 1))
        product = np.fft.irfftn(spectra.conj() * turned, s=(size,) * 3, axes=(1, 2, 3))
        product = product[:, near][:, :, near][:, :, :, near].reshape(len(volumes), -1)
        best = product.argmax(1)
        scores[row] = product[np.arange(len(volumes)), best]
        at = np.stack(np.unravel_index(best, shape), 1)
        # v(x) ≈ t(R x + s) seen from the target: rotate, then shift by R s.
        places[row] = ticks[at] @ rotation.T / size
    order = np.argsort(-scores, axis=0)[:CANDIDATES]
    return [[(grid[r], places[r, k]) for r in order[:, k]] for k in range(len(volumes))]


def _refine(
    volume: Float[np.ndarray, "d d d"],
    target: Float[np.ndarray, "d d d"],
    rotation: Float[np.ndarray, "3 3"],
    shift: Float[np.ndarray, " 3"],
) -> Move:
    """The nearest maximum of the correlation over rotation and shift."""
    size = len(target)

    def move(step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        small = Rotation.from_rotvec(step[:3] * STEP).as_matrix()
        return small @ rotation, small @ shift + step[3:] / size

    def loss(step: np.ndarray) -> float:
        turned, moved = move(step)
        return -_correlation(_moved(volume, turned, moved * size, 1), target)

    found = optimize.minimize(
        loss, np.zeros(6), method="Powell", options={"xtol": 0.01, "ftol": 1e-4}
    )
    return Move(*move(found.x), -float(found.fun))


def _moved(
    volume: Float[np.ndarray, "d d d"],
    rotation: Float[np.ndarray, "3 3"],
    shift: Float[np.ndarray, " 3"],
    order: int,
) -> Float[np.ndarray, "d d d"]:
    """A volume rotated about its centre voxel, then shifted by voxels (z, y, x)."""
    centre = np.full(3, len(volume) // 2)
    # affine_transform asks where each voxel comes from.
    offset = centre - rotation.T @ (centre + shift)
    # SciPy's types know an offset of one number only.
    return ndimage.affine_transform(volume, rotation.T, offset, order=order)  # pyright: ignore[reportArgumentType]


def _standard(volume: Float[np.ndarray, "d d d"]) -> Float[np.ndarray, "d d d"]:
    """Background 0: what the solvent has most of, so that what a rotation brings in is solvent."""
    centred = volume - np.median(volume)
    return centred / max(float(np.linalg.norm(centred)), 1e-12)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.vdot(a, b)) / scale if scale > 0 else 0.0
