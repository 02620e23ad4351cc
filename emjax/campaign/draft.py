"""Configurations of stand-alone jobs, from what was given on the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emjax.campaign.init import as_name, campaign_name, config_text, draft_config
from emjax.campaign.settings import complete
from emjax.errors import InputError
from emjax.io.files import write_text
from emjax.io.labels.classes import find_classes
from emjax.io.particles.stack import is_stack


def draft_rebalance(
    classes: Path, references: Sequence[Path], name: str | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Options that rebalance given classes; the file of their averages is named in them.

    Args:
        classes: the particles with their classes, or the folder of their job.
        references: averages or maps of the classes; none, found beside the particles.
        name: of the results; None, after the job.
        options: of the section `rebalance`; those that are None stay at their defaults.

    Raises:
        InputError: where averages or maps are not found.
    """
    if not references:
        classes, references = find_classes(classes)
    paths = list(map(str, references))
    given = {key: value for key, value in options.items() if value is not None}
    given["references"] = paths[0] if len(paths) == 1 else paths
    return _draft("rebalance", classes, name) | {"rebalance": given}


def draft_som(particles: Path, name: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Options of maps of images aligned in 2D.

    Args:
        particles: with psi and origins or `alignments2D`; or a stack, with the option `aligned`.
        name: of the results; None, after the particles.
        options: of the section `runs.som`, and `filter_resolution`; None, at their defaults.
    """
    given = {key: value for key, value in options.items() if value is not None}
    if is_stack(particles) and given.get("aligned"):
        given.setdefault("ctf", "none")  # it has none
    top = {key: given.pop(key) for key in ("filter_resolution",) if key in given}
    given.setdefault("seeds", 3)
    return _draft("som", particles, name) | top | {"runs": {"som": given}}


def draft_consensus(
    labels: Sequence[Path], particles: Path | None, name: str | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Options that build the consensus of label files.

    Args:
        labels: a file, or the folder of a RELION job, each.
        particles: the file whose rows count; None, the first label file that lists images.
        name: of the results; None, `consensus`.
        options: of the section `consensus`; those that are None stay at their defaults.
    """
    given = {key: value for key, value in options.items() if value is not None}
    listing = [path for path in labels if path.suffix not in (".csv", ".tsv", ".txt", ".npz")]
    runs = [{"name": n, "path": str(p)} for n, p in zip(run_names(labels), labels, strict=True)]
    config = _draft("consensus", particles or [*listing, *labels][0], name or "consensus")
    return config | {"runs": {"external": runs}} | ({"consensus": given} if given else {})


def run_names(labels: Sequence[Path]) -> list[str]:
    """A name for each label file, after its job or itself, none twice."""
    jobs, files = [campaign_name(path) for path in labels], [path.stem for path in labels]
    found: list[str] = []
    for job, file in zip(jobs, files, strict=True):
        name = job if jobs.count(job) == 1 else as_name(f"{job}-{file}" if file != job else job)
        same = sum(other == name or other.rpartition("-")[0] == name for other in found)
        found.append(name if name not in found else f"{name}-{same + 1}")
    return found


def draft_reconstruct(
    particles: Path, name: str | None, classes: Path | None, solvent: Path | None, symmetry: str
) -> dict[str, Any]:
    """Options that reconstruct given classes.

    Args:
        particles: with poses and CTF, and their classes where `classes` is None.
        name: of the results; None, after the particles.
        classes: a label file of the same particles.
        solvent: mask of the FSC; None, made from the mean map.
        symmetry: point group in RELION's axes.

    Raises:
        InputError: where the particles cannot be read.
    """
    config = draft_config(particles).config
    del config["runs"]
    config |= _draft("reconstruct", particles, name)
    if classes is not None:
        config["reconstruct"] = {"classes": str(classes)}
    if solvent is not None:
        config["masks"] = {"solvent": str(solvent)}
    return config | ({} if symmetry == "C1" else {"symmetry": symmetry})


def write_draft(config: dict[str, Any]) -> Path:
    """Write a configuration as NAME.yaml, every option that its job reads explained.

    Returns:
        The file; one that asks for the same is left as it is.

    Raises:
        InputError: where there is another one of that name.
        ConfigError: where an option is wrong.
    """
    path = Path(f"{config['campaign']}.yaml")
    complete(config, "command line")
    text = config_text(path, config)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        expected = (
            f"those of this command; edit it and `emjax run {path}`, or take another name (-o)"
        )
        raise InputError(path, None, "other options", expected)
    if not path.exists():
        write_text(path, text)
    return path


def _draft(job: str, source: Path, name: str | None) -> dict[str, Any]:
    """What every job has; its results lie beside those of other jobs on the same input."""
    return {
        "job": job,
        "campaign": name or f"{campaign_name(source)}-{job}",
        "particles": str(source),
    }
