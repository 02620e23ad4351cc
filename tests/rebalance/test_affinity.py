"""Affinity between references and superclasses."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import adjusted_rand_score

from emjax.rebalance.affinity import blank, image_affinity, shrink_volume, volume_affinity
from emjax.rebalance.superclasses import superclasses


def blob_view(seed: int, box_size: int = 48) -> np.ndarray:
    """A smooth image without symmetry, well inside its box."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((box_size, box_size)) - box_size // 2
    image = np.zeros((box_size, box_size))
    for cy, cx, sign in zip(*rng.uniform(-9, 9, (2, 6)), rng.uniform(0.6, 1.4, 6), strict=True):
        width = rng.uniform(2.0, 3.5)
        image += sign * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2))
    return image


def moved(image: np.ndarray, angle: float, shift: tuple[float, float]) -> np.ndarray:
    turned = ndimage.rotate(image, angle, reshape=False, order=3)
    return ndimage.shift(turned, shift, order=3)


def test_image_affinity_finds_rotated_and_shifted_copy() -> None:
    image = blob_view(1)
    copies = [moved(image, angle, s) for angle, s in ((37.3, (2.5, -3.2)), (201.8, (-4.0, 1.3)))]
    affinity = image_affinity(np.stack([image, *copies, blob_view(2)]).astype(np.float32))
    assert affinity[0, 1] >= 0.99 and affinity[0, 2] >= 0.99 and affinity[1, 2] >= 0.99
    assert affinity[0, 3] < 0.95
    np.testing.assert_array_equal(affinity, affinity.T)
    np.testing.assert_array_equal(np.diag(affinity), 1)
    assert affinity.min() >= 0 and affinity.max() <= 1


@pytest.mark.parametrize("box_size", [40, 41])
def test_mirror_is_optional(box_size: int) -> None:
    image = blob_view(3, box_size)
    mirrored = moved(image[:, ::-1], 75.0, (1.0, 2.0))
    pair = np.stack([image, mirrored]).astype(np.float32)
    assert image_affinity(pair)[0, 1] < 0.95
    assert image_affinity(pair, mirror=True)[0, 1] >= 0.99


def test_affinity_ignores_contrast_offset_and_batch_size() -> None:
    images = np.stack([blob_view(s, 32) for s in range(4)]).astype(np.float32)
    affinity = image_affinity(images, angle_step=15.0)
    # Float32 sums of squares with an offset of 3 standard deviations: a few 1e-5.
    other = image_affinity(3 * images + 5, angle_step=15.0, pairs_per_batch=4)
    np.testing.assert_allclose(affinity, other, atol=2e-4)


def test_empty_image_has_no_affinity() -> None:
    images = np.stack([blob_view(1, 32), np.zeros((32, 32)), np.full((32, 32), 7.0)])
    affinity = image_affinity(images.astype(np.float32), angle_step=30.0)
    np.testing.assert_array_equal(affinity, np.eye(3))


def test_blank_averages_are_those_without_contrast() -> None:
    images = np.stack([blob_view(1, 32), np.zeros((32, 32)), np.full((32, 32), 7.0)])
    faint = 1e-2 * images[:1], 1e-5 * images[:1]
    found = blank(np.concatenate([images, images[:1], *faint]).astype(np.float32))
    np.testing.assert_array_equal(found, [False, True, True, False, False, True])
    assert blank(np.zeros((2, 8, 8), np.float32)).all()


def test_a_shrunk_volume_has_the_same_density_at_the_same_place() -> None:
    offsets = np.indices((40, 40, 40)) - 20
    volume = np.exp(-((offsets - np.array([4, -6, 2])[:, None, None, None]) ** 2).sum(0) / 40)
    # Every other voxel, since the blob has nothing near the smaller box's Nyquist.
    # The blob is cut at the box's edge, where its density is 0.007.
    np.testing.assert_allclose(shrink_volume(volume, 20), volume[::2, ::2, ::2], atol=2e-3)
    assert shrink_volume(volume, 64).shape == volume.shape


def test_superclasses_of_noisy_views_equal_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.arange(40) % 6)
    images = np.stack(
        [
            moved(blob_view(10 + view), rng.uniform(0, 360), tuple(rng.uniform(-3, 3, 2)))
            for view in truth
        ]
    )
    noise = 0.2 * images.std() * rng.standard_normal(images.shape)
    affinity = image_affinity((images + noise).astype(np.float32), angle_step=10.0)
    found = superclasses(affinity)
    assert found.suggested == 6 and found.clear, found.warning
    assert adjusted_rand_score(truth, found.labels) == 1
    assert adjusted_rand_score(truth, superclasses(affinity, 6, seed=3).labels) == 1
    sorted_truth = truth[found.order]
    assert np.count_nonzero(np.diff(sorted_truth)) == 5


def test_volume_affinity_is_the_correlation_inside_the_mask() -> None:
    rng = np.random.default_rng(0)
    volumes = rng.standard_normal((3, 6, 6, 6))
    volumes[1] += 2 * volumes[0]
    mask = (rng.random((6, 6, 6)) > 0.5).astype(float)
    inside = volumes.reshape(3, -1)[:, mask.reshape(-1) > 0]
    expected = np.clip(np.corrcoef(inside), 0, 1)
    # Two float64 orders of the same sums.
    np.testing.assert_allclose(volume_affinity(volumes, mask), expected, atol=1e-12)
    constant = np.concatenate([volumes[:1], np.full((1, 6, 6, 6), 0.1)])
    np.testing.assert_array_equal(volume_affinity(constant), np.eye(2))
    with pytest.raises(ValueError, match="mask: has 27 voxels"):
        volume_affinity(volumes, np.ones((3, 3, 3)))
    with pytest.raises(ValueError, match="above 0"):
        volume_affinity(volumes, np.zeros((6, 6, 6)))


def test_unclear_superclasses_are_reported() -> None:
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.4, 0.6, (20, 20))
    affinity = (noise + noise.T) / 2
    np.fill_diagonal(affinity, 1)
    forced = superclasses(affinity, 5)
    assert not forced.clear and forced.warning is not None and "not clear" in forced.warning


def test_superclasses_off_or_excluded() -> None:
    affinity = np.full((4, 4), 0.9)
    np.fill_diagonal(affinity, 1)
    alone = superclasses(affinity, "auto", superclassify=False)
    np.testing.assert_array_equal(alone.labels, range(4))
    excluded = np.array([False, True, False, False])
    found = superclasses(affinity, 3, superclassify=False, excluded=excluded)
    np.testing.assert_array_equal(found.labels, [0, -1, 1, 2])
    np.testing.assert_array_equal(found.order, [0, 2, 3, 1])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_superclasses_of_few_references(count: int) -> None:
    affinity = np.full((count, count), 0.5)
    np.fill_diagonal(affinity, 1)
    assert superclasses(affinity).labels.shape == (count,)
    np.testing.assert_array_equal(superclasses(affinity, count).labels, range(count))


def test_wrong_numbers_are_errors() -> None:
    affinity = np.eye(4)
    with pytest.raises(ValueError, match="expected 4 .*superclassify is off"):
        superclasses(affinity, 3, superclassify=False)
    with pytest.raises(ValueError, match="found 5"):
        superclasses(affinity, 5)
    with pytest.raises(ValueError, match="every reference is excluded"):
        superclasses(affinity, excluded=np.ones(4, bool))
    with pytest.raises(ValueError, match="symmetric"):
        superclasses(np.triu(np.ones((3, 3))))
    with pytest.raises(ValueError, match="max_shift"):
        image_affinity(np.zeros((2, 16, 16), np.float32), max_shift=8.0)
