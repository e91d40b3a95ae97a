"""Tables of the fusion lab: what the records say of powers, as pure functions of records.

A gain is AP of the product less that of P(C|O) alone, of the same weights and proposals.
"""

import numpy as np
import pandas as pd

from p2s.maths.likelihood import FUSIONS
from p2s.report.intervals import DASH, NEGLIGIBLE, Estimate, estimate, number, verdict
from p2s.report.results import Results, results
from p2s.report.tables.ablation import EFFECT, effects
from p2s.report.tables.estimates import cells, estimates, every, grid
from p2s.report.tables.judged import in_words
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


def named(results: Results) -> pd.DataFrame:
    """AP by the named powers and the product's `gain`: a line for each run and setting.

    NaN where no record is.
    """

    def told(run, finding):
        for setting in SETTINGS:
            yield setting, *(_ap(run, finding, setting, powers) for powers in FUSIONS.values())

    lines = results.lines(MEASURE, ["setting", *FUSIONS], told)
    lines = lines.astype(dict.fromkeys(FUSIONS, float))
    return lines.assign(gain=lines["product"] - lines["class"])


def curves(results: Results, setting: str = ALL) -> dict[str, pd.DataFrame]:
    """AP of each row along the ratio of P(O)'s power to P(C|O)'s: by row a frame, a line a seed."""

    def told(run, finding):
        values = finding["curves"][_iou(run, setting)] if finding else ()
        return zip(finding.get("ratios", ()), values, strict=True)

    lines = results.lines(MEASURE, ["ratio", "AP"], told)
    by_row = {row: lines[lines["row"] == row] for row in results.rows}
    return {row: of.pivot(index="seed", columns="ratio", values="AP") for row, of in by_row.items()}


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
    table5 = results(study, "table5").main
    printed = zip(table5.contrasts, effects(table5)["paper"], strict=True)
    return {of.than: (paper, of.expects) for of, paper in printed if of.name == "product"}


def gains(results: Results, claims: dict[str, tuple[float, str]]) -> pd.DataFrame:
    """The product's gain of each row and setting, in the shape of `tables.effects`.

    `claims` is as `claimed` tells it.
    """
    gains = estimates(named(results), ["row", "setting", "scale"], "gain")
    gains = gains.rename(columns={"row": "contrast", "setting": "variant"})
    printed, expects = zip(
        *(claims.get(row, (np.nan, None)) for row in gains["contrast"]), strict=True
    )
    pairs = zip(every(gains), expects, strict=True)
    said = [in_words(gain, claim, results.scale) for gain, claim in pairs]
    gains = gains.assign(paper=printed, expects=expects, verdict=said)
    return gains.fillna({"expects": DASH})[[*EFFECT]]


def best_ratio(seeds: pd.DataFrame) -> tuple[float, float, float]:
    """The ratio of the highest mean AP, and the least and the largest within NEGLIGIBLE of it.

    `seeds` is a frame of `curves`.
    """
    mean = seeds.mean()
    near = mean.index[mean >= mean.max() - NEGLIGIBLE]
    return mean.idxmax(), near.min(), near.max()


def at_best(seeds: pd.DataFrame) -> pd.Series:
    """AP of each seed at the ratio that is best for the others, so that none chooses for itself."""
    others = (seeds.sum() - seeds) if len(seeds) > 1 else seeds.iloc[:0]
    return pd.Series({seed: seeds.loc[seed, line.idxmax()] for seed, line in others.iterrows()})


def reading(effect: Estimate, words: dict[str, str] = HELPS) -> str:
    """What an Estimate of a difference says, as the word for the claim that holds."""
    if not effect.seeds:
        return MISSING
    held = [word for claim, word in words.items() if verdict(effect, claim) == "holds"]
    return held[0] if held else UNDECIDED


def summary(results: Results) -> pd.DataFrame:
    """AP of all scores by named powers and at the best ratio, and the product's gain, for people.

    Behind the best ratio stand those within NEGLIGIBLE of it.
    """
    of_row, gain = curves(results), _gains(results)
    table = _by_name(_all(results))
    table["best ratio"] = [_ratio(of_row[row]) for row in table.index]
    table["there"] = [estimate(at_best(of_row[row])).text() for row in table.index]
    effects = [estimate(gain[row]) for row in table.index]
    table["product − class"] = [effect.text("+") for effect in effects]
    table["the product"] = [reading(effect) for effect in effects]
    return table


def costs(results: Results) -> pd.DataFrame:
    """What a score threshold of .05 costs by named powers: AP, and detections an image, for people.

    A line a row; "kept" of the 100 that there are without a threshold.
    """
    lines = named(results).set_index(["setting", "row", "seed"])[[*FUSIONS]]
    lost = (lines.loc[ALL] - lines.loc[ABOVE]).reset_index()
    table, kept = _by_name(lost), maps(results, "kept")
    for name, powers in FUSIONS.items():
        counts = [kept[row].loc[powers] if row in kept else np.nan for row in table.index]
        table[f"{name}: kept"] = [number(count) for count in counts]
    table = table.rename(columns={name: f"{name}: AP lost" for name in FUSIONS})
    return table[[f"{name}: {what}" for name in FUSIONS for what in ("AP lost", "kept")]]


def by_stage(results: Results) -> pd.DataFrame:
    """The product's gain with P(C|O) of one cascade stage alone, and of their mean, for people."""

    def told(_, finding):
        stages = finding.get("stages", {"product": (), "class": ()})
        pairs = zip(stages["product"], stages["class"], strict=True)
        return [(f"stage {k}", product - alone) for k, (product, alone) in enumerate(pairs, 1)]

    stages = results.lines(MEASURE, ["of", "gain"], told)
    lines = pd.concat([stages, _all(results).assign(of="mean")])
    gains = estimates(lines, ["row", "of"], "gain")
    return grid(gains.assign(cell=cells(gains, "+")), "of").loc[results.rows]


def by_factor(results: Results) -> dict[str, dict[str, str]]:
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


def sentences(results: Results) -> list[str]:
    """When the product helps and when it hurts, and how each factor moves its gain, in words."""
    gains, groups = _gains(results), by_factor(results)
    return [_by_reading(gains), *(_of_factor(name, rows, gains) for name, rows in groups.items())]


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


def _all(results):
    """The lines of `named` that count all scores."""
    lines = named(results)
    return lines[lines["setting"] == ALL]


def _gains(results):
    """The product's gain in all scores, (seeds, rows)."""
    return _all(results).pivot(index="seed", columns="row", values="gain")[results.rows]


def _by_name(lines):
    """AP by the named powers for people: a line a row."""
    long = lines.melt(["row", "seed"], [*FUSIONS], "name")
    return grid(estimates(long, ["row", "name"]), "name")


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


def _ratio(seeds):
    if seeds.empty:
        return DASH
    best, low, high = (f"{ratio:.2g}" for ratio in best_ratio(seeds))
    return f"{best} ({low} to {high})"


def _factor(spec, first):
    """The name of the factor that a Spec changes; None where it changes another one."""
    return next((name for name, of in FACTORS.items() if of(spec) != of(first)), None)
