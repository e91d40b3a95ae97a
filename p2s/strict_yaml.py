"""YAML, read strictly: a slip is an error that names the file, the line and the field."""

from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from p2s.records import first_problem


def read(path, kind):
    """The content of a file as `kind`, a type that pydantic can check; ValueError if it is not."""
    text = Path(path).read_text(encoding="utf-8")
    try:
        return TypeAdapter(kind).validate_python(yaml.load(text, _UniqueKeys))
    except yaml.reader.ReaderError as error:
        line, problem = text.count("\n", 0, error.position) + 1, error.reason
    except yaml.MarkedYAMLError as error:
        line, problem = error.problem_mark.line + 1, error.problem
    except ValidationError as error:
        line, problem = _line(yaml.compose(text), error.errors()[0]["loc"]), first_problem(error)
    raise ValueError(f"{path}: line {line}: {problem}")


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a repeated key is an error; PyYAML would keep the last one silently."""

    def construct_mapping(self, node, deep=False):
        seen = []
        for key, _ in node.value:
            if (name := self.construct_object(key, deep=True)) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"given twice: {name}", problem_mark=key.start_mark
                )
            seen.append(name)
        return super().construct_mapping(node, deep)


def _line(node, place):
    """The line of what stands at `place`, keys and indices, or of the last part that is there."""
    for part in place:
        inside = {}
        if isinstance(node, yaml.MappingNode):
            inside = {key.value: value for key, value in node.value}
        elif isinstance(node, yaml.SequenceNode):
            inside = dict(enumerate(node.value))
        node = inside.get(part, node)
    return node.start_mark.line + 1 if node else 1
