# A basis that spans the particles' variability, then thousands of seeds inside it.


rule fit_subspace:
    input:
        facts=rules.check_input.output,
        particles=rules.prepare_particles.output.particles,
        images=rules.prepare_particles.output.images,
        mean_map=rules.prepare_particles.output.mean_map,
        half_maps=rules.prepare_particles.output.half_maps,
        solvent_mask=rules.prepare_particles.output.solvent_mask,
        noise=rules.prepare_particles.output.noise,
        focus=present(config["masks"]["focus"]),
        components=present(
            *SUBSPACE_OPTIONS.get("components", []),
            *SUBSPACE_OPTIONS.get("states", []),
        ),
    output:
        basis=f"{CAMPAIGN}/runs/subspace/basis.npy",
        statistics=f"{CAMPAIGN}/runs/subspace/statistics.npy",
        coordinates=f"{CAMPAIGN}/runs/subspace/coordinates.npy",
        evidence=f"{CAMPAIGN}/runs/subspace/evidence.json",
        curve=f"{CAMPAIGN}/runs/subspace/evidence.tsv",
    log:
        f"{LOGS}/fit_subspace.log",
    benchmark:
        f"{LOGS}/benchmarks/fit_subspace.tsv"
    conda:
        "../envs/emjax.yaml"
    threads: CPUS
    resources:
        cpus_per_task=CPUS,
        mem_mb=lambda wildcards, input, attempt: costs.memory_mb(
            costs.subspace(costs.read_facts(input.facts[0]), config), attempt
        ),
        runtime=lambda wildcards, input, attempt: costs.minutes(
            costs.subspace(costs.read_facts(input.facts[0]), config), attempt
        ),
    params:
        emjax=EMJAX_VERSION,
        focus=config["masks"]["focus"],
        # More seeds or kept optima need no new basis.
        options={
            name: value
            for name, value in SUBSPACE_OPTIONS.items()
            if name not in ("seeds", "keep", "polish_iterations")
        },
    message:
        "Fitting a basis of the particles' variability, judged by held-out particles"
    script:
        "../scripts/fit_subspace.py"


rule classify_subspace:
    input:
        facts=rules.check_input.output,
        particles=rules.prepare_particles.output.particles,
        images=rules.prepare_particles.output.images,
        solvent_mask=rules.prepare_particles.output.solvent_mask,
        mean_map=rules.prepare_particles.output.mean_map,
        noise=rules.prepare_particles.output.noise,
        focus=present(config["masks"]["focus"]),
        basis=rules.fit_subspace.output.basis,
        statistics=rules.fit_subspace.output.statistics,
        evidence=rules.fit_subspace.output.evidence,
    output:
        all_labels=f"{CAMPAIGN}/runs/subspace/labels.npy",
        likelihood=f"{CAMPAIGN}/runs/subspace/likelihood.tsv",
        seeds=f"{CAMPAIGN}/runs/subspace/seeds.npy",
        optima=f"{CAMPAIGN}/runs/subspace/optima.tsv",
        labels=[
            f
            for run in SUBSPACE_RUNS
            for f in particle_files(f"{CAMPAIGN}/runs/{run}")
        ],
        posteriors=[f"{CAMPAIGN}/runs/{run}/posteriors.npy" for run in SUBSPACE_RUNS],
        maps=[
            f"{CAMPAIGN}/runs/{run}/class_{number:03d}.mrc"
            for run in SUBSPACE_RUNS
            for number in range(1, classes_of(run) + 1)
        ],
        metrics=[f"{CAMPAIGN}/runs/{run}/metrics.json" for run in SUBSPACE_RUNS],
    log:
        f"{LOGS}/classify_subspace.log",
    benchmark:
        f"{LOGS}/benchmarks/classify_subspace.tsv"
    conda:
        "../envs/emjax.yaml"
    threads: CPUS
    resources:
        cpus_per_task=CPUS,
        mem_mb=lambda wildcards, input, attempt: costs.memory_mb(
            costs.subspace_seeds(costs.read_facts(input.facts[0]), config), attempt
        ),
        runtime=lambda wildcards, input, attempt: costs.minutes(
            costs.subspace_seeds(costs.read_facts(input.facts[0]), config), attempt
        ),
    params:
        emjax=EMJAX_VERSION,
        focus=config["masks"]["focus"],
        options=SUBSPACE_OPTIONS,
    message:
        "Running every seed and number of classes inside the subspace"
    script:
        "../scripts/classify_subspace.py"
