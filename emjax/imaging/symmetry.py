"""Point groups: their rotations, symmetric sums in Fourier space, and copies of poses.

The axes are RELION's: C and D have their main axis along z and D a twofold one along x; T a
threefold one along z; O fourfold ones along x, y, z; I1 and I2 twofold ones along x, y, z, and the
fivefold ones nearest to z in the plane y–z (I1) or x–z (I2).
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int, Num
from scipy.spatial.transform import Rotation

from emjax.errors import OptionError
from emjax.imaging.grids import CELL_DIAGONAL, FourierGrid
from emjax.imaging.projector import cells, corners

_GOLDEN = (1 + np.sqrt(5)) / 2
# Order and axis of rotations that generate each group.
_GENERATORS = {
    "T": [(3, (0, 0, 1)), (2, (0, np.sqrt(2), 1))],
    "O": [(3, (1, 1, 1)), (4, (0, 0, 1))],
    "I1": [(2, (1, 0, 0)), (5, (_GOLDEN, 0, -1)), (3, (_GOLDEN, _GOLDEN - 1, 0))],
    "I2": [(2, (0, 0, 1)), (5, (1, 0, _GOLDEN)), (3, (0, _GOLDEN - 1, _GOLDEN))],
}


def parse_point_group(name: str) -> tuple[str, int]:
    """Family and order of the main axis: C4 → (C, 4), I1 → (I1, 1), T → (T, 1).

    Raises:
        OptionError: where the name is none of C1, C2, …, D1, D2, …, T, O, I1, I2.
    """
    found = name.strip().upper()
    if found in _GENERATORS:
        return found, 1
    match = re.fullmatch(r"([CD])([1-9][0-9]{0,2})", found)
    if match is None:
        hint = "; I needs its axes: I1 or I2" if found == "I" else ""
        raise OptionError("symmetry", repr(name), f"C1 … C999, D1 …, T, O, I1, I2{hint}")
    return match[1], int(match[2])


def symmetry_rotations(name: str) -> Float[np.ndarray, "g 3 3"]:
    """Rotation matrices of a point group, the identity first.

    Args:
        name: C1, C2, …, D1, …, T, O, I1 or I2, in any case.

    Raises:
        OptionError: where the name is unknown.

    Source: axes as listed by RELION (Scheres, J. Struct. Biol. 180 (2012) 519).
    """
    family, order = parse_point_group(name)
    if family in "CD":
        generators = [(order, (0, 0, 1))] + [(2, (1, 0, 0))] * (family == "D")
    else:
        generators = _GENERATORS[family]
    steps = [
        Rotation.from_rotvec(2 * np.pi / n * np.array(axis) / np.linalg.norm(axis)).as_matrix()
        for n, axis in generators
    ]
    group = [np.eye(3)]
    # Each element times each generator, until nothing new comes.
    for element in group:
        for step in steps:
            product = step @ element
            if not any(np.allclose(product, known, atol=1e-6) for known in group):
                group.append(product)
    return np.stack(group)


def expand_poses(
    rotations: Float[np.ndarray, "n 3 3"], name: str
) -> tuple[Float[np.ndarray, "m 3 3"], Int[np.ndarray, " m"]]:
    """Every pose that shows the same view of a symmetric particle, and the particle it is of.

    Args:
        rotations: A of each particle.
        name: point group of g rotations.

    Returns:
        A·R for each R of the group, a particle's m = n·g copies together, its own pose first.
    """
    group = symmetry_rotations(name)
    copies = np.einsum("nij,gjk->ngik", rotations, group).reshape(-1, 3, 3)
    return copies.astype(rotations.dtype), np.repeat(np.arange(len(rotations)), len(group))


def symmetrise(
    values: Num[Array, "*k v"], grid: FourierGrid, rotations: Float[Array, "g 3 3"]
) -> Num[Array, "*k v"]:
    """Σ_g values(R_g k), read by trilinear interpolation: no scatter, the same bits each time.

    Args:
        values: coefficients on the half grid, Friedel mates added; zero is read beyond it.
        grid: voxels.
        rotations: of the point group.
    """

    def add(total, rotation):
        return total + _read_rotated(values, grid, rotation), None

    return jax.lax.scan(add, jnp.zeros_like(values), rotations)[0]


def symmetrise_sums(
    numerator: Complex[Array, "*k v"],
    denominator: Float[Array, "*k v"],
    grid: FourierGrid,
    name: str,
) -> tuple[Complex[Array, "*k v"], Float[Array, "*k v"]]:
    """Sums of back-projection as if every particle had been inserted at each of its poses.

    Both are interpolated the same way, so that their ratio stays a mean of measured values.

    Args:
        numerator: Σ w·Pᵀ F, Friedel mates added.
        denominator: Σ w² PᵀP (diagonal), Friedel mates added.
        grid: voxels.
        name: point group.

    Raises:
        OptionError: where the name is unknown.
    """
    rotations = symmetry_rotations(name)
    if len(rotations) == 1:
        return numerator, denominator
    group = jnp.asarray(rotations, denominator.dtype)
    return symmetrise(numerator, grid, group), symmetrise(denominator, grid, group)


def symmetrise_table(table: Float[Array, "X Y Z 3"], name: str) -> Float[Array, "X Y Z 3"]:
    """`symmetrise_sums` for a table of `projector.insert_images`, Friedel mates added.

    Raises:
        OptionError: where the name is unknown.
    """
    rotations = symmetry_rotations(name)
    if len(rotations) == 1:
        return table
    return _sum_copies(table, jnp.asarray(rotations, table.dtype))


@jax.jit
def _sum_copies(
    table: Float[Array, "X Y Z 3"], rotations: Float[Array, "g 3 3"]
) -> Float[Array, "X Y Z 3"]:
    nx, ny, nz, _ = table.shape
    middle = jnp.array([0, ny // 2, nz // 2])
    y, z = jnp.meshgrid(jnp.arange(ny) - ny // 2, jnp.arange(nz) - nz // 2, indexing="ij")
    sign = jnp.array([1, -1, 1], table.dtype)

    def plane(x):
        voxels = jnp.stack([jnp.full(y.size, x), y.ravel(), z.ravel()], -1)

        def add(total, rotation):
            folded, *cell = _rotated_cells(voxels, rotation)
            for place, weight in corners(*cell):
                row = place + middle
                inside = jnp.all((row >= 0) & (row < jnp.array([nx, ny, nz])), -1)
                i, j, k = jnp.where(inside[:, None], row, 0).T
                read = table[i, j, k] * (weight * inside)[:, None]
                total = total + jnp.where(folded[:, None], sign * read, read)
            return total, None

        return jax.lax.scan(add, jnp.zeros((y.size, 3), table.dtype), rotations)[0]

    # A plane at a time: the corners of all voxels together would take gigabytes.
    return jax.lax.map(plane, jnp.arange(nx)).reshape(table.shape)


def _rotated_cells(
    voxels: Int[Array, "v 3"], rotation: Float[Array, "3 3"]
) -> tuple[Bool[Array, " v"], Int[Array, "v 3"], Float[Array, "v 3"]]:
    """`projector.cells` of the points R·k."""
    points = jnp.einsum("ij,vj->vi", rotation, voxels.astype(rotation.dtype), precision="highest")
    # Points that should fall on a voxel must not miss it by a rounding error.
    nearest = jnp.round(points)
    return cells(jnp.where(jnp.abs(points - nearest) < 1e-4, nearest, points))


def _read_rotated(
    values: Num[Array, "*k v"], grid: FourierGrid, rotation: Float[Array, "3 3"]
) -> Num[Array, "*k v"]:
    """Values at R·k of every voxel k; zero beyond the voxels of the grid."""
    folded, *cell = _rotated_cells(grid.kxyz, rotation)
    middle = grid.lookup.shape[1] // 2
    result = jnp.zeros_like(values)
    for place, weight in corners(*cell):
        inside = jnp.sum(place**2, -1) <= (grid.padding * grid.radius + CELL_DIAGONAL) ** 2
        x, y, z = jnp.where(inside[:, None], place, 0).T
        rows = grid.lookup[x, y + middle, z + middle]
        result = result + values[..., rows] * (weight * inside)
    return jnp.where(folded, jnp.conj(result), result)
