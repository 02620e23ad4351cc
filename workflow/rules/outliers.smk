# Particles that fit none of the classes that the runs found; the consensus goes without them.


rule find_outliers:
    input:
        **PREPARED_FILES,
        metrics=[FOLDER.run(run).metrics for run in RUNS],
    output:
        fits=FOLDER.outliers.fits,
        record=FOLDER.outliers.record,
    log:
        log_of("find_outliers"),
    benchmark:
        benchmark_of("find_outliers")
    conda:
        "../envs/emjax.yaml"
    threads: CPUS
    resources:
        **computing("find_outliers", costs.outliers),
    params:
        emjax=EMJAX_VERSION,
        outliers=config["outliers"],
        symmetry=config["symmetry"],
        runs=RUNS,
    message:
        "Comparing every particle with the classes found"
    script:
        "../scripts/find_outliers.py"
