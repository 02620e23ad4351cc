"""Where a classification stands, saved beside the declared outputs and found again after a kill."""

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from emjax.campaign.checkpoint import load_checkpoint, save_checkpoint
from emjax.classify.em3d.state import IterationRecord, Run, RunState, Stage
from emjax.io.files import remove_unfinished


def fingerprint(settings: Any, files: Iterable[str | Path]) -> str:
    """Of everything that decides a result: a checkpoint of anything else is not used."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


class Checkpoint:
    """The states of a batch of runs in one file."""

    def __init__(self, path: str | Path, of: str) -> None:
        """The file, and the fingerprint of what is computed."""
        self._path, self._of = Path(path), of
        self._seconds, self._since = 0.0, time.monotonic()
        self._cost, self._saved = 0.0, -1e9
        self._unsaved: Sequence[RunState] = ()

    @property
    def seconds(self) -> float:
        """Time spent so far, interrupted attempts included."""
        return self._seconds + time.monotonic() - self._since

    def load(self) -> list[RunState] | None:
        """The states to resume from, or None where there is nothing of this computation."""
        found = load_checkpoint(self._path)
        if found is None or found[1].get("fingerprint") != self._of:
            return None
        arrays, meta = found
        self._seconds = meta["seconds"]
        return [_from_arrays(i, record, arrays) for i, record in enumerate(meta["runs"])]

    def save(self, states: Sequence[RunState]) -> None:
        """Save the states, unless saving would take more than a tenth of the time."""
        self._unsaved = states
        if time.monotonic() - self._saved > 10 * self._cost:
            self.flush()

    def flush(self) -> None:
        """Save the latest states, if that was put off."""
        states = self._unsaved
        if not states:
            return
        start = time.monotonic()
        arrays = {k: v for i, state in enumerate(states) for k, v in _to_arrays(i, state).items()}
        runs = [_record(state) for state in states]
        meta = {"fingerprint": self._of, "seconds": self.seconds, "runs": runs}
        save_checkpoint(self._path, arrays, meta)
        self._saved, self._unsaved = time.monotonic(), ()
        self._cost = self._saved - start

    def remove(self) -> None:
        """Forget it, once the outputs are written."""
        for path in self._path.parent.glob(f"{self._path.stem}*"):
            path.unlink(missing_ok=True)
        remove_unfinished(self._path)


def _record(state: RunState) -> dict[str, Any]:
    return {
        "n_classes": state.run.n_classes,
        "seed": state.run.seed,
        "iteration": state.iteration,
        "converged": state.converged,
        "stage": state.stage.value,
        "initial_differences": state.initial_differences,
        "history": [record.to_dict() for record in state.history],
    }


def _to_arrays(i: int, state: RunState) -> dict[str, Any]:
    return {
        f"{i}.volumes": state.volumes,
        f"{i}.class_weights": state.class_weights,
        f"{i}.labels": state.labels,
    }


def _from_arrays(i: int, record: dict[str, Any], arrays: dict[str, Any]) -> RunState:
    return RunState(
        run=Run(record["n_classes"], record["seed"]),
        volumes=arrays[f"{i}.volumes"],
        class_weights=arrays[f"{i}.class_weights"],
        labels=arrays[f"{i}.labels"],
        iteration=record["iteration"],
        converged=record["converged"],
        stage=Stage(record["stage"]),
        initial_differences=tuple(record["initial_differences"]),
        history=tuple(map(IterationRecord.from_dict, record["history"])),
    )
