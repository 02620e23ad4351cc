# A map of every class from its own particles at full box: of the consensus, or of given classes.

GIVEN = JOB == "reconstruct"
MAPS = FOLDER.reconstruct if GIVEN else CONSENSUS

if GIVEN:

    # A checkpoint: which classes there are is known only now.
    checkpoint prepare_classes:
        input:
            facts=rules.check_input.output,
            particles=user_files(config["particles"]),
            classes=user_files(config["reconstruct"]["classes"]),
            solvent=user_files(own_map("solvent")),
        output:
            particles=MAPS.particles.all(SUFFIXES),
            solvent_mask=MAPS.solvent_mask,
            noise=MAPS.noise,
            bad_images=MAPS.bad_images,
            classes=MAPS.classes,
        log:
            log_of("prepare_classes"),
        benchmark:
            benchmark_of("prepare_classes")
        conda:
            "../envs/emjax.yaml"
        threads: CPUS
        resources:
            **computing("prepare_classes", costs.prepare),
        params:
            emjax=EMJAX_VERSION,
            image_root=config["image_root"],
            filter_resolution=config["filter_resolution"],
            scale=config["scale"],
            static_noise=config["static_noise"],
            symmetry=config["symmetry"],
            on_mixed_optics=config["on_mixed_optics"],
            ctf_in_images=config["ctf_in_images"],
            split_seed=config["split_seed"],
            bad_images=config["check"]["bad_images"],
            pixel_size=config["check"]["pixel_size"],
            masks={k: v for k, v in config["masks"].items() if k != "focus"},
            classes=config["reconstruct"],
        message:
            "Estimating noise, scale and mask of the particles"
        script:
            "../scripts/prepare_classes.py"


rule reconstruct_class:
    input:
        facts=rules.check_input.output,
        particles=user_files(config["particles"]),
        noise=MAPS.noise if GIVEN else rules.prepare_particles.output.noise,
        solvent_mask=(
            MAPS.solvent_mask if GIVEN else rules.prepare_particles.output.solvent_mask
        ),
        classes=MAPS.particles.all(SUFFIXES),
    output:
        volume=MAPS.class_map("{number}"),
        half_maps=[MAPS.class_map("{number}", f"half{half}") for half in (1, 2)],
        fsc=MAPS.class_fsc("{number}"),
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
        given=GIVEN,
    message:
        f"Reconstructing {'given' if GIVEN else 'consensus'} class {{wildcards.number}} at full box"
    script:
        "../scripts/reconstruct_class.py"


rule audit_classes:
    input:
        consensus=rules.build_consensus.output.particles,
        runs=FOLDER.runs_table,
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
