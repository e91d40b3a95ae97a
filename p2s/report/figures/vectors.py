"""Vectors: SVG of matplotlib in half of its bytes and less, drawn the same to the eye."""

import re

OUTSIDE = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<title>.*?</title>", re.DOTALL
)
MOVED = re.compile(r' xlink:(href="#[\w.-]+") transform="translate\((\S+) (\S+)\)"')
NAMED, USED = re.compile(r' id="([^"]+)"'), re.compile(r"(?<=#)[\w.-]+(?=[\")])")
PATH, PLACES = re.compile(r' d="(M[MLQCz\s\d.e-]+)"'), re.compile(r"([MLQCz])([^MLQCz]*)")
DECIMAL = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
SPACE = re.compile(r"\s*\n\s*")
STEPS = 10  # a point of a path lies on a grid of so many steps a unit, 1/72 inch


def minified(svg: str) -> str:
    """The SVG without title, comments and names that nothing uses, and paths on a fine grid.

    What stands in the title is the alternative text of a page's picture, too.
    """
    svg = MOVED.sub(r' \1 x="\2" y="\3"', OUTSIDE.sub("", svg)).replace("xlink:href", "href")
    svg = PATH.sub(lambda path: f' d="{_stepwise(path[1])}"', _renamed(svg))
    return (
        SPACE.sub(" ", DECIMAL.sub(_short, svg).replace(' y="0"', "")).replace("> <", "><").strip()
    )


def _renamed(svg):
    """With short names, in order, of those elements alone that something refers to."""
    used = {*USED.findall(svg)}
    kept = (name for name in dict.fromkeys(NAMED.findall(svg)) if name in used)
    names = {name: f"n{k}" for k, name in enumerate(kept)}
    svg = NAMED.sub(lambda at: f' id="{names[at[1]]}"' if at[1] in names else "", svg)
    return USED.sub(lambda at: names.get(at[0], at[0]), svg)


def _stepwise(path):
    """A path by the steps from place to place, which are shorter than places; rounded once."""
    parts, at, start = [], [0, 0], [0, 0]
    for letter, numbers in PLACES.findall(path):
        values = [round(STEPS * float(number)) for number in numbers.split()]
        steps = [value - at[k % 2] for k, value in enumerate(values)]
        parts.append(letter.lower() + " ".join(map(_units, steps)))
        at = values[-2:] or start  # z leads back to where its part began
        start = at if letter == "M" else start
    return "".join(parts).replace(" -", "-")


def _units(steps):
    return f"{steps / STEPS:g}".replace("0.", ".", int(abs(steps) < STEPS))


def _short(decimal):
    """A number to 1/100 of a unit; of a small one, such as a scale, three digits."""
    number = float(decimal[0])
    return f"{round(number, 2):g}" if abs(number) >= 1 else f"{number:.3g}"
