# Maps of similar images (KerDenSOM). A batch of seeds is one job.

SOM = METHODS["som"]
IMAGES = rules.prepare_particles.output

if JOB == "som":

    ruleorder: prepare_images > prepare_particles

    # Without map, masks and poses in 3D.
    rule prepare_images:
        input:
            facts=rules.check_input.output,
            particles=user_files(config["particles"]),
        output:
            particles=PREPARED.particles.all(SUFFIXES),
            images=PREPARED.images,
            noise=PREPARED.noise,
            bad_images=PREPARED.bad_images,
        log:
            log_of("prepare_images"),
        benchmark:
            benchmark_of("prepare_images")
        conda:
            "../envs/emjax.yaml"
        threads: CPUS
        resources:
            **computing("prepare_images", costs.prepare),
        params:
            emjax=EMJAX_VERSION,
            image_root=config["image_root"],
            on_mixed_optics=config["on_mixed_optics"],
            ctf_in_images=config["ctf_in_images"],
            image_precision=config["image_precision"],
            bad_images=config["check"]["bad_images"],
            pixel_size=config["check"]["pixel_size"],
            aligned=SOM.options(config)["aligned"],
            ctf=SOM.options(config)["ctf"],
        message:
            "Cropping, centring and whitening the images"
        script:
            "../scripts/prepare_images.py"

    IMAGES = rules.prepare_images.output


for batch in SOM.batches(config):

    rule:
        name:
            f"classify_{batch.name}"
        input:
            facts=rules.check_input.output,
            particles=IMAGES.particles,
            images=IMAGES.images,
            noise=IMAGES.noise,
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


if JOB == "som":
    CLASSES = FOLDER.classes

    rule write_som_classes:
        input:
            facts=rules.check_input.output,
            particles=IMAGES.particles,
            images=IMAGES.images,
            noise=IMAGES.noise,
            runs=[FOLDER.run(run).metrics for run in RUNS],
            posteriors=[FOLDER.run(run).posteriors for run in RUNS],
        output:
            particles=CLASSES.particles.all(SUFFIXES),
            averages=CLASSES.averages,
            model=CLASSES.model,
            optimiser=CLASSES.optimiser,
            templates=CLASSES.templates,
            agreement=CLASSES.agreement,
            seeds=CLASSES.seeds,
            summary=CLASSES.summary,
        log:
            log_of("write_som_classes"),
        benchmark:
            benchmark_of("write_som_classes")
        conda:
            "../envs/emjax.yaml"
        resources:
            **reading(6),
        params:
            emjax=EMJAX_VERSION,
            runs=RUNS,
            options={k: v for k, v in SOM.options(config).items() if k != "seeds"},
        message:
            "Comparing the maps and writing the classes"
        script:
            "../scripts/write_som_classes.py"
