# The classifications. A batch of seeds is a rule of its own, so that it declares its exact files.

for batch in EM3D_BATCHES:

    rule:
        name:
            f"classify_{batch.name}"
        input:
            facts=rules.check_input.output,
            particles=rules.prepare_particles.output.particles,
            images=rules.prepare_particles.output.images,
            mean_map=rules.prepare_particles.output.mean_map,
            solvent_mask=rules.prepare_particles.output.solvent_mask,
            noise=rules.prepare_particles.output.noise,
            focus=present(config["masks"]["focus"]),
            initial_maps=present(*config["runs"]["em3d"]["initial_maps"]),
        output:
            labels=[
                f
                for run in batch.runs
                for f in particle_files(f"{CAMPAIGN}/runs/{run}")
            ],
            posteriors=[f"{CAMPAIGN}/runs/{run}/posteriors.npy" for run in batch.runs],
            maps=[
                f"{CAMPAIGN}/runs/{run}/class_{number:03d}{part}.mrc"
                for run in batch.runs
                for number in range(1, classes_of(run) + 1)
                for part in ("", "_half1", "_half2", "_hard")
            ],
            fsc=[f"{CAMPAIGN}/runs/{run}/fsc.tsv" for run in batch.runs],
            metrics=[f"{CAMPAIGN}/runs/{run}/metrics.json" for run in batch.runs],
            focus_mask=[
                f"{CAMPAIGN}/runs/{run}/focus_mask.mrc"
                for run in batch.runs
                if config["masks"]["focus"]
            ],
            iterations=[
                directory(f"{CAMPAIGN}/runs/{run}/iterations")
                for run in batch.runs
                if EM3D_OPTIONS["write_each_iteration"]
            ],
        log:
            f"{LOGS}/classify_{batch.name}.log",
        benchmark:
            f"{LOGS}/benchmarks/classify_{batch.name}.tsv"
        conda:
            "../envs/emjax.yaml"
        threads: CPUS
        resources:
            cpus_per_task=CPUS,
            mem_mb=lambda wildcards, input, attempt, n=batch.columns: costs.memory_mb(
                costs.em3d(costs.read_facts(input.facts[0]), config, n), attempt
            ),
            runtime=lambda wildcards, input, attempt, n=batch.columns: costs.minutes(
                costs.em3d(costs.read_facts(input.facts[0]), config, n), attempt
            ),
        params:
            emjax=EMJAX_VERSION,
            focus=config["masks"]["focus"],
            options=EM3D_OPTIONS,
        message:
            f"Classifying {len(batch.runs)} runs in one pass over the data"
        script:
            "../scripts/classify_em3d.py"


rule import_labels:
    input:
        facts=rules.check_input.output,
        labels=lambda wildcards: present(EXTERNAL_RUNS[f"ext-{wildcards.name}"]["path"]),
    output:
        labels=particle_files(f"{CAMPAIGN}/runs/ext-{{name}}"),
        posteriors=f"{CAMPAIGN}/runs/ext-{{name}}/posteriors.npy",
        metrics=f"{CAMPAIGN}/runs/ext-{{name}}/metrics.json",
    log:
        f"{LOGS}/import_labels_{{name}}.log",
    conda:
        "../envs/emjax.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        emjax=EMJAX_VERSION,
        run=lambda wildcards: EXTERNAL_RUNS[f"ext-{wildcards.name}"],
        on_mismatch=config["consensus"]["on_mismatch"],
    message:
        "Reading the classes of {wildcards.name}"
    script:
        "../scripts/import_labels.py"
