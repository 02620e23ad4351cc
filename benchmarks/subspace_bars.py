"""What subspace campaigns must reach."""

RELION_CPU = 148.0  # seconds of one run of 25 iterations on the spliceosome, data README


def bars(results: dict) -> list[tuple[str, str, bool]]:
    """Each bar of the issue that was measured: what, the figure, whether it holds."""
    rows = []

    def add(what, figure, holds):
        rows.append((what, str(figure), bool(holds)))

    if "spliceosome" in results:
        r = results["spliceosome"]
        bar = (results.get("relion") or {}).get("cpu", RELION_CPU)
        four, off = r["runs"]["4"], r.get("off", r)["runs"]["4"]
        add(f"spliceosome: CPU s under one RELION run ({bar:.0f})", round(r["cpu"]), r["cpu"] < bar)
        add("spliceosome: K = 4 chosen", r["discrete"], r["discrete"] == 4)
        add("spliceosome: ARI ≥ 0.985", four["ari"], four["ari"] >= 0.985)
        add("spliceosome: ≥ 80 % of seeds at it", four["at_optimum"], four["at_optimum"] >= 0.8)
        gap = abs(four["ari"] - off["ari"])
        add("spliceosome: auto within 0.005 of off", round(gap, 4), gap <= 0.005)
    for name, k, bar in (("ligand", 2, 0.70), ("ligand_jittered", 2, 0.5), ("five", 5, 0.85)):
        if name in results:
            r = results[name]
            ari = r["runs"][str(k)]["ari"]
            add(f"{name}: K = {k} chosen", r["discrete"], r["discrete"] == k)
            add(f"{name}: ARI ≥ {bar}", ari, ari >= bar)
    if "poses_as_exact" in results.get("ligand_jittered", {}):
        r = results["ligand_jittered"]["poses_as_exact"]
        follow = [j for j, part in enumerate(r["explained_by_true_error"], 1) if part > 0.5]
        add("ligand_jittered: components named follow the poses", r["named"], r["named"] == follow)
    if "jittered" in results:
        ari = results["jittered"]["runs"]["4"]["ari"]
        add("jittered: ARI ≥ 0.88 with pose_error auto", ari, ari >= 0.88)
        states = results["jittered"]["discrete"]
        add("jittered: K = 4 chosen", states, states == 4)
    if "em3d" in results:
        for what, r in results["em3d"].items():
            # With wrong poses the maps of em3d follow these, so they hold no states.
            states = 4 if what == "spliceosome" else 1
            add(f"em3d judged, {what}: K = {states}", r["chosen"], r["chosen"] == states)
    if "continuous" in results:
        r = results["continuous"]
        states = [draw["discrete"] for draw in (r, *r["other_draws"])]
        add("continuous: no discrete states", states, max(states) == 1)
    for poses in ("exact", "jittered") if "null" in results else ():
        chosen = results["null"][poses]
        ones = sum(k == 1 for k in chosen)
        add(f"null, {poses}: K = 1 in every draw", f"{ones} of {len(chosen)}", ones == len(chosen))
    return rows
