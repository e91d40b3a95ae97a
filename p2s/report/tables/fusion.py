"""Tables of the fusion lab: what the records say of powers, as pure functions of records.

A gain is AP of the product less that of P(C|O) alone, of the same weights and proposals.
"""

import numpy as np
import pandas as pd

from p2s.maths.likelihood import FUSIONS
from p2s.report.intervals import DASH, NEGLIGIBLE, Estimate, estimate, number, verdict
from p2s.report.results import Results
from p2s.study import published as paper
from p2s.study.study import Study

MEASURE = "fusion"
ALL, ABOVE = "all scores", "scores above .05"  # at the detector's own NMS
IOUS = {"all scores at NMS .5": "0.5", "all scores at NMS .7": "0.7"}  # of the other settings
SETTINGS = (ALL, *IOUS, ABOVE)
FACTORS = {  # what a row may change of the first one
    "first stage": lambda spec: spec.first,
    "second stage": lambda spec: spec.second,
    "classes": lambda spec: spec.num_classes,
    "iterations": lambda spec: spec.recipe.iterations,
}
# The claim that holds, in words; a gain or a loss that is negligible as a whole is no change.
HELPS = {"none": "no change", "gain": "helps", "loss": "hurts"}
GROWS = {"none": "stays the same", "gain": "grows", "loss": "shrinks"}
UNDECIDED, MISSING = "undecided", "no record"


def named(results: Results):
    """AP by the named powers: a line for each run and setting; NaN where no record is."""
    lines = [
        {"row": run.row, "scale": run.scale, "seed": run.seed, "setting": setting}
        | {name: _ap(run, finding, setting, powers) for name, powers in FUSIONS.items()}
        for run, finding in results.findings(MEASURE)
        for setting in SETTINGS
    ]
    return pd.DataFrame(lines).astype(dict.fromkeys(FUSIONS, float))


def curves(results: Results, setting: str = ALL) -> dict[str, pd.DataFrame]:
    """AP of each row along the ratio of P(O)'s power to P(C|O)'s: by row a frame, a line a seed."""
    by_row = {row: {} for row in results.rows}
    for run, finding in results.findings(MEASURE):
        if finding:
            values = finding["curves"][_iou(run, setting)]
            by_row[run.row][run.seed] = pd.Series(values, finding["ratios"], dtype=float)
    return {row: pd.DataFrame(seeds).T for row, seeds in by_row.items()}


def maps(results: Results, part: str = "map") -> dict[str, pd.DataFrame]:
    """The map of each row that has one, mean over seeds: P(C|O)'s power down, P(O)'s across.

    part: "map", AP of scores above .05; "kept", how many detections an image those are.
    """
    by_row = {}
    for run, finding in results.findings(MEASURE):
        if finding:
            axes = finding["class_powers"], finding["object_powers"]
            by_row.setdefault(run.row, []).append(pd.DataFrame(finding[part], *axes, dtype=float))
    return {row: sum(seeds) / len(seeds) for row, seeds in by_row.items()}


def claimed(study: Study) -> dict[str, tuple[float, str]]:
    """What Table 5 says of the product, by row: its published gain, and the kind of claim."""
    table5 = study.experiments["table5"]
    places = {row.name: row.paper for row in table5.rows if row.paper}
    value = {row: paper.published(at.table, at.row, at.columns["AP"]) for row, at in places.items()}
    return {
        contrast.than: (round(value[contrast.row] - value[contrast.than], 2), contrast.expects)
        for contrast in table5.contrasts
        if contrast.name == "product"
    }


def gains(results: Results, claims):
    """The product's gain of each row and setting, in the shape of `tables.effects`.

    `claims` is as `claimed` tells it.
    """
    lines = []
    for (row, setting, scale), group in _groups(results):
        published, expects = claims.get(row, (np.nan, None))
        gain = estimate(group["product"] - group["class"])
        said = verdict(gain, expects)
        lines.append((row, setting, scale, expects or DASH, published, *gain, said))
    columns = ["contrast", "variant", "scale", "expects", "paper", *Estimate._fields, "verdict"]
    return pd.DataFrame(lines, columns=columns)


def best_ratio(seeds):
    """The ratio of the highest mean AP, and the least and the largest within NEGLIGIBLE of it.

    `seeds` is a frame of `curves`.
    """
    mean = seeds.mean()
    near = mean.index[mean >= mean.max() - NEGLIGIBLE]
    return mean.idxmax(), near.min(), near.max()


def at_best(seeds):
    """AP of each seed at the ratio that is best for the others, so that none chooses for itself."""
    others = (seeds.sum() - seeds) if len(seeds) > 1 else seeds.iloc[:0]
    return pd.Series({seed: seeds.loc[seed, line.idxmax()] for seed, line in others.iterrows()})


def reading(effect, words=HELPS):
    """What an Estimate of a difference says, as the word for the claim that holds."""
    if not effect.seeds:
        return MISSING
    held = [word for claim, word in words.items() if verdict(effect, claim) == "holds"]
    return held[0] if held else UNDECIDED


