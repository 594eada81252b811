"""Recompute what docs/plan.md says, from its words: recompute.py FOLDER [--causes FOLDER]. "other": see READINGS.md."""

import argparse
import json
import re
import zlib
from pathlib import Path
import numpy as np
from scipy import stats

CANDIDATES = ["Sigmoid(4.0)", "Arctan(2.0)", "GaussianGrad(0.5, 1.0)", "FakeNumericalGradient(1.0).scaled(width=0.125)"]
FOUR = CANDIDATES[:4]
CANDIDATES += ["MultiGaussianGrad()", "Sigmoid(2.0)", "Arctan(1.0)"]
OTHERS = ["InvSquareGrad(25.0)", "InvSquareGrad(1.0)", "ReluGrad()"]
TAILED = ["LogTailedRelu()", "LogTailedRelu(0.01)", "LogTailedRelu(0.1).scaled(width=0.25)"]
ALL, PRESENT = CANDIDATES + OTHERS + TAILED, CANDIDATES[0]
LINES = "dense,zero,slow,fast,small deep rows convolution times batch residual layer counts,sums momentum speech vowels"
LINES = [line.split(",") for line in (LINES + " watch power recall memory chaos randman").split()]
RATES, CHOOSING, DRAWS = [0.001, 0.003, 0.01, 0.03], [1000, 1001, 1002, 1003], 2000
QUESTIONS = {"rate is fixed": ("mean", None), "with normalisation": ("cost", ["batch", "residual", "layer"])}
QUESTIONS |= {"deep without it": ("cost", ["deep", "momentum", "vowels"]), "counts as outputs": ("cost", ["counts"])}
QUESTIONS |= {"recurrent and long": ("cost", ["rows", "speech", "recall", "memory", "chaos"])}
KINDS = ["tuned", "half", "mean", "worst", "cost"]

def rng(*name):
    """Draws that depend on a name alone, not on what else is finished."""
    return np.random.default_rng([4, zlib.crc32(" ".join(name).encode())])

def score(value):
    """Points: per cent; below 0, or not finite, it is 0."""
    return 100 * value if value is not None and np.isfinite(value) and value > 0 else 0.0

def chosen(validation, available):
    """The best rate by the plan, whether it is an edge even then, and whether the file lacks a rate that it needs."""
    tried, lacks = list(RATES), False
    for extended in range(3):
        top = max(validation[rate] for rate in tried)
        best = min(rate for rate in tried if validation[rate] >= top - 1e-5)
        outside = [max([r for r in available if r < best], default=None)] if best == min(tried) else []
        outside += [min([r for r in available if r > best], default=None)] if best == max(tried) else []
        if extended == 2 or not outside:
            return best, bool(outside), lacks
        lacks |= None in outside
        tried += [rate for rate in outside if rate is not None]

def differences(scores, weights):
    """Mean of o's scores less e's, [draw, e, o], over seeds that both have; scores [entrant, seed], NaN: none."""
    has = np.isfinite(scores)
    both, values = (has[:, None] & has[None]).astype(float), np.where(has, scores, 0)
    many = np.einsum("bs,eos->beo", weights, both)
    total = np.einsum("bs,eos->beo", weights, both * (values[None] - values[:, None]))
    return np.where(many > 0, total / np.maximum(many, 1), -np.inf)  # never drawn together: no opponent

def regrets(scores, strata, draws):
    """Points behind the best: as measured, in each draw, and in each draw behind the one that is best as measured."""
    point = differences(scores, np.ones((1, scores.shape[1])))[0]
    weights = np.zeros((DRAWS, scores.shape[1]))
    for stratum in filter(None, strata):
        weights[:, stratum] = draws.multinomial(len(stratum), np.full(len(stratum), 1 / len(stratum)), DRAWS)
    drawn, best = differences(scores, weights), point.argmax(1)
    return np.maximum(point.max(1), 0), np.maximum(drawn.max(2), 0), drawn[:, np.arange(len(best)), best]

