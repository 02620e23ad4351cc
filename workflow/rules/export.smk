# The consensus classes as files for RELION, CryoSPARC, cryoDRGN and ChimeraX.


rule export_classes:
    input:
        particles=user_files(config["particles"]),
        consensus=rules.build_consensus.output.particles,
        volumes=lambda wildcards: consensus_files(CONSENSUS.class_map),
        fsc=lambda wildcards: consensus_files(CONSENSUS.class_fsc),
        half_maps=lambda wildcards: [
            path
            for half in (1, 2)
            for path in consensus_files(
                lambda number: CONSENSUS.class_map(number, f"half{half}")
            )
        ],
        mean_map=rules.prepare_particles.output.mean_map,
        solvent_mask=rules.prepare_particles.output.solvent_mask,
        focus_mask=user_files(config["masks"]["focus"]),
        superclasses=rules.rebalance_classes.output.superclasses,
    output:
        directory(FOLDER.export),
    log:
        log_of("export_classes"),
    benchmark:
        benchmark_of("export_classes")
    conda:
        "../envs/emjax.yaml"
    resources:
        **reading(4),
    params:
        emjax=EMJAX_VERSION,
        image_root=config["image_root"],
        on_mixed_optics=config["on_mixed_optics"],
        formats=config["export"],
        poses=config["export_poses"],
        focus=config["masks"]["focus"],
    message:
        "Writing the classes for {params.formats}"
    script:
        "../scripts/export_classes.py"
