# Maps of alike images (KerDenSOM). A batch of seeds is one job.

for batch in SOM_BATCHES:

    rule:
        name:
            f"classify_{batch.name}"
        input:
            facts=rules.check_input.output,
            particles=rules.prepare_particles.output.particles,
            images=rules.prepare_particles.output.images,
            noise=rules.prepare_particles.output.noise,
            mask=present(config["runs"]["som"]["mask"]),
        output:
            labels=[
                f
                for run in batch.runs
                for f in particle_files(f"{CAMPAIGN}/runs/{run}")
            ],
            posteriors=[f"{CAMPAIGN}/runs/{run}/posteriors.npy" for run in batch.runs],
            images=[
                f"{CAMPAIGN}/runs/{run}/{kind}.{suffix}"
                for run in batch.runs
                for kind in ("class_averages", "code_vectors")
                for suffix in ("mrcs", "star")
            ],
            tables=[
                f"{CAMPAIGN}/runs/{run}/{table}.tsv"
                for run in batch.runs
                for table in ("nodes", "convergence")
            ],
            metrics=[f"{CAMPAIGN}/runs/{run}/metrics.json" for run in batch.runs],
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
                costs.som(costs.read_facts(input.facts[0]), config, n), attempt
            ),
            runtime=lambda wildcards, input, attempt, n=batch.columns: costs.minutes(
                costs.som(costs.read_facts(input.facts[0]), config, n), attempt
            ),
        params:
            emjax=EMJAX_VERSION,
            options=SOM_OPTIONS,
            seeds=batch.seeds,
        message:
            f"Training {len(batch.runs)} maps in one pass over the data"
        script:
            "../scripts/classify_som.py"