def read_setting(path):
    """Everything that is said of one setting."""
    file = json.loads(path.read_text())
    if (done := file["finished"].get("compare")) is None:
        return None
    name, gain, found = path.stem, file["settings"].get("gain", 1.0), {}
    for row in (dict(zip(file["columns"], row, strict=True)) for row in file["rows"]):
        if row["gain"] == gain:
            found[row["entrant"], row["rate"], row["seed"]] = row
    notes, best, edges = [], {}, []
    for e in ALL:
        rates = {r for n, r, s in found if n == e and all((e, r, seed) in found for seed in CHOOSING)}
        means = {r: np.mean([score(found[e, r, seed]["validation"]) / 100 for seed in CHOOSING]) for r in rates}
        best[e], edge, lacks = chosen(means, rates)
        edges += [e] * edge
        notes += [f"{name}: {e} lacks a rate outside {best[e]}"] * lacks
        if best[e] != done["best"][e]:
            notes += [f"{name}: {e} best {best[e]}, but the file says {done['best'][e]}, which is used"]
            best[e] = done["best"][e]
        want = list(range(15 if e in FOUR else 5))
        if done["seeds"][e] != want or any((e, best[e], seed) not in found for seed in want):
            notes += [f"{name}: {e} has not the seeds of the plan"]
    if set(done["edges"]) != set(edges):
        notes += [f"{name}: edges {edges}, file says {done['edges']}"]
    if done["rates"] != RATES or done["choosing"] != CHOOSING or set(done["entrants"]) != set(ALL):
        notes += [f"{name}: another grid than the plan's"]
    seeds = [s for s in range(15) if any((e, best[e], s) in found for e in ALL)]
    strata = [[i for i, s in enumerate(seeds) if s < 5], [i for i, s in enumerate(seeds) if s >= 5]]
    def scores(column, rates, seeds):
        cells = ([found.get((e, rates[e], s)) for s in seeds] for e in ALL)
        return np.array([[score(cell[column]) if cell else np.nan for cell in line] for line in cells])

    out = {"best": best, "edges": edges, "notes": notes, "runs": len(found)}
    tests = scores("test", best, seeds)
    out["tuned"] = regrets(tests, strata, rng(name, "seeds"))
    out["half"] = regrets(scores("half", best, seeds), strata, rng(name, "seeds"))
    fixed = [regrets(scores("test", dict.fromkeys(ALL, r), CHOOSING), [[0, 1, 2, 3]], rng(name, "grid")) for r in RATES]
    fixed = [np.stack(each) for each in zip(*fixed, strict=True)]
    out["mean"] = tuple(each.mean(0) for each in fixed)
    worst = fixed[0].argmax(0)
    out["worst"] = fixed[0].max(0), fixed[1].max(0), fixed[2][worst, :, np.arange(len(ALL))].T
    out["cost"] = tuple((t + m) / 2 for t, m in zip(out["tuned"], out["mean"], strict=True))
    out["scores"] = dict(zip(ALL, np.nanmean(tests, 1).tolist(), strict=True))
    point, out["same"] = differences(tests, np.ones((1, len(seeds))))[0], {}
    for i, e in enumerate(ALL):
        o = point[i].argmax()
        behind = (tests[o] - tests[i])[np.isfinite(tests[o] - tests[i])]
        half, zero = stats.t.ppf(0.95, len(behind) - 1) * stats.sem(behind), point[i].max() <= 0
        said = {"same": bool(zero or (behind.mean() - half >= -1 and behind.mean() + half <= 1))}
        out["same"][e] = said | ({} if zero else {"behind": ALL[o], "mean": behind.mean(), "half_width": half})
    return out

def over(families, kind, names=ALL):
    """Mean over families {name: {kind: (point, draws, other)}}, with draws of families; last: draws of seeds alone."""
    drawn = rng("families", *families).integers(len(families), size=(DRAWS, len(families)))
    point, draws, other = map(np.stack, zip(*(f[kind] for f in families.values()), strict=True))
    each = np.arange(DRAWS)[:, None]
    found = point.mean(0), draws[drawn, each].mean(1), other[drawn, each].mean(1), draws.mean(0)
    return [x[..., [ALL.index(n) for n in names]] for x in found]

