"""Plain YAML: texts of plain values, strict and bounded; what is wrong is told with its line."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from p2s.files import first_problem, shortened, text_of

DEEPEST, MOST_NODES = 50, 50_000  # more take seconds
MOST = 2**20  # bytes
TEXT = "tag:yaml.org,2002:str"
NODES = dict.fromkeys(("null", "bool", "int", "float", "str"), yaml.ScalarNode)
NODES |= {"seq": yaml.SequenceNode, "map": yaml.MappingNode}
TAGS = {f"tag:yaml.org,2002:{name}": node for name, node in NODES.items()}  # and what has them


def read_yaml(path: Path | str, kind: Any) -> Any:
    """The content of a file as `kind`, a type that pydantic can check.

    A slip is a ValueError that names the file, the line and the field.
    """
    text = text_of(path, MOST)
    try:
        content = parsed_yaml(text)
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        line = _line(yaml.compose(text), error.errors()[0]["loc"])
        raise ValueError(f"{path}: line {line}: {first_problem(error)}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parsed_yaml(text: str) -> Any:
    """What is in a YAML text, of plain values; ValueError has the line and what is wrong there."""
    try:
        return yaml.load(text, _Plain)
    except yaml.reader.ReaderError as error:
        line, problem = text.count("\n", 0, error.position) + 1, error.reason
    except yaml.MarkedYAMLError as error:
        line, problem = error.problem_mark.line + 1, error.problem
    raise ValueError(f"line {line}: {shortened(problem)}")


class _Plain(yaml.SafeLoader):
    """YAML of plain values, and bounded; a repeated key is an error, PyYAML keeps the last one.

    A key is what is written, also a number. No value is of a type that JSON lacks, and what aliases
    repeat counts as often as it is there.
    """

    depth = size = 0

    def __init__(self, stream):
        super().__init__(stream)
        self.sizes = {}  # of composed nodes, in nodes

    def fetch_more_tokens(self):
        try:
            super().fetch_more_tokens()
        except (ValueError, OverflowError) as error:  # of what it takes for a character or number
            told = "no such character or number"
            raise yaml.MarkedYAMLError(problem=told, problem_mark=self.get_mark()) from error

    def compose_node(self, parent, index):
        mark, before = self.peek_event().start_mark, self.size
        is_alias = self.check_event(yaml.AliasEvent)
        self.depth, self.size = self.depth + 1, before + 1
        _refuse(self.depth > DEEPEST, f"nested more than {DEEPEST} deep", mark)
        node = super().compose_node(parent, index)
        _refuse(is_alias and node not in self.sizes, "an alias of what it stands in", mark)
        self.depth, self.size = (
            self.depth - 1,
            before + self.sizes.setdefault(node, self.size - before),
        )
        _refuse(self.size > MOST_NODES, f"more than {MOST_NODES} values", mark)
        return node

    def construct_object(self, node, deep=False):
        _refuse(node.tag not in TAGS, f"{node.tag[:80]} is not read (valid: plain values)", node)
        _refuse(not isinstance(node, TAGS[node.tag]), f"a {node.id} is no {node.tag[18:]}", node)
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # what PyYAML makes of odd values is anybody's guess
            told = f"no {node.tag.rsplit(':')[-1]}: {shortened(str(node.value))[:40]}"
            raise yaml.MarkedYAMLError(problem=told, problem_mark=node.start_mark) from error

    def construct_mapping(self, node, deep=False):
        seen = set()
        for place, (key, value) in enumerate(node.value):
            is_text = isinstance(key, yaml.ScalarNode) and key.tag in TAGS
            _refuse(not is_text, "a key that is not a text", key)
            _refuse(key.value in seen, f"given twice: {key.value}", key)
            seen.add(key.value)
            named = yaml.ScalarNode(TEXT, key.value, key.start_mark, key.end_mark)
            node.value[place] = named, value
        return super().construct_mapping(node, deep)


_Plain.yaml_implicit_resolvers = {  # a date is a text
    start: [pair for pair in pairs if not pair[0].endswith(("timestamp", "merge", "value"))]
    for start, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

_Plain.add_implicit_resolver(  # YAML 1.1 wants a point and a sign
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    [*"-+.0123456789"],
)


def _refuse(wrong, problem, place):
    """A YAMLError at a mark, or where a node begins, if something is wrong."""
    if wrong:
        raise yaml.MarkedYAMLError(
            problem=problem, problem_mark=getattr(place, "start_mark", place)
        )


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
