# Classifications that other programs made.

EXTERNAL_RUNS = {run["name"]: run for run in config["runs"]["external"]}


rule import_labels:
    input:
        facts=rules.check_input.output,
        labels=lambda wildcards: user_files(EXTERNAL_RUNS[wildcards.name]["path"]),
    output:
        **files_of_runs(["ext-{name}"]),
    log:
        log_of("import_labels_{name}"),
    conda:
        "../envs/emjax.yaml"
    resources:
        **reading(0, minutes=15),
    params:
        emjax=EMJAX_VERSION,
        run=lambda wildcards: EXTERNAL_RUNS[wildcards.name],
        on_mismatch=config["consensus"]["on_mismatch"],
    message:
        "Reading the classes of {wildcards.name}"
    script:
        "../scripts/import_labels.py"