def interval(point, draws, *_):
    """[points, lower, upper] of 95 %."""
    return [float(point), *np.percentile(draws, [2.5, 97.5]).tolist()]

def intervals(found, names=ALL):
    """The same of each name, of what `over` returns or of a setting."""
    return {n: interval(found[0][i], found[1][:, i]) for i, n in enumerate(names)}

def rule(families):
    """The default that follows from families."""
    cost, draws, other, alone = over(families, "cost", CANDIDATES)
    out = {c: [f for f in families if families[f]["tuned"][0][i] > 5] for i, c in enumerate(CANDIDATES)}
    told = {"cost": intervals((cost, draws), CANDIDATES), "out": {c: where for c, where in out.items() if where}}
    left = [i for i, c in enumerate(CANDIDATES) if not out[c]]
    if not left:
        return told | {"winner": None, "default": PRESENT}
    w = min(left, key=lambda i: cost[i])
    told |= {"winner": CANDIDATES[w], "gain": interval(cost[0] - cost[w], draws[:, 0] - draws[:, w])}
    told["share"] = float((draws[:, w] < draws[:, 0]).mean())
    for reading, x in {"fixed opponents": other, "seeds alone": alone}.items():
        told[f"share, other: {reading}"] = float((x[:, w] < x[:, 0]).mean())
    stays = not out[PRESENT] and (w == 0 or not (cost[0] - cost[w] >= 0.5 and told["share"] >= 0.9))
    return told | {"default": PRESENT if stays else CANDIDATES[w]}

def headline(families):
    """Each family scored with the default that follows from the others."""
    told, scored = {"default": {}, "scored": {}}, {}
    for family in families:
        told["default"][family] = rule({f: x for f, x in families.items() if f != family})["default"]
        i = ALL.index(told["default"][family])
        scored[family] = {k: tuple(x[..., [i] * len(ALL)] for x in families[family][k]) for k in KINDS}
        told["scored"][family] = {k: intervals(x, ["it"])["it"] for k, x in scored[family].items()}
    told["over"] = {k: interval(x[0][0], x[1][:, 0]) for k in KINDS for x in [over(scored, k)]}
    return told

def advice(families, default):
    """The cheapest candidate of each question, and how much more the default costs."""
    told = {}
    for question, (kind, names) in QUESTIONS.items():
        if there := {f: x for f, x in families.items() if not names or f in names}:
            cost, draws = over(there, kind, CANDIDATES)[:2]
            c, d = cost.argmin(), CANDIDATES.index(default)
            more = interval(cost[d] - cost[c], draws[:, d] - draws[:, c])
            told[question] = {"cheapest": CANDIDATES[c], "cost": interval(cost[c], draws[:, c]), "default_more": more}
            told[question]["families"] = [*there]
    return told

def causes(folder):
    """Rank correlations, and what a width that follows does."""
    told = {}
    for path in sorted(folder.glob("*.json")) if folder else ():
        if "causes" not in (file := json.loads(path.read_text()))["finished"]:
            continue
        rows = [dict(zip(file["columns"], row, strict=True)) for row in file["rows"]]

        def mean(width, of, rows=rows):
            keys = [(e, r, width) for e in FOUR for r in RATES]
            runs = [[of(x) for x in rows if (x["entrant"], x["rate"], x["width"]) == key] for key in keys]
            return np.array(runs).mean(1)  # of as many seeds each, or this fails

        fixed, follows = (mean(width, lambda x: score(x["validation"])) for width in ("fixed", "follows"))
        flat = mean("fixed", lambda x: np.mean(x["flat"]))
        fails, gain = fixed.max() - fixed > 5, follows - fixed
        said = {"correlation": float(stats.spearmanr(flat, fixed)[0]), "fail": int(fails.sum())}
        said |= {"gain": float(gain[fails].mean()) if fails.any() else None, "loss": float(-gain[~fails].mean())}
        told[path.stem] = said
    if {"counts", "deep"} <= told.keys():
        both = [told["counts"], told["deep"]]
        told["named"] = all(x["correlation"] < -0.7 for x in both)
        told["advised"] = all(x["gain"] is not None and x["gain"] >= 5 and x["loss"] < 1 for x in both)
    return told

