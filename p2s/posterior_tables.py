"""What was learnt of a known truth, beside the truth and the loss's own optimum: from records."""

import numpy as np
import pandas as pd

from p2s import optimum
from p2s.spec import Spec
from p2s.statistics import Estimate, estimate, number

WHEN = {"before": "before NMS", "after": "after NMS"}
NUMBERS = {"p_object": "P(O)", "p_class": "P(A|O)", "product": "P(A)"}
GAPS = ("truth", "optimum")  # what a distance is from
TOLERANCE = 5.0  # percent: the mean distance from the truth up to which P(O) counts as calibrated
SHARED = ("row", "scale", "when", "number")


def learnt(lines, found):
    """A line for each row, seed, character, moment and number of `posterior.measure`.

    lines: of `tables.measured`; found: its records by id. Columns: row, scale, seed, q, r, when,
    number, learnt, truth and optimum; NaN where a detector found no such object.
    """
    rows = []
    for line in lines.to_dict("records"):
        record = found.get(line["record"])
        finding = record.findings.get("posterior") if record else None
        for one in finding["characters"] if finding else []:
            places = {name: line[name] for name in ("row", "scale", "seed")}
            rows += _numbers(places, Spec.model_validate(record.spec), finding, one)
    columns = ["row", "scale", "seed", "q", "r", "when", "number", "learnt", "truth", "optimum"]
    return pd.DataFrame(rows, columns=columns)


def errors(frame):
    """The mean distance of what was learnt from the truth and from the optimum, in percent.

    A line for each row, moment, number and distance, over characters by chance, with its interval
    over seeds. What an exact likelihood does not identify has no optimum.
    """
    some = frame[(frame["q"] < 1)]
    found = []
    for of in GAPS:
        gap = (100 * (some["learnt"] - some[of]).abs()).rename("gap")
        by_seed = some[[*SHARED, "seed"]].join(gap).groupby([*SHARED, "seed"], sort=False)["gap"]
        means = by_seed.mean().groupby(list(SHARED), sort=False)
        found += [(*key, of, *estimate(values)) for key, values in means]
    return pd.DataFrame(found, columns=[*SHARED, "from", *Estimate._fields])


def readable(frame):
    """`errors` for people: a line a row, columns by moment, number and what it is a distance from.

    Cells are mean ± half the interval over seeds.
    """
    cells = [Estimate(*line).text() for line in frame[[*Estimate._fields]].itertuples(index=False)]
    named = frame.assign(cell=cells, when=frame["when"].map(WHEN), of=frame["number"].map(NUMBERS))
    grid = named.pivot(index="row", columns=["when", "from", "of"], values="cell")
    return grid.loc[frame["row"].unique()].rename_axis(index=None)


def words(frame, name="p_object"):
    """What each row learnt of P(O) before NMS, against the truth and its loss, as sentences.

    The judgement is `TOLERANCE`: the interval of the mean distance lies below or above it.
    """
    gaps = errors(frame)
    gaps = gaps[(gaps["when"] == "before") & (gaps["number"] == name)].set_index(["row", "from"])
    said = []
    for row in frame["row"].unique():
        truth, best = (Estimate(*gaps.loc[(row, of), [*Estimate._fields]]) for of in GAPS)
        tail = f", and {best.text()} from its loss's own optimum" if best.seeds else ""
        judged = _judged(truth)
        said.append(
            f"{row}: {NUMBERS[name]} is {truth.text()} % from the truth: **{judged}**{tail}"
        )
    return said


def by_chance(frame, when="before"):
    """Learnt, optimum and truth by row and chances as text, one column a number."""
    some = frame[frame["when"] == when]
    means = some.groupby(["row", "q", "r", "number"], sort=False)[["learnt", "optimum", "truth"]]
    grid = means.mean().map(lambda one: number(one, digits=2)).agg(" / ".join, axis=1)
    return grid.unstack("number").rename(columns=NUMBERS).rename_axis(columns=None)


def _judged(gap):
    if gap.seeds < 2:
        return "undecided"
    if gap.high <= TOLERANCE:
        return "calibrated"
    return "not calibrated" if gap.low > TOLERANCE else "undecided"


def undone(lines, found):
    """The control: P(O) of an RPN before NMS with its sampler's odds undone, beside q.

    Columns: row, seed, q, learnt and undone.
    """
    rows = []
    for line in lines[lines["first"] == "rpn"].to_dict("records"):
        record = found.get(line["record"])
        finding = record.findings.get("posterior") if record else None
        for one in finding["characters"] if finding else []:
            said = one["before"]["p_object"]
            if said is not None:
                fixed = optimum.undone(said, finding["negatives"])
                rows.append((line["row"], line["seed"], one["q"], said, fixed))
    return pd.DataFrame(rows, columns=["row", "seed", "q", "learnt", "undone"])


def best(spec, finding, q, r) -> optimum.Learnt:
    """The population optimum of a Spec's losses for a character, with what they depend on."""
    objective = spec.second_stage.objective
    if objective != "sampled":
        return optimum.OBJECTIVES[objective](q, r)
    second = optimum.sampled(q, r, finding["regions"])
    return second._replace(p_object=_best_object(spec, finding, q))


def _best_object(spec, finding, q):
    plain = spec.first_stage.weighting == "none"
    if spec.first == "rpn":
        return optimum.sampling(q, finding["negatives"])
    if spec.first == "gfl":
        ious = finding["ious"]
        return q * float(np.mean(ious)) if plain else optimum.quality(q, ious)
    score = q if plain or q == 1 else optimum.focal(q)
    return optimum.centered(score, finding["centerness"]) if spec.first == "atss" else score


def _numbers(places, spec, finding, one):
    q, r = one["q"], one["r"]
    wanted, truth = best(spec, finding, q, r), optimum.Learnt(q, r, 0.0)
    known = spec.second_stage.objective not in ("exact", "exact@K", "max")
    return [
        places
        | {"q": q, "r": r, "when": when, "number": name}
        | {"learnt": np.nan if one[when][name] is None else one[when][name]}
        | {"truth": getattr(truth, name)}
        | {"optimum": getattr(wanted, name) if known or name == "product" else np.nan}
        for when in WHEN
        for name in NUMBERS
    ]