def summary(results: Results):
    """AP of all scores by named powers and at the best ratio, and the product's gain, for people.

    Behind the best ratio stand those within NEGLIGIBLE of it.
    """
    lines, of_row = {}, curves(results)
    for (row, setting, _), group in _groups(results):
        if setting == ALL:
            gain = estimate(group["product"] - group["class"])
            lines[row] = {name: estimate(group[name]).text() for name in FUSIONS}
            lines[row] |= {"best ratio": _ratio(of_row[row])}
            lines[row] |= {"there": estimate(at_best(of_row[row])).text()}
            lines[row] |= {"product − class": gain.text("+"), "the product": reading(gain)}
    return pd.DataFrame.from_dict(lines, "index")


def costs(results: Results):
    """What a score threshold of .05 costs by named powers: AP, and detections an image, for people.

    A line a row; "kept" of the 100 that there are without a threshold.
    """
    lines = named(results).set_index(["setting", "row", "seed"])[[*FUSIONS]]
    lost, kept = lines.loc[ALL] - lines.loc[ABOVE], maps(results, "kept")
    cells = {}
    for row, group in lost.groupby("row", sort=False):
        line = cells.setdefault(row, {})
        for name in FUSIONS:
            line[f"{name}: AP lost"] = estimate(group[name]).text()
            line[f"{name}: kept"] = number(_kept(kept, row, name))
    return pd.DataFrame.from_dict(cells, "index")


def by_stage(results: Results):
    """The product's gain with P(C|O) of one cascade stage alone, and of their mean, for people."""
    rows = {}
    for run, finding in results.findings(MEASURE):
        line = rows.setdefault(run.row, {})
        for stage, gain in enumerate(_of_stages(finding), 1):
            line.setdefault(f"stage {stage}", []).append(gain)
    means = {row: {"mean": gain} for row, gain in _gains(results).items()}
    cells = {
        row: {name: estimate(values).text("+") for name, values in (line | means[row]).items()}
        for row, line in rows.items()
    }
    return pd.DataFrame.from_dict(cells, "index").fillna(DASH)


def by_factor(results: Results):
    """Rows by what is said of them, by factor: the first row and those that change this of it."""
    specs = {run.row: run.spec for run in results.runs}
    first, *others = specs
    changed = {row: _factor(specs[row], specs[first]) for row in others}
    groups = {}
    for name, of in FACTORS.items():
        rows = {row: of(specs[row]) for row in specs if row == first or changed[row] == name}
        if isinstance(rows[first], int):
            ascending = sorted(rows, key=rows.get)
            groups[name] = {f"{rows[row]} {name}": row for row in ascending}
        else:
            groups[name] = {row: row for row in rows}
    return groups


def sentences(results: Results):
    """When the product helps and when it hurts, and how each factor moves its gain, in words."""
    gains = _gains(results)
    return [
        _by_reading(gains),
        *(_of_factor(*factor, gains) for factor in by_factor(results).items()),
    ]


def _by_reading(gains):
    said = {}
    for row, gain in gains.items():
        effect = estimate(gain)
        said.setdefault(reading(effect), []).append(f"{row} {effect.text('+')}")
    words = [word for word in (*HELPS.values(), UNDECIDED, MISSING) if word in said]
    parts = [f"**{word}**: {', '.join(said[word])}" for word in words]
    return f"The product beside P(C|O) alone, all scores counted. {'; '.join(parts)}."


def _of_factor(name, rows, gains):
    """A factor's gains; of one in numbers also the last's less the first's, seed by seed."""
    shown = ", ".join(f"{label} {estimate(gains[row]).text('+')}" for label, row in rows.items())
    (first, *_), (*_, last) = rows, rows
    if not first[0].isdigit():  # kinds have no order
        return f"The gain by {name}: {shown}."
    more = estimate(gains[rows[last]] - gains[rows[first]])
    ends = f"from {first} to {last}: {more.text('+')}, **{reading(more, GROWS)}**"
    return f"The gain by {name}: {shown}; {ends}."


def _gains(results):
    """The product's gain in all scores, by row a series over seeds."""
    lines = named(results)
    lines = lines[lines["setting"] == ALL].set_index("seed")
    gain = lines["product"] - lines["class"]
    return dict(tuple(gain.groupby(lines["row"], sort=False)))


def _groups(results):
    return named(results).groupby(["row", "setting", "scale"], sort=False)


def _ap(run, finding, setting, powers):
    """AP by a score of these powers; NaN where no record is."""
    if not finding:
        return np.nan
    on_class, on_object = powers
    if setting == ABOVE:
        line = finding["map"][finding["class_powers"].index(on_class)]
        return line[finding["object_powers"].index(on_object)]
    return finding["curves"][_iou(run, setting)][finding["ratios"].index(on_object / on_class)]


def _iou(run, setting):
    return IOUS.get(setting, str(run.spec.test.nms))


def _kept(kept, row, name):
    return kept[row].loc[FUSIONS[name]] if row in kept else np.nan


def _of_stages(finding):
    """The product's gain of each cascade stage alone."""
    pairs = (
        zip(finding["stages"]["product"], finding["stages"]["class"], strict=True)
        if finding
        else []
    )
    return [product - alone for product, alone in pairs]


def _ratio(seeds):
    if seeds.empty:
        return DASH
    best, low, high = (f"{ratio:.2g}" for ratio in best_ratio(seeds))
    return f"{best} ({low} to {high})"


def _factor(spec, first):
    """The name of the factor that a Spec changes; None where it changes another one."""
    return next((name for name, of in FACTORS.items() if of(spec) != of(first)), None)
