# Particles to look at: those set aside, those that fit least, and typical ones of every class.


rule draw_gallery:
    input:
        **{name: files for name, files in PREPARED_FILES.items() if name != "focus"},
        fits=rules.find_outliers.output.fits,
        consensus=rules.build_consensus.output.particles,
        volumes=lambda wildcards: consensus_files(CONSENSUS.class_map),
    output:
        images=FOLDER.outliers.gallery,
        list=FOLDER.outliers.gallery_list,
    log:
        log_of("draw_gallery"),
    benchmark:
        benchmark_of("draw_gallery")
    conda:
        "../envs/emjax.yaml"
    resources:
        **estimated(costs.gallery),
    params:
        emjax=EMJAX_VERSION,
    message:
        "Drawing particles beside their projections"
    script:
        "../scripts/draw_gallery.py"
