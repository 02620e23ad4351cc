# A basis that spans the particles' variability, then thousands of seeds inside it.

SUBSPACE = METHODS["subspace"]
SUBSPACE_OPTIONS = SUBSPACE.options(config)
BASIS_OPTIONS = basis_options(config)
SUBSPACE_BATCH = next(iter(SUBSPACE.batches(config)), None)
SUBSPACE_FOLDER = FOLDER.method("subspace")


rule fit_subspace:
    input:
        **PREPARED_FILES,
        half_maps=rules.prepare_particles.output.half_maps,
        components=user_files(*(path for _, path in SUBSPACE.starts(config))),
    output:
        basis=SUBSPACE_FOLDER.basis,
        statistics=SUBSPACE_FOLDER.statistics,
        held_out=SUBSPACE_FOLDER.held_out,
        coordinates=SUBSPACE_FOLDER.coordinates,
        evidence=SUBSPACE_FOLDER.evidence,
        curve=SUBSPACE_FOLDER.evidence_curve,
    log:
        log_of("fit_subspace"),
    benchmark:
        benchmark_of("fit_subspace")
    conda:
        "../envs/emjax.yaml"
    threads: CPUS
    resources:
        **computing("fit_subspace", lambda size: costs.pixel_operators(size, config)),
    params:
        emjax=EMJAX_VERSION,
        focus=config["masks"]["focus"],
        pose_error=POSE_ERROR,
        # More seeds or kept optima need no new basis.
        options={
            name: value
            for name, value in BASIS_OPTIONS.items()
            if name not in ("seeds", "keep", "polish_iterations")
        },
    message:
        "Fitting a basis of the particles' variability, judged by held-out particles"
    script:
        "../scripts/fit_subspace.py"


if SUBSPACE_BATCH:

    rule classify_subspace:
        input:
            **PREPARED_FILES,
            basis=rules.fit_subspace.output.basis,
            statistics=rules.fit_subspace.output.statistics,
            evidence=rules.fit_subspace.output.evidence,
        output:
            **files_of_runs(SUBSPACE_BATCH.runs),
            all_labels=SUBSPACE_FOLDER.labels,
            likelihood=SUBSPACE_FOLDER.likelihood,
            seeds=SUBSPACE_FOLDER.seeds,
            optima=SUBSPACE_FOLDER.optima,
            maps=[
                FOLDER.run(run).class_map(number)
                for run in SUBSPACE_BATCH.runs
                for number in range(1, run.n_classes + 1)
            ],
        log:
            log_of("classify_subspace"),
        benchmark:
            benchmark_of("classify_subspace")
        conda:
            "../envs/emjax.yaml"
        threads: CPUS
        resources:
            **computing(
                "classify_subspace",
                lambda size: SUBSPACE.cost(size, config, SUBSPACE_BATCH),
            ),
        params:
            emjax=EMJAX_VERSION,
            focus=config["masks"]["focus"],
            options=SUBSPACE_OPTIONS,
        message:
            "Running every seed and number of classes inside the subspace"
        script:
            "../scripts/classify_subspace.py"
