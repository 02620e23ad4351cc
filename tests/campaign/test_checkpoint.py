"""Whatever moment a job is killed at, a whole checkpoint is left."""

import numpy as np
import pytest

from emjax.campaign.checkpoint import load_checkpoint, previous_path, save_checkpoint


def save(path, iteration):
    save_checkpoint(path, {"maps": np.full((2, 3), iteration, np.float32)}, {"it": iteration})


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "c.npz", 1)
    save(tmp_path / "c.npz", 2)
    return tmp_path / "c.npz"


def test_the_last_one_comes_back(path):
    loaded = load_checkpoint(path)
    assert loaded is not None and loaded[1] == {"it": 2}
    np.testing.assert_array_equal(loaded[0]["maps"], np.full((2, 3), 2))
    assert load_checkpoint(path.with_name("none.npz")) is None
    assert sorted(p.name for p in path.parent.iterdir()) == ["c.npz", "c.previous.npz"]


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -30])
def test_a_torn_one_gives_the_one_before(path, cut, caplog):
    path.write_bytes(path.read_bytes()[:cut])
    loaded = load_checkpoint(path)
    assert loaded is not None and loaded[1] == {"it": 1}
    assert "not used" in caplog.text


def test_every_altered_byte_is_noticed_or_harmless(path):
    raw = path.read_bytes()
    good = load_checkpoint(path)[0]["maps"]
    for place in range(0, len(raw), 7):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 255]) + raw[place + 1 :])
        arrays, meta = load_checkpoint(path)
        assert meta == {"it": 1} or np.array_equal(arrays["maps"], good)


def test_foreign_and_missing_ones(path):
    path.unlink()
    assert load_checkpoint(path)[1] == {"it": 1}
    np.savez(path, maps=np.zeros(3))
    assert load_checkpoint(path)[1] == {"it": 1}
    previous_path(path).write_text("hello")
    assert load_checkpoint(path) is None


def test_one_of_other_options_is_not_used(path):
    assert load_checkpoint(path, {"it": 1})[1] == {"it": 1}
    assert load_checkpoint(path, {"it": 7}) is None


def test_python_objects_are_refused(tmp_path):
    with pytest.raises(TypeError, match="Python objects"):
        save_checkpoint(tmp_path / "c.npz", {"a": np.array([None])}, {})
    np.savez(tmp_path / "c.npz", a=np.array([None], object))
    assert load_checkpoint(tmp_path / "c.npz") is None
