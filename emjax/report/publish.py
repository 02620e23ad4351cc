"""What a paper needs of a campaign: a methods paragraph, the citation, the files to deposit."""

from collections.abc import Iterator

from emjax.campaign.alone import CAMPAIGN
from emjax.report.campaign import Campaign
from emjax.report.figure import plural
from emjax.report.firm import misses
from emjax.report.held_out import supported
from emjax.report.methods import SUBSPACE
from emjax.report.number import chosen_number
from emjax.report.svg import number

CITATION = (
    "The emjax developers. emjax: campaigns of seeded cryo-EM classifications and their consensus. "
    "Version {version}{commit}, BSD-3-Clause."
)


def citation(campaign: Campaign) -> str:
    """How to cite the program that made it."""
    record = campaign.json(campaign.folder.record)
    commit = record.get("commit")
    return CITATION.format(
        version=record.get("emjax_version", campaign.preparation.get("emjax_version", "unknown")),
        commit=f" (commit {commit[:12]})" if commit else "",
    )


def methods_paragraph(campaign: Campaign) -> str:
    """What was done, for the methods section of a paper; empty for stand-alone jobs."""
    if campaign.job != CAMPAIGN or not campaign.run_names() or not campaign.preparation:
        return ""
    return " ".join(_sentences(campaign))


def _sentences(campaign: Campaign) -> Iterator[str]:
    prepared, config = campaign.preparation, campaign.config
    version = campaign.json(campaign.folder.record).get(
        "emjax_version", prepared.get("emjax_version", "")
    )
    text = f"{plural(prepared['n_particles'], 'particle')} with known poses"
    if "pixel_size" in prepared:
        text += f" (box {prepared['box_size']} px, {float(prepared['pixel_size']):.4g} Å per px)"
    text += f" were classified in 3D with emjax {version}"
    limit = prepared.get("filter_resolution") or config.get("filter_resolution")
    yield f"{text} at {float(limit):g} Å." if limit else f"{text}."
    symmetry = config.get("symmetry", "C1")
    if symmetry != "C1":
        yield f"Point-group symmetry {symmetry} was imposed."
    poses = campaign.json(campaign.folder.prepare.poses)
    if poses.get("pose_error"):
        yield "The poses were refined locally against the half-maps of all particles."
    elif poses.get("gain"):
        yield "The poses were kept: the images show no error of them."
    else:
        yield "The given poses were taken as exact."
    yield f"These runs were made: {'; '.join(runs_in_words(campaign))}."
    if chosen_number(campaign) == 1:
        yield (
            "A consensus of all runs found no division of the particles into separate classes that "
            f"{_judges(campaign, 'the runs')} support (false-discovery rate "
            f"{100 * campaign.fdr:g} %)."
        )
    else:
        yield from _consensus(campaign)
    if len(campaign.class_numbers) > 1 and not campaign.unreplicated:
        found = misses(campaign)
        firm = sum(not own for own in found.values())
        yield (
            f"{firm} of {len(found)} classes passed all tests: stability over the runs, resampling "
            "of runs and particles, a test against unrelated runs (false-discovery rate "
            f"{100 * campaign.fdr:g} %), and distinctness from the nearest class on held-out "
            "particles or by the runs."
        )
    without = int((campaign.particles.get("rlnClassNumber", campaign.reasons) == 0).sum())
    if without:
        yield f"{plural(without, 'particle')} of {number(len(campaign.reasons))} were left out."
    yield (
        "Class maps were reconstructed from half-sets; resolutions are those where the FSC inside "
        "a soft mask, corrected by phase randomisation, falls below 0.143."
    )


LABELLED = {
    "tree": "the groups were merged by hierarchical clustering",
    "model": "a latent class model of the runs' labels gave each particle its most probable class",
    "images": (
        "a latent class model of the runs' labels gave the classes, from whose maps a few last "
        "iterations over the images gave each particle its most probable class"
    ),
}


def _consensus(campaign: Campaign) -> Iterator[str]:
    """How classes were made of the runs."""
    elbows, count = campaign.elbows, chosen_number(campaign)
    if campaign.unreplicated:
        yield "The classes are those of a single run, which no other run replicates."
        return
    how = LABELLED.get(str(elbows.get("labelled_by")), "the groups were merged into classes")
    yield f"Particles that share their class in every run were grouped; {how}."
    asked = elbows.get("chosen_by", "auto") != "auto"
    yield (
        f"The number of classes, {count}, was "
        + (
            "set by us."
            if asked
            else f"chosen from {_judges(campaign, 'the agreement of the runs')}"
        )
        + ("" if asked else ", and resampling of runs and particles.")
    )


def _judges(campaign: Campaign, runs: str) -> str:
    """What decides on the number of classes, with the held-out particles where they were asked."""
    return runs if supported(campaign) is None else f"{runs} and held-out particles"


def runs_in_words(campaign: Campaign) -> Iterator[str]:
    """Runs by method: number, classes, seeds."""
    methods, classes = campaign.run_methods(), campaign.run_classes()
    for method in dict.fromkeys(methods.values()):
        own = [name for name, m in methods.items() if m == method]
        numbers = sorted({classes[name] for name in own if name in classes})
        listed = ", ".join(map(str, numbers[:-1])) + " and " * (len(numbers) > 1)
        listed += str(numbers[-1]) if numbers else "their own"
        of = " of another program" if method == "external" else f" of {method}"
        seeds = (campaign.config.get("runs") or {}).get(method) or {}
        text = f"{plural(len(own), 'run')}{of} with {listed} class{'es' * (listed != '1')}"
        if isinstance(seeds, dict) and seeds.get("seeds"):
            count = seeds["seeds"] if isinstance(seeds["seeds"], int) else len(seeds["seeds"])
            text += f" ({plural(count, 'seed')} for each number"
            keep = int(seeds.get("keep", 1))
            best = "the best" if keep == 1 else f"the best {keep} answers"
            text += f", {best} kept)" if method == SUBSPACE else ")"
        yield text


def deposition(campaign: Campaign) -> list[list[str]]:
    """Files of the campaign that a paper's data availability should offer, where each belongs."""
    folder, maps = campaign.folder, campaign.maps
    rows = []
    for c in campaign.class_numbers:
        for part, what, where in (
            ("", f"map of class {c}", "EMDB, main map"),
            ("half1", f"half-map 1 of class {c}", "EMDB, half map"),
            ("half2", f"half-map 2 of class {c}", "EMDB, half map"),
        ):
            rows.append((maps.class_map(c, part), what, where))
        rows.append((maps.class_fsc(c), f"FSC of class {c}", "EMDB, FSC curve"))
    open_ = "EMPIAR with the particle images, or Zenodo"
    rows += [
        (folder.prepare.solvent_mask, "solvent mask of the FSC", "EMDB, mask"),
        (
            maps.particles.star,
            ("particles with poses and classes" if campaign.lists_images else "classes by particle")
            + ", and stability" * (campaign.job != "reconstruct"),
            open_,
        ),
        (folder.consensus.stability, "statistics of every class", "Zenodo, with the paper"),
        (folder.consensus.intersections, "groups that the runs share", "Zenodo, with the paper"),
        (folder.runs_table, "all runs with seeds and likelihoods", "Zenodo, with the paper"),
        (folder.record, "all options, versions and checksums", "Zenodo, with the paper"),
        (folder.report, "this page", "supplementary file"),
    ]
    return [
        [campaign.link(path), what, where]
        for path, what, where in rows
        if path.exists() or path == folder.report
    ]
