# Superclasses of alike classes, and the excess of large ones set aside.

CLASSES = config["rebalance"]["classes"]
REBALANCED_SUFFIXES = (
    suffixes_of(CLASSES["particles"]) if CLASSES else PARTICLE_SUFFIXES
)
REBALANCED = {
    "affinity": f"{CAMPAIGN}/rebalance/affinity.npy",
    "superclasses": f"{CAMPAIGN}/rebalance/superclasses.tsv",
    "summary": f"{CAMPAIGN}/rebalance/rebalance.json",
    "kept": [f"{CAMPAIGN}/rebalance/particles_kept{s}" for s in REBALANCED_SUFFIXES],
    "excluded": [
        f"{CAMPAIGN}/rebalance/particles_excluded{s}" for s in REBALANCED_SUFFIXES
    ],
}

if CLASSES:

    # Classes made before: needs nothing else of the campaign.
    rule rebalance_classes:
        input:
            particles=present(CLASSES["particles"]),
            references=present(*listed(CLASSES["references"])),
            mask=present(own_map("solvent")),
        output:
            **REBALANCED,
            references=f"{CAMPAIGN}/rebalance/references.star",
        log:
            f"{LOGS}/rebalance_classes.log",
        benchmark:
            f"{LOGS}/benchmarks/rebalance_classes.tsv"
        conda:
            "../envs/emjax.yaml"
        resources:
            mem_mb=lambda wildcards, input, attempt: int(
                (2000 + 6 * input.size_mb) * attempt
            ),
            runtime=lambda wildcards, attempt: 60 * attempt,
        params:
            emjax=EMJAX_VERSION,
            options=config["rebalance"],
            image_root=config["image_root"],
            solvent_mask=config["masks"]["solvent"],
        message:
            "Comparing and rebalancing the given classes"
        script:
            "../scripts/rebalance_given.py"

else:

    rule rebalance_classes:
        input:
            consensus=rules.build_consensus.output.particles,
            volumes=maps_to_rebalance,
            solvent_mask=rules.prepare_particles.output.solvent_mask,
        output:
            **REBALANCED,
        log:
            f"{LOGS}/rebalance_classes.log",
        benchmark:
            f"{LOGS}/benchmarks/rebalance_classes.tsv"
        conda:
            "../envs/emjax.yaml"
        resources:
            mem_mb=lambda wildcards, input, attempt: int(
                (2000 + 6 * input.size_mb) * attempt
            ),
            runtime=lambda wildcards, attempt: 30 * attempt,
        params:
            emjax=EMJAX_VERSION,
            options=config["rebalance"],
        message:
            "Comparing and rebalancing the consensus classes"
        script:
            "../scripts/rebalance_classes.py"
