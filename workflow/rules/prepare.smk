# The input checked, then whitened and cropped images, mean map, masks and noise.


# A new K or external run does not repeat this check: all that follows would run again.
# The first run checks them too, and the jobs that read them check them once more.
rule check_input:
    input:
        particles=user_files(config["particles"]),
        solvent=user_files(own_map("solvent")),
    output:
        FOLDER.reconstruct.facts if JOB == "reconstruct" else PREPARED.facts,
    log:
        log_of("check_input"),
    benchmark:
        benchmark_of("check_input")
    conda:
        "../envs/emjax.yaml"
    resources:
        # A table takes several times the memory of its text; of a stack the header is read.
        **reading(0 if is_stack(config["particles"]) else 4, minutes=15),
    params:
        emjax=EMJAX_VERSION,
        image_root=config["image_root"],
        needed=NEEDED,
        filter_resolution=config["filter_resolution"],
        symmetry=config["symmetry"],
        scale=config["scale"],
        ctf_in_images=config["ctf_in_images"],
        pixel_size=config["check"]["pixel_size"],
        solvent=config["masks"]["solvent"],
    message:
        f"Checking the input of campaign {config['campaign']}"
    script:
        "../scripts/check_input.py"


# Images of one view have no volume that would say where poses are off.
POSE_ERROR = (
    config["pose_error"] if len(RUNS) > len(METHODS["som"].runs(config)) else "off"
)


rule prepare_particles:
    input:
        facts=rules.check_input.output,
        particles=user_files(config["particles"]),
        solvent=user_files(own_map("solvent")),
    output:
        particles=PREPARED.particles.all(SUFFIXES),
        images=PREPARED.images,
        mean_map=PREPARED.mean_map,
        half_maps=PREPARED.half_maps,
        solvent_mask=PREPARED.solvent_mask,
        noise=PREPARED.noise,
        bad_images=PREPARED.bad_images,
        outliers=PREPARED.outliers,
        poses=PREPARED.poses,
        doubts=PREPARED.doubts,
    log:
        log_of("prepare_particles"),
    benchmark:
        benchmark_of("prepare_particles")
    conda:
        "../envs/emjax.yaml"
    threads: CPUS
    resources:
        **computing("prepare_particles", costs.prepare),
    params:
        emjax=EMJAX_VERSION,
        image_root=config["image_root"],
        needed=NEEDED,
        filter_resolution=config["filter_resolution"],
        scale=config["scale"],
        static_noise=config["static_noise"],
        image_precision=config["image_precision"],
        symmetry=config["symmetry"],
        on_mixed_optics=config["on_mixed_optics"],
        ctf_in_images=config["ctf_in_images"],
        split_seed=config["split_seed"],
        bad_images=config["check"]["bad_images"],
        pixel_size=config["check"]["pixel_size"],
        outliers=config["outliers"],
        pose_error=POSE_ERROR,
        masks={k: v for k, v in config["masks"].items() if k != "focus"},
    message:
        "Preparing the particles at {params.filter_resolution} Å"
    script:
        "../scripts/prepare_particles.py"


# Apart from the others: a new focus mask needs no new preparation.
FOCUS = config["masks"]["focus"]

if FOCUS:

    rule check_focus:
        input:
            focus=user_files(FOCUS),
            facts=rules.check_input.output,
            mean_map=rules.prepare_particles.output.mean_map,
            solvent_mask=rules.prepare_particles.output.solvent_mask,
        output:
            PREPARED.focus_doubts,
        log:
            log_of("check_focus"),
        conda:
            "../envs/emjax.yaml"
        resources:
            **reading(4, minutes=15),
        params:
            emjax=EMJAX_VERSION,
            focus=FOCUS,
        message:
            "Checking the focus mask {params.focus}"
        script:
            "../scripts/check_focus.py"


# What a method reads of it; a rule adds its own.
PREPARED_FILES = {
    "facts": rules.check_input.output,
    "particles": rules.prepare_particles.output.particles,
    "images": rules.prepare_particles.output.images,
    "mean_map": rules.prepare_particles.output.mean_map,
    "solvent_mask": rules.prepare_particles.output.solvent_mask,
    "noise": rules.prepare_particles.output.noise,
    "focus": [*user_files(FOCUS), *([PREPARED.focus_doubts] if FOCUS else [])],
}
