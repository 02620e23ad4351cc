"""Checkpoints that survive being killed while one is written."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from emjax.errors import InputError
from emjax.io.files import atomic_path, read_npz

_FORMAT = 1
_META = "__meta__"
_log = logging.getLogger("emjax")


def save_checkpoint(path: str | Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Write a checkpoint; the one before it stays beside it under the name `….previous.npz`.

    Args:
        path: the file, ending in `.npz`.
        arrays: numbers and text, no Python objects.
        meta: what JSON can hold: version, options, iteration, checksum of the input.
    """
    path = Path(path)
    arrays = {name: np.asarray(values) for name, values in arrays.items()}
    for name, values in arrays.items():
        if values.dtype.hasobject:
            raise TypeError(f"checkpoint array {name} holds Python objects")
    head = {"format": _FORMAT, "checksum": _checksum(arrays), "meta": meta}
    with atomic_path(path) as beside:
        with beside.open("wb") as stream:
            np.savez(stream, **{_META: np.array(json.dumps(head)), **arrays})  # pyright: ignore
        if path.exists():
            os.replace(path, previous_path(path))


def load_checkpoint(
    path: str | Path, expect: dict[str, Any] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Read the latest whole checkpoint: the last one, else the one before it.

    A torn, foreign or altered file is noted in the log and not used.

    Args:
        path: as given to `save_checkpoint`.
        expect: entries its meta must have, such as options and the input's checksum.

    Returns:
        Arrays and meta, or None when there is nothing to resume from.
    """
    for candidate in (Path(path), previous_path(path)):
        if not candidate.exists():
            continue
        problem, arrays, meta = _load(candidate)
        if not problem and expect is not None:
            wrong = [name for name, value in expect.items() if meta.get(name) != value]
            problem = f"made with another {', '.join(wrong)}" if wrong else ""
        if not problem:
            return arrays, meta
        _log.warning("%s: checkpoint not used: %s", candidate, problem)
    return None


def previous_path(path: str | Path) -> Path:
    """Where the checkpoint before the last one is."""
    return Path(path).with_suffix(".previous.npz")


def _load(path: Path) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
    """What is wrong (nothing: empty), arrays, meta."""
    try:
        arrays = read_npz(path)
        head = json.loads(str(arrays.pop(_META)))
        if head["format"] != _FORMAT:
            return f"format {head['format']}, expected {_FORMAT}", {}, {}
        if head["checksum"] != _checksum(arrays):
            return "its checksum does not fit", {}, {}
        return "", arrays, dict(head["meta"])
    except (InputError, ValueError, LookupError, TypeError) as error:
        return f"unreadable ({error})", {}, {}


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {values.dtype.str} {arrays[name].shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
