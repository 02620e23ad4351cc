"""Components of windows and of differences between classes."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from emjax.classify.subspace.basis import Basis, BasisOptions
from emjax.classify.subspace.enrich import enrich_by_windows, find_classes, localise_differences
from emjax.classify.subspace.volumes import fit_variability, to_maps
from emjax.imaging.grids import resample
from emjax.imaging.maps import slicing_values
from tests.classify.subspace.conftest import blob


def test_a_component_is_added_where_a_blob_is_bound_only(bound_case):
    operators, mean, bound = bound_case
    values = slicing_values(jnp.asarray(mean.volume * mean.solvent_mask), operators.grid)
    known = Basis(values, 0.1 * values[None])
    found = enrich_by_windows(operators, known, mean.solvent_mask, 1, 1, BasisOptions(1, 4))
    assert (found is not None) == bound
    if found is not None:
        assert found.n_components == 2
        maps = to_maps(found.components, operators.grid)
        seen = jnp.asarray(resample(blob(), maps.shape[-1]) * mean.solvent_mask)
        truth = to_maps(slicing_values(seen[None], operators.grid), operators.grid)[0]
        table = maps.reshape(2, -1).T
        along = table @ np.linalg.lstsq(table, truth.ravel())[0]
        assert np.corrcoef(along, truth.ravel())[0, 1] > 0.6


@pytest.mark.slow
def test_differences_between_classes_are_a_basis_of_them(prepared, operators, simulation):
    mask = prepared[1].solvent_mask
    basis, _ = fit_variability(operators, prepared[1].volume, mask, None, 10)
    before = find_classes(operators, basis, 3, 4)
    found = localise_differences(operators, basis, mask, 3, 4)
    after = find_classes(operators, found, 3, found.n_components)
    assert found.n_components == 2
    scores = [adjusted_rand_score(simulation.states, c.labels) for c in (before, after)]
    assert scores[1] > max(0.9, scores[0] - 0.01)
    # Half of the particles: the others have no label, and the folds' classes agree.
    half = find_classes(operators, found, 3, 2, folds=(1,))
    used = operators.fold_of == 1
    assert (half.labels[~used] == -1).all()
    assert adjusted_rand_score(half.labels[used], after.labels[used]) > 0.9
    np.testing.assert_allclose(half.distances, half.distances.T, rtol=1e-4)
