"""Sets of the subspace benchmarks: read, or drawn anew."""

import numpy as np
import subspace_data as data
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation


def case_of(name: str, seed: int = 0):
    """Prepared particles of a set; another seed, another draw of the continuous one."""
    if name in ("spliceosome", "jittered"):
        star = "particles.star" if name == "spliceosome" else "particles_jittered.star"
        return data.read_case("spliceosome", star)
    if name == "ligand_small":
        return data.read_case("ligand_small")
    mask = data.read_volume(data.data_folder() / "spliceosome" / "solvent_mask.mrc")[0]
    return data.prepare(draw_of(name, seed), mask)


def draw_of(name: str, seed: int = 0):
    """Images of a set that is drawn anew."""
    maps = data.true_maps()
    full = maps["full"]
    if name in ("ligand", "ligand_jittered"):
        states = data.mixed_states([70, 30], 6000, 1)
        draw = data.draw_particles(np.stack([full, maps["ligand"]]), states, 101)
        return data.jitter(draw, 2.0, 1.5, 500) if name == "ligand_jittered" else draw
    if name == "five":
        names = ("full", "noU2Sm", "noLSm", "noSnu114", "ligand")
        states = data.mixed_states([30, 25, 20, 15, 10], 10_000, 2)
        return data.draw_particles(np.stack([maps[n] for n in names]), states, 102)
    if name == "continuous":
        return data.draw_particles(*moving_domain(maps, 4000), 103 + seed)
    if name == "contrast":
        return data.draw_particles(full[None], np.zeros(4000, int), 104, scale_sd=0.3)
    raise ValueError(f"no set is called {name}")


def null_cases(seed: int):
    """One state with exact poses, and the same images with poses off by 2° and 0.25 px."""
    mask = data.read_volume(data.data_folder() / "spliceosome" / "solvent_mask.mrc")[0]
    draw = data.draw_particles(data.true_maps()["full"][None], np.zeros(4000, int), 1000 + seed)
    yield "exact", data.prepare(draw, mask)
    yield "jittered", data.prepare(data.jitter(draw, 2.0, 1.5, 500 + seed), mask)


def moving_domain(maps: dict, n: int, steps: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """A domain that swings ±12° about the particle's centre: 20 volumes, uniformly populated."""
    domain = maps["full"] - maps["noSnu114"]
    centre = np.full(3, domain.shape[0] // 2)
    volumes = []
    for angle in np.linspace(-12, 12, steps):
        rotation = Rotation.from_rotvec([np.deg2rad(angle), 0, 0]).as_matrix()
        offset = centre - rotation @ centre
        volumes.append(maps["noSnu114"] + affine_transform(domain, rotation, offset, order=1))
    states = np.random.default_rng(9).integers(steps, size=n)
    return np.stack(volumes).astype(np.float32), states
