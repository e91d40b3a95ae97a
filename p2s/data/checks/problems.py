"""Problems: lines by their kind, of which the first are told and the others counted."""

LINES = 20  # told of each kind of problem
START, END = 600, 200  # letters of a line of more, as names and ids may be of any length

Problems = dict[str, list[str]]  # kind: its lines; missing kinds appear when asked for


def all_lines(problems: Problems) -> list[str]:
    """The lines of all kinds of problem; of each the first 20, and how many more there are."""
    return [_in_a_line(line) for lines in problems.values() for line in _shortened(lines)]


def shown(row: dict, field: str) -> str:
    """The value of a field as it is told: cut short, that it is a text, or that it is missing."""
    if field not in row:
        return "missing"
    value = row[field]
    is_number = isinstance(value, str) and value.strip().lstrip("-").isdigit()
    return repr(value)[:80] + ", a text" * is_number


def _in_a_line(text):
    line = " ".join(text.splitlines())
    return line if len(line) <= START + END else f"{line[:START]} ... {line[-END:]}"


def _shortened(lines):
    more = len(lines) - LINES
    return lines[:LINES] + ([f"... and {more} more like the last line"] if more > 0 else [])
