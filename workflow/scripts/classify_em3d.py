"""A batch of em3d runs, several seeds with every number of classes, in one pass per iteration."""

import numpy as np

from emjax.campaign.job import job
from emjax.classify.em3d.iterations import classify
from emjax.classify.operators.backend import describe_backend
from emjax.io.mrc.volume import write_volume
from emjax.jobs.em3d import Em3dBatch, shared_warnings
from emjax.jobs.prepared import read_prepared
from emjax.jobs.run_files import run_context, runs_of, write_run

with job(snakemake) as work:
    params = snakemake.params
    prepared = read_prepared(work.folder.prepare)
    batch = Em3dBatch(work, prepared, runs_of(snakemake.output.metrics), params)
    work.say(f"{len(batch.runs)} runs in one pass over the data; engine: {describe_backend()}")
    results = classify(
        batch.engine,
        batch.scene,
        batch.runs,
        batch.options,
        initial_volumes=batch.first_maps,
        components=batch.components,
        resume=batch.resume,
        on_start=batch.started,
        on_iteration=batch.progress,
        everyone=batch.everyone,
    )
    context = run_context(
        work, prepared, params, engine=describe_backend(), seconds=batch.seconds_per_run
    )
    for name, result in zip(batch.names, results, strict=True):
        folder = work.folder.run(name)
        if params.focus:
            mask = np.asarray(batch.scene.focus_mask)
            write_volume(folder.focus_mask, mask, context.voxel_size)
        else:
            folder.focus_mask.unlink(missing_ok=True)  # of a campaign that had one
        write_run(folder, result, context)
        for warning in result.warnings:
            work.note(f"{name}: {warning}")
    batch.write_iterations(results)
    for line in shared_warnings(batch.names, results):
        work.say(line)
    batch.close()
