"""Files of particles that fit nothing, as a finished campaign leaves them."""

from pathlib import Path

import numpy as np
import pandas as pd

from emjax.io.files import read_tsv, write_json, write_tsv
from emjax.io.mrc.references import write_averages
from emjax.io.star.tables import StarFile, make_table, read_star, write_star


def add_outliers(
    folder: Path, junk: int = 30, pose: int = 10, between: int = 0, separated: bool = True
) -> np.ndarray:
    """Particles of a campaign set aside: all junk of the fourth micrograph; the reasons."""
    path = folder / "consensus/particles.star"
    table = read_star(path)["particles"]
    n, rng = len(table), np.random.default_rng(3)
    reasons = np.full(n, "none", "U7")
    reasons[60 : 60 + junk] = "junk"
    others = np.flatnonzero(np.arange(n) % 9 == 8)
    others = others[reasons[others] == "none"]
    reasons[others[:pose]] = "pose"
    reasons[others[pose : pose + between]] = "between"
    unfit = np.isin(reasons, ("junk", "pose"))
    score = np.where(unfit, rng.normal(2, 1, n), rng.normal(15, 3, n))
    fit = np.sign(score) * score**2 / 2
    classes = np.where(reasons == "none", table.integers("rlnClassNumber"), 0)
    columns = {name: np.array(table.text(name)) for name in table.labels} | {
        "rlnClassNumber": classes,
        "emjaxStability": np.where(classes > 0, table.numbers("emjaxStability"), 0),
        "rlnMicrographName": [f"mic{i // 20}.mrc" for i in range(n)],
        "rlnAngleRot": rng.uniform(-180, 180, n),
        "rlnAngleTilt": np.rad2deg(np.arccos(rng.uniform(-1, 1, n))),
        "emjaxFit": fit,
        "emjaxSetAside": reasons,
    }
    write_star(path, StarFile((make_table("particles", columns),)))
    before = np.where(unfit, reasons, "none")
    prepared = {"emjaxFit": fit, "emjaxSetAside": before}
    write_star(folder / "prepare/particles.star", StarFile((make_table("particles", prepared),)))
    calibration = {
        "unfit": {"mean": 2.0, "sd": 1.0},
        "fit": {"mean": 15.0, "sd": 3.0},
        "decoys": {"mean": 1.0, "sd": 1.5},
        "share": float(unfit.mean()),
        "separation": 4.0 if separated else 1.2,
        "separated": separated,
    }
    record = {"calibration": calibration, "recovered": 0}
    write_json(folder / "prepare/outliers.json", record | {"set_aside": {"junk": junk}})
    write_json(folder / "outliers/outliers.json", record | {"set_aside": {}})
    facts = {"particle": np.arange(n) + 1, "fit": fit, "probability": 1.0 - unfit}
    write_tsv(folder / "outliers/fits.tsv", pd.DataFrame(facts | {"set_aside": before}))
    _sizes(folder, classes)
    _gallery(folder, reasons, classes, fit)
    return reasons


def _sizes(folder: Path, classes: np.ndarray) -> None:
    stability = read_tsv(folder / "consensus/stability.tsv")
    stability["size"] = [int((classes == c).sum()) for c in stability["class"]]
    write_tsv(folder / "consensus/stability.tsv", stability)


def _gallery(folder: Path, reasons: np.ndarray, classes: np.ndarray, fit: np.ndarray) -> None:
    groups = {name: np.flatnonzero(reasons == name)[:2] for name in ("junk", "pose", "between")}
    groups |= {"least": np.argsort(np.where(classes > 0, fit, np.inf))[:2], "typical": [0]}
    names = [name for name, rows in groups.items() for _ in rows]
    rows = np.repeat(np.concatenate([*groups.values()]).astype(int), 2)
    columns = {
        "emjaxPicture": np.tile(["particle", "projection"], len(names)),
        "emjaxGroup": np.repeat(names, 2),
        "emjaxParticle": rows + 1,
        "rlnClassNumber": classes[rows],
        "emjaxFit": fit[rows],
        "emjaxProbability": np.where(reasons[rows] == "none", 1.0, 1e-4),
        "emjaxSetAside": reasons[rows],
        "rlnMicrographName": [f"<b>mic{row // 20}.mrc" for row in rows],
    }
    images = np.random.default_rng(0).normal(size=(len(rows), 16, 16))
    write_averages(folder / "outliers/gallery.mrcs", images, 6.0, columns)