def show(title, rows, kinds=("tuned", "half", "mean", "worst")):
    """Print rows {name: {kind: [points, lower, upper]}}."""
    print(f"\n{title}\n{'':50}" + "".join(f"{kind:>24}" for kind in kinds))
    for name, row in rows.items():
        print(f"{name:50}" + "".join("{:8.2f} [{:6.2f}, {:6.2f}]".format(*row[kind]) for kind in kinds))

def table(of):
    """{entrant: {kind: interval}} of a function of the kind."""
    by_kind = {kind: intervals(of(kind)) for kind in KINDS}
    return {e: {kind: by_kind[kind][e] for kind in KINDS} for e in ALL}

def compute(folder, of_causes=None):
    """All of it, as JSON holds it."""
    settings = {p.stem: x for p in sorted(folder.glob("*.json")) if (x := read_setting(p))}
    lines = {line[0]: [s for s in line if s in settings] for line in LINES}
    families = {}
    for family, of in ((f, x) for f, x in lines.items() if x):
        families[family] = {k: tuple(np.mean(x, 0) for x in zip(*(settings[s][k] for s in of), strict=True)) for k in KINDS}
    out = {"finished": [*settings], "missing": [s for line in LINES for s in line if s not in settings]}
    out["notes"] = [note for x in settings.values() for note in x["notes"]]
    out["settings"] = {s: {k: x[k] for k in x if k not in KINDS} | {"regret": table(x.get)} for s, x in settings.items()}
    out["causes"] = causes(of_causes)
    if not families:
        return out
    out["families"] = {f: table(x.get) for f, x in families.items()}
    out["over"] = table(lambda kind: over(families, kind))
    out["over, other: fixed opponents"] = table(lambda kind: over(families, kind)[::2])
    out["rule"] = rule(families)
    out["headline"] = headline(families) if len(families) > 1 else None
    out["advice"] = advice(families, out["rule"]["default"])
    tailed = min(TAILED, key=lambda t: out["over"][t]["tuned"][0])
    several = [np.mean([min(settings[s]["tuned"][0][-3:]) for s in lines[f]]) for f in families]
    out["logtailed"] = {"best": tailed, "tuned": out["over"][tailed]["tuned"]}
    out["logtailed"]["other: best of each setting"] = np.mean(several)
    return out

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name, how in {"folder": {}, "--causes": {}, "--out": {"default": Path(__file__).with_name("out.json")}}.items():
        parser.add_argument(name, type=Path, **how)
    args = parser.parse_args()
    out = compute(args.folder, args.causes)
    args.out.write_text(json.dumps(out, indent=1, default=float))
    print("finished:", *out["finished"], "; missing:", *out["missing"])
    print("notes:", *out["notes"] or ["none"], sep="\n  ")
    for name, x in out["settings"].items():
        show(f"SETTING {name}; on an edge: {x['edges']}", x["regret"])
        print("not the same within a point:", *(e for e in ALL if not x["same"][e]["same"]), sep="\n  ")
    for name, x in out.get("families", {}).items():
        show(f"FAMILY {name}", x)
    if "over" in out:
        show("OVER FAMILIES", out["over"], KINDS)
        show("OVER FAMILIES, other: fixed opponents", out["over, other: fixed opponents"], KINDS)
    for key in ("rule", "headline", "advice", "logtailed", "causes"):
        text = re.sub(r"(\.\d{4})\d+", r"\1", json.dumps(out.get(key), indent=1, default=float))
        print(f"\n{key.upper()}", re.sub(r"\[[^][{}]*\]", lambda x: re.sub(r"\s+", " ", x[0]), text))
