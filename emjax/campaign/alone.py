"""Stand-alone jobs: one part of a campaign asked for by `job:`, and the options each reads."""

from typing import Any

CAMPAIGN = "campaign"

# Options at the top level that must be given; a job that does without one finds null.
REQUIRED: dict[str, tuple[str, ...]] = {
    CAMPAIGN: ("campaign", "particles", "filter_resolution", "runs"),
    "rebalance": ("campaign", "particles"),
    "som": ("campaign", "particles"),
    "consensus": ("campaign", "particles", "runs"),
    "reconstruct": ("campaign", "particles", "filter_resolution"),
}
# Sections, or single options of one, that a stand-alone job reads besides.
READ: dict[str, tuple[str, ...]] = {
    "rebalance": ("image_root", "masks.solvent", "rebalance"),
    "som": (
        "image_root",
        "on_mixed_optics",
        "ctf_in_images",
        "filter_resolution",
        "image_precision",
        "check",
        "runs.som",
        "seeds_per_job",
    ),
    "consensus": ("runs.external", "consensus"),
    "reconstruct": (
        *("image_root", "on_mixed_optics", "ctf_in_images", "scale", "static_noise"),
        *("symmetry", "split_seed", "check", "reconstruct"),
        *(f"masks.{option}" for option in ("solvent", "threshold", "near", "far")),
    ),
}
# Options of any job: profiles set them.
READ_BY_ALL = ("gpus_per_job",)
# Options of sections of a campaign that only stand-alone jobs read.
ONLY_ALONE: tuple[str, ...] = (
    *("rebalance.align", "rebalance.references", "runs.som.aligned", "reconstruct"),
)
# Jobs of minutes, which `emjax estimate` has nothing to say of.
SHORT = ("rebalance", "consensus")


def job_of(config: Any) -> str:
    """What a configuration asks for, also before it is checked."""
    job = config.get("job") if isinstance(config, dict) else None
    return job if job in REQUIRED else CAMPAIGN


def reads(job: str, option: str) -> bool:
    """Whether a job reads an option, by its dotted name, or any option of a section."""
    if job == CAMPAIGN:
        return not any(f"{option}.".startswith(f"{own}.") for own in ONLY_ALONE)
    # A required section is read as far as READ names its options.
    needed = [name for name in REQUIRED[job] if name != "runs"]
    known = ("job", *needed, *READ_BY_ALL, *READ[job])
    return any(f"{option}.".startswith(f"{k}.") or k.startswith(f"{option}.") for k in known)
