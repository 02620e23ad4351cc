# Maps of similar images (KerDenSOM). A batch of seeds is one job.

SOM = METHODS["som"]

for batch in SOM.batches(config):

    rule:
        name:
            f"classify_{batch.name}"
        input:
            facts=rules.check_input.output,
            particles=rules.prepare_particles.output.particles,
            images=rules.prepare_particles.output.images,
            noise=rules.prepare_particles.output.noise,
            mask=user_files(SOM.options(config)["mask"]),
        output:
            **files_of_runs(batch.runs),
            images=[
                path
                for run in batch.runs
                for kind in ("class_averages", "code_vectors")
                for path in FOLDER.run(run).images(kind)
            ],
            tables=[
                FOLDER.run(run).table(name)
                for run in batch.runs
                for name in ("nodes", "convergence")
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
                "classify_som", lambda size, batch=batch: SOM.cost(size, config, batch)
            ),
        params:
            emjax=EMJAX_VERSION,
            options={k: v for k, v in SOM.options(config).items() if k != "seeds"},
        message:
            f"Training {len(batch.runs)} maps in one pass over the data"
        script:
            "../scripts/classify_som.py"
