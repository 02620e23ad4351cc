"""Which particles have no class, why, and how many: every number of it that the report says."""

from dataclasses import dataclass

from emjax.report.campaign import Campaign
from emjax.report.figure import percent, plural
from emjax.report.svg import number

FIT_NOTHING = ("image", "junk", "pose")  # reasons that the image gives, not the classes
MOST_IMAGES = 10  # of the bad ones that are listed


@dataclass(frozen=True)
class Reason:
    """Why particles have no class: after a number in a sentence, and at length."""

    one: str
    many: str
    meaning: str


REASONS = {
    "image": Reason(
        "has a bad image",
        "have bad images",
        "The image is blank, not finite, has hot pixels, or a norm far from that of the others.",
    ),
    "junk": Reason(
        "holds no particle",
        "hold no particle",
        "The image fits the map at no orientation: ice, carbon, an overlap, or nothing.",
    ),
    "pose": Reason(
        "fits at another pose only",
        "fit at another pose only",
        "There is a particle, but not at the pose in the particle file.",
    ),
    "between": Reason(
        "fits no class more than the others",
        "fit no class more than the others",
        "No class has a posterior above consensus.min_posterior.",
    ),
    "pruned": Reason(
        "is pruned",
        "are pruned",
        "Its group is below consensus.min_class_size, or its stability below min_stability.",
    ),
    "unassigned": Reason(
        "has no class in some run",
        "have no class in some run",
        "A run, of another program for example, has no class for it.",
    ),
}


def counts(campaign: Campaign) -> dict[str, int]:
    """Particles of each reason that there is, in the order of `REASONS`."""
    found = {name: int((campaign.reasons == name).sum()) for name in REASONS}
    return {name: count for name, count in found.items() if count}


def sentences(campaign: Campaign) -> list[str]:
    """How many have no class and why; empty where all have one."""
    found, total = counts(campaign), len(campaign.reasons)
    lines = []
    if found:
        aside = sum(found.values())
        parts = ", ".join(
            f"{number(n)} {REASONS[name].one if n == 1 else REASONS[name].many}"
            for name, n in found.items()
        )
        verb = "has" if aside == 1 else "have"
        lines.append(
            f"{number(aside)} of {plural(total, 'particle')} ({percent(aside, total)}) {verb} no "
            f"class: {parts}."
        )
    recovered = int(campaign.judged_by_mean.get("recovered", 0))
    if recovered:
        verbs = ("fits", "is") if recovered == 1 else ("fit", "are")
        lines.append(
            f"{plural(recovered, 'particle')} {verbs[0]} at another pose only and {verbs[1]} used "
            "there."
        )
    return lines


def reason_rows(campaign: Campaign) -> list[list[str]]:
    """Reason, particles, share and meaning, for reading; last those that have a class."""
    total, found = len(campaign.reasons), counts(campaign)
    rows = [
        [name, number(n), percent(n, total), REASONS[name].meaning] for name, n in found.items()
    ]
    kept = total - sum(found.values())
    return [*rows, ["none", number(kept), percent(kept, total), "It has a class."]] if rows else []


def bad_image_rows(campaign: Campaign) -> list[list[str]]:
    """The first of the images that were left out, with what is wrong with them."""
    table = campaign.table(campaign.folder.prepare.bad_images).head(MOST_IMAGES)
    return [
        [number(row["particle"]), str(row["image"]),
         f"{row['reason']}: {row['measure']} {number(row['value'])}", number(row["limit"])]
        for row in table.to_dict("records")
    ]  # fmt: skip
