# 3D classification without alignment. A batch of seeds is a rule of its own, so that it declares
# its exact files.

EM3D = METHODS["em3d"]
EM3D_OPTIONS = EM3D.options(config)
# What decides the result of a run, beside its number of classes and seed.
EM3D_SETTINGS = {
    name: value
    for name, value in EM3D_OPTIONS.items()
    if name not in ("n_classes", "seeds", "evidence_seeds")
} | {"symmetry": config["symmetry"]}
EM3D_STARTS = user_files(*(path for _, path in EM3D.starts(config)))

for batch in EM3D.batches(config):

    rule:
        name:
            f"classify_{batch.name}"
        input:
            **PREPARED_FILES,
            initial_maps=EM3D_STARTS,
        output:
            **files_of_runs(batch.runs),
            maps=[
                FOLDER.run(run).class_map(number, part)
                for run in batch.runs
                for number in range(1, run.n_classes + 1)
                for part in ("", "half1", "half2", "hard")
            ],
            fsc=[FOLDER.run(run).fsc for run in batch.runs],
            focus_mask=[
                FOLDER.run(run).focus_mask
                for run in batch.runs
                if config["masks"]["focus"]
            ],
        log:
            log_of(f"classify_{batch.name}"),
        benchmark:
            benchmark_of(f"classify_{batch.name}")
        conda:
            "../envs/emjax.yaml"
        threads: CPUS
        resources:
            **computing(
                "classify_em3d",
                lambda size, batch=batch: EM3D.cost(size, config, batch),
            ),
        params:
            emjax=EMJAX_VERSION,
            focus=config["masks"]["focus"],
            options=EM3D_SETTINGS,
        message:
            f"Classifying {len(batch.runs)} runs in one pass over the data"
        script:
            "../scripts/classify_em3d.py"


# Do the classes explain particles that they have not seen? The consensus asks before it reports.
rule judge_em3d:
    input:
        **PREPARED_FILES,
        initial_maps=EM3D_STARTS,
    output:
        evidence=FOLDER.method("em3d").evidence,
        curve=FOLDER.method("em3d").evidence_curve,
    log:
        log_of("judge_em3d"),
    benchmark:
        benchmark_of("judge_em3d")
    conda:
        "../envs/emjax.yaml"
    threads: CPUS
    resources:
        **computing("judge_em3d", lambda size: EM3D.cost_of_evidence(size, config)),
    params:
        emjax=EMJAX_VERSION,
        focus=config["masks"]["focus"],
        n_classes=EM3D_OPTIONS.get("n_classes", []),
        seeds=EM3D_OPTIONS.get("evidence_seeds", 0),
        options=EM3D_SETTINGS,
    message:
        "Judging numbers of classes by held-out particles"
    script:
        "../scripts/judge_em3d.py"
