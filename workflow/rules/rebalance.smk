# Superclasses of similar classes, and the excess of large ones excluded.

REBALANCED_FILES = {
    "affinity": REBALANCED.affinity,
    "superclasses": REBALANCED.superclasses,
    "summary": REBALANCED.summary,
    "kept": REBALANCED.kept.all(SUFFIXES),
    "excluded": REBALANCED.excluded.all(SUFFIXES),
}

if JOB == "rebalance":
    REFERENCES = config["rebalance"]["references"]

    # Classes made before: needs nothing of a campaign.
    rule rebalance_classes:
        input:
            particles=user_files(config["particles"]),
            references=user_files(
                *(REFERENCES if isinstance(REFERENCES, list) else [REFERENCES])
            ),
            mask=user_files(own_map("solvent")),
        output:
            **REBALANCED_FILES,
            thumbnails=REBALANCED.thumbnails,
            templates=directory(REBALANCED.templates),
            superclass_files=directory(REBALANCED.superclass_files),
        log:
            log_of("rebalance_classes"),
        benchmark:
            benchmark_of("rebalance_classes")
        conda:
            "../envs/emjax.yaml"
        resources:
            **reading(6, minutes=60),
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
            **REBALANCED_FILES,
        log:
            log_of("rebalance_classes"),
        benchmark:
            benchmark_of("rebalance_classes")
        conda:
            "../envs/emjax.yaml"
        resources:
            **reading(6),
        params:
            emjax=EMJAX_VERSION,
            options=config["rebalance"],
        message:
            "Comparing and rebalancing the consensus classes"
        script:
            "../scripts/rebalance_classes.py"
