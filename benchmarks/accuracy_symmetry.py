"""Symmetric phantoms of two states."""

import numpy as np
from accuracy_rows import Row, agreement


def symmetry(quick: bool) -> list[Row]:
    """Symmetric phantoms of two states, every pose moved into one asymmetric unit."""
    import subspace_data as data

    from emjax.classify.em3d.iterations import classify
    from emjax.classify.em3d.options import Em3dOptions
    from emjax.classify.em3d.state import Run, make_scene
    from emjax.classify.operators.passes import make_engine
    from emjax.imaging.fsc import volume_fsc
    from emjax.imaging.grids import resample
    from emjax.imaging.symmetry import expand_poses, symmetry_rotations
    from emjax.simulate.particles import simulate

    axis = np.arange(48) - 24
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    blobs = [
        np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * 2.5**2))
        for a, b, c in ((1.2, 7.3, 12.0), (4.0, -1.3, 6.8))
    ]
    rows = []
    for name, n in (("C4", 1000), ("I1", 500)):
        rotations = symmetry_rotations(name)
        outer, inner = (np.mean([rotate(blob, r) for r in rotations], 0) for blob in blobs)
        # The second state lacks the inner domains.
        pair = np.stack([outer + inner, outer]).astype(np.float32)
        made = simulate(pair, n, seed=2, snr=0.5)
        copies = expand_poses(made.rotations, name)[0].reshape(n, -1, 3, 3)
        # The views nearest to one direction.
        nearest = (copies[:, :, 2] @ np.array([0.48, 0.36, 0.8])).argmax(1)
        poses = copies[np.arange(n), nearest]
        draw = data.Draw(made.images, poses, made.shifts, made.ctf, made.states, made.micrograph)
        found = {}
        for group in ("C1", name):
            case = data.prepare(draw, None, group)
            scene = make_scene(case.mean.volume, case.mean.solvent_mask)
            runs = [Run(2, seed) for seed in range(2 if quick else 5)]
            results = classify(
                make_engine(case.particles), scene, runs, Em3dOptions(symmetry=group)
            )
            best = max(results, key=lambda r: r.log_likelihood)
            mask, size = case.mean.solvent_mask, case.particles.box_size
            truth = np.stack([resample(v, size) for v in pair]) * mask
            radius = case.particles.radius
            own = [
                int(np.bincount(best.labels[case.truth == k], minlength=2).argmax()) for k in (0, 1)
            ]
            fsc = [volume_fsc(best.maps[c], t)[1 : radius + 1].mean() for c, t in zip(own, truth)]
            rotated = rotate(best.maps[0], rotations[-1])
            found[group] = {
                "ari": agreement(case, [best])[0],
                "fsc": float(np.mean(fsc)),
                "same": float(np.corrcoef(rotated.ravel(), best.maps[0].ravel())[0, 1]),
            }
        on, off = found[name], found["C1"]
        rows.append(
            Row(
                f"{name}, {n} particles seen from one unit: FSC of class maps to the truth",
                f"{on['fsc']:.3f}, ARI {on['ari']:.3f} (in C1 {off['fsc']:.3f}, {off['ari']:.3f})",
                "above C1's",
                on["fsc"] > off["fsc"],
            )
        )
        rows.append(
            Row(
                f"{name}: correlation of a class map with itself rotated",
                f"{on['same']:.4f} (in C1 {off['same']:.4f})",
                "≥ 0.99",
                on["same"] >= 0.99,
            )
        )
    return rows


def rotate(volume: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """V(R·r) by cubic interpolation; volumes have axes z, y, x."""
    from scipy.ndimage import affine_transform

    matrix = rotation[::-1, ::-1]
    centre = np.full(3, volume.shape[0] // 2)
    return affine_transform(volume, matrix, centre - matrix @ centre, order=3)
