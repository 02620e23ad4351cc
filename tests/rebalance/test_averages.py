"""Superclass averages and aligned maps."""

import numpy as np
from scipy.spatial.transform import Rotation

from emjax.rebalance.align import Move, align_volumes
from emjax.rebalance.averages import superclass_averages
from tests.rebalance.test_affinity import blob_view, moved


def test_superclass_averages_are_means_of_what_was_aligned() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0, 1, 0, 0, -1])
    clean = [blob_view(view, 40) for view in (1, 2)]
    images = np.stack(
        [
            moved(clean[max(view, 0)], rng.uniform(0, 360), tuple(rng.uniform(-3, 3, 2)))
            for view in truth
        ]
    )
    noise = 0.3 * images.std() * rng.standard_normal(images.shape)
    noisy = (images + noise).astype(np.float32)
    means = superclass_averages(noisy, truth, np.array([10, 20, 90, 40, 5]), box_size=32)
    assert means.shape == (2, 40, 40)
    # In the frame of the largest class, with less noise than it has itself.
    inside = np.hypot(*(np.indices((40, 40)) - 20)) < 16
    found = np.corrcoef(means[0][inside], images[2][inside])[0, 1]
    alone = np.corrcoef(noisy[2][inside], images[2][inside])[0, 1]
    assert found > alone and found > 0.97
    # A superclass of one class is this class.
    np.testing.assert_array_equal(means[1], noisy[1])


def test_mirror_images_are_averaged_where_asked_for() -> None:
    image = blob_view(3, 40)
    pair = np.stack([image, moved(image[:, ::-1], 75.0, (1.0, 2.0))]).astype(np.float32)
    labels, sizes = np.zeros(2, int), np.array([11, 10])
    apart, together = (
        superclass_averages(pair, labels, sizes, mirror=mirror)[0] for mirror in (False, True)
    )
    lost, left = (1 - np.corrcoef(mean.ravel(), image.ravel())[0, 1] for mean in (apart, together))
    assert left < 1e-3 < lost


def test_maps_are_aligned_from_any_orientation() -> None:
    rng = np.random.default_rng(1)
    offsets = np.indices((24, 24, 24)) - 12
    body = np.zeros((24, 24, 24))
    for centre in rng.uniform(-5, 5, (6, 3)):
        body += np.exp(-((offsets - centre[:, None, None, None]) ** 2).sum(0) / 4)
    turned = Move(Rotation.random(random_state=5).as_matrix(), np.array([1.5, -1, 0.5]) / 24, 1.0)
    moves = align_volumes(np.stack([body, turned.apply(body)]).astype(np.float32))
    # A spline through every voxel, in float64.
    np.testing.assert_allclose(moves[0].apply(body), body, atol=1e-12)
    back = moves[1].apply(turned.apply(body))
    assert np.corrcoef(back.ravel(), body.ravel())[0, 1] > 0.97
    off = Rotation.from_matrix(moves[1].rotation @ turned.rotation).magnitude()
    # A tenth of a coarse step.
    assert np.degrees(off) < 3
