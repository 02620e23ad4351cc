# A map of every consensus class from its own particles at full box.


rule reconstruct_class:
    input:
        facts=rules.check_input.output,
        particles=user_files(config["particles"]),
        noise=rules.prepare_particles.output.noise,
        solvent_mask=rules.prepare_particles.output.solvent_mask,
        consensus=rules.build_consensus.output.particles,
    output:
        volume=CONSENSUS.class_map("{number}"),
        half_maps=[CONSENSUS.class_map("{number}", f"half{half}") for half in (1, 2)],
        fsc=CONSENSUS.class_fsc("{number}"),
    log:
        log_of("reconstruct_class_{number}"),
    benchmark:
        benchmark_of("reconstruct_class_{number}")
    wildcard_constraints:
        number=r"\d{3}",
    conda:
        "../envs/emjax.yaml"
    threads: CPUS
    resources:
        **computing("reconstruct_class", costs.reconstruct),
    params:
        emjax=EMJAX_VERSION,
        image_root=config["image_root"],
        symmetry=config["symmetry"],
    message:
        "Reconstructing consensus class {wildcards.number} at full box"
    script:
        "../scripts/reconstruct_class.py"


rule audit_classes:
    input:
        consensus=rules.build_consensus.output.particles,
        runs=rules.collect_runs.output,
        volumes=lambda wildcards: consensus_files(CONSENSUS.class_map),
        solvent_mask=rules.prepare_particles.output.solvent_mask,
    output:
        CONSENSUS.confounders,
    log:
        log_of("audit_classes"),
    benchmark:
        benchmark_of("audit_classes")
    conda:
        "../envs/emjax.yaml"
    resources:
        **reading(6),
    params:
        emjax=EMJAX_VERSION,
    message:
        "Looking for nuisances that the classes follow"
    script:
        "../scripts/audit_classes.py"
