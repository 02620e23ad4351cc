"""What to do next, in sentences."""

from collections.abc import Iterator

from emjax.report.audit import POSES
from emjax.report.campaign import Campaign
from emjax.report.figure import percent
from emjax.report.firm import blind, misses

MOSTLY = 0.6  # share of each class that a stability to ask for must leave


def continuum(campaign: Campaign) -> bool:
    """Whether the consensus calls the differences gradual."""
    return campaign.elbows.get("verdict") == "continuum"


def advise(campaign: Campaign, nuisances: set[str], nothing: bool) -> Iterator[str]:
    """What to do next.

    Args:
        campaign: its files.
        nuisances: those that deserve a warning, in the field's words.
        nothing: whether no classes were found.
    """
    if nothing:
        if blind(campaign) is not None:
            yield (
                "This is no evidence for one state. Look for classes again with more particles, or "
                "images with more signal."
            )
            return
        yield "Refine all particles together: nothing found here is a reason to split them."
        yield (
            "Only differences inside the focus mask were looked at: if you expect others, run a "
            "campaign without it, or with another; inside it a finer filter_resolution or more "
            "particles may help."
            if (campaign.config.get("masks") or {}).get("focus")
            else "If you expect a small difference (a ligand, a subunit), try a focus mask around "
            "it (masks.focus) or a finer filter_resolution, and more particles."
        )
        return
    if nuisances & set(POSES):
        yield (
            "Refine the poses first (a local angular refinement), then run the campaign again: "
            "classes that are states of the molecule stay, pose artefacts change or vanish."
        )
    elif nuisances:
        yield (
            f"Look into {' and '.join(sorted(nuisances))}: refine the CTF, normalise the images "
            "(scale: optimal) or leave out the particles in question, then run the campaign again. "
            "Classes that are states of the molecule stay."
        )
    if continuum(campaign):
        again = "Refine the poses again (local angular search) and repeat the campaign. "
        yield ("" if nuisances & set(POSES) else again) + (
            "If the differences stay, use a method for continuous motion, or cut the continuum on "
            "purpose with consensus.n_classes."
        )
        return
    found = misses(campaign)
    uncertain = [str(c) for c, own in found.items() if own]
    if uncertain:
        which = "these classes" if len(uncertain) == len(found) else _named(uncertain)
        yield (
            f"Do not interpret {which} yet: more runs, some of them with more classes, "
            "show whether the division stays."
        )
    if len(uncertain) == len(found) > 0:
        return
    if campaign.maps.class_maps():
        yield "Look at the difference maps below: is each where biology would put it?"
    particles = campaign.link(campaign.folder.consensus.particles.star)
    yield (
        f"Refine each class by itself from {particles} (rlnClassNumber), half-sets kept, poses "
        "free."
        if campaign.lists_images
        else f"Give the classes of {particles} (rlnClassNumber) to the particles of the program "
        "that has their images, by the key they share, and refine each class by itself."
    )
    yield from _cleanest(campaign)


def _named(classes: list[str]) -> str:
    return f"class{'es' * (len(classes) > 1)} {', '.join(classes)}"


def _cleanest(campaign: Campaign) -> list[str]:
    """The highest stability to ask of particles that leaves most of every class, if any does."""
    stability, labels = (
        campaign.particles.get(name) for name in ("emjaxStability", "rlnClassNumber")
    )
    if stability is None or labels is None:
        return []
    for least in (0.8, 0.7, 0.6, 0.5):
        kept = [stability[labels == c] > least for c in campaign.class_numbers]
        if kept and min(k.mean() if k.size else 0.0 for k in kept) >= MOSTLY:
            shares = [percent(k.sum(), k.size) for k in kept]
            left = [
                f"{s} of class {c}" for s, c in zip(shares, campaign.class_numbers, strict=True)
            ]
            return [
                f"For the cleanest maps keep only particles with emjaxStability above {least:g}; "
                f"that leaves {', '.join(left)}."
            ]
    return []
