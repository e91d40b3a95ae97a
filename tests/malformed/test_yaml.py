"""Experiment files and values of --set: the file, the line and the field, and never a traceback."""

import pytest
import yaml

from p2s.cli.options import _setting
from p2s.cli.telling import in_a_line
from p2s.spec import Spec
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support.malformed import GONE, nested, put, require_told, rows
from tests.support.stub_study import project

DEEP, DIGITS = "[" * 1000 + "]" * 1000, "9" * 5000
DOUBLING = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)
)
TEXTS = [  # what a whole experiment file holds, the expected part of the line
    (b"", "line 1: Input should be a valid dictionary"),
    (b"\xff\xfea\0", "not UTF-8, at byte 0: save it as UTF-8"),
    ("name: é".encode("latin-1"), "not UTF-8, at byte 6"),
    ("name: t".encode("utf-16"), "not UTF-8, at byte 0"),
    ("name: t".encode("utf-16-le"), "line 1: special characters are not allowed"),
    (b"\0" * 100, "line 1: special characters are not allowed"),
    (bytes(range(128, 256)), "not UTF-8, at byte 0"),
    (DEEP.encode(), "line 1: nested more than 50 deep"),
    (b"[" * 10**6, "line 1: nested more than 50 deep"),
    (b"{a: " * 1000, "line 1: nested more than 50 deep"),
    (b"- " * 1000 + b"a", "line 1: nested more than 50 deep"),
    (DOUBLING.encode(), "more than 50000 values"),
    (b"a: &a [*a]", "line 1: an alias of what it stands in"),
    (b"a: &a {b: *a}", "line 1: an alias of what it stands in"),
    (b"a: *b", "line 1: found undefined alias"),
    (b"1: a", "line 1: unknown 1; valid: at, claim"),
    (b"true: a", "line 1: unknown true; valid: "),
    (b"~: a", "line 1: unknown ~; valid: "),
    (b"1.5: a", "line 1: unknown 1.5; valid: "),
    (b"2020-01-01: a", "line 1: unknown 2020-01-01; valid: at, claim"),
    (b"[a]: b", "line 1: a key that is not a text"),
    (b"? {a: b}\n: c", "line 1: a key that is not a text"),
    (b"!!timestamp 2020-01-01: a", "line 1: a key that is not a text"),
    (b"!!timestamp 2020-01-01", "line 1: tag:yaml.org,2002:timestamp is not read"),
    (b"name: !!timestamp x", "line 1: tag:yaml.org,2002:timestamp is not read"),
    (b"name: !!binary aGk=", "binary is not read"),
    (b"name: !!set {a, b}", "set is not read"),
    (b"name: !!omap [a: b]", "omap is not read"),
    (b"name: !!python/object/apply:os.system [id]", "python/object/apply:os.system is not read"),
    (b"name: !mine x", "line 1: !mine is not read .valid: plain values"),
    (b"name: !!int x", "line 1: no int: x"),
    (b"name: !!float x", "line 1: no float: x"),
    (b"name: !!bool x", "line 1: no bool: x"),
    (f"name: {DIGITS}".encode(), "line 1: no int: 999"),
    (f"seeds: {'9' * 30}".encode(), "line 1: seeds: a number of more than 53 bits"),
    (b"<<: {a: b}", "unknown <<; valid: at"),
    (b"name: t\n\tx: y", "line 2: found character"),
    (b"a: b: c", "line 1: mapping values are not allowed"),
    (b"%YAML 9.9\n---\na", "line 1: found incompatible YAML document"),
    (b"a\n---\nb", "line 2: but found another document"),
    (b"@", "line 1: found character '@' that cannot start any token"),
    (b'"\\ud800"', "line 1: "),
    (b'name: t\ntitle: "\\U00110000"', "line 2: no such character or number"),
    (b'name: "\\UFFFFFFFF"', "line 1: no such character or number"),
    (f"%YAML 1.{DIGITS}\n---\na".encode(), "line 1: no such character or number"),
    (b"name: !!map [a]", "line 1: a sequence is no map"),
    (b"name: !!map x", "line 1: a scalar is no map"),
    (b"name: !!seq {a: b}", "line 1: a mapping is no seq"),
    (b"name: !!str [a]", "line 1: a sequence is no str"),
    (b"{" + b", ".join(b"k%d: 1" % n for n in range(9999)) + b"}", "line 1: unknown k0, k1"),
    (b"{" + b", ".join(b"k%d: 1" % n for n in range(60_000)) + b"}", "more than 50000 values"),
    (b"name: " + b"a" * 10**7, "t.yaml: 10000006 bytes .valid: up to 1048576"),
    (b"a: *" + b"b" * 10**5, "line 1: found undefined alias"),
]
ROW = "rows.0"
EXPERIMENT = [  # place, value, the expected part of the line
    ("name", GONE, "t.yaml: line 1: name: Field required"),
    ("name", "", "name: String should have at least 1 character"),
    ("name", "other", "name: 'other' is not the file's name"),
    ("name", 5, "name: Input should be a valid string"),
    ("title", ["a"], "title: Input should be a valid string"),
    ("rows", [], "rows: Tuple should have at least 1 item"),
    ("rows", "all", "rows: Input should be a valid tuple"),
    ("rows", nested(40), "rows.0: Input should be a valid dictionary"),
    (f"{ROW}.name", "a\nb\x1b[31m", "rows.0.name: String should match pattern"),
    (f"{ROW}.name", "x" * 5000, "rows.0.name: String should have at most 200 characters"),
    ("variants", [{"name": "a\nb"}], "variants.0.name: String should match pattern"),
    (ROW, "CenterNet2", "rows.0: Input should be a valid dictionary"),
    (f"{ROW}.detector", "CenterNet3", "t.yaml.*unknown detector 'CenterNet3'; valid: "),
    (f"{ROW}.more", 1, "rows.0: unknown more; valid: at, changes"),
    (f"{ROW}.changes", [1], "rows.0.changes: Input should be a valid dictionary"),
    (f"{ROW}.changes", {"recipe": {"rate": "fast"}}, "recipe: rate: 'fast' is not a number"),
    (f"{ROW}.changes", {"recipe": {"rate": True}}, "recipe: rate: True is not a number"),
    (f"{ROW}.changes", {"recipe": {"rate": float("inf")}}, "recipe.rate: Input should be a fin"),
    (f"{ROW}.changes", {"recipe": {"short_edge": []}}, "short_edge: Tuple should have at least 1"),
    (f"{ROW}.changes", {"recipe": {"short_edge": 9}}, "short_edge: Input should be a valid tuple"),
    (f"{ROW}.changes", {"recipe": {"short_edge": [0]}}, "short_edge.0: Input should be greater"),
    (f"{ROW}.changes", {"recipe": {"short_edge": [True]}}, "short_edge.0: True is not a number"),
    (f"{ROW}.changes", {"recipe": {"drops": [2]}}, "drops.0: Input should be less than or equal"),
    (f"{ROW}.changes", {"backbone": {"width": 10**6}}, "good : backbone.width 1000000: needs .*"),
    (f"{ROW}.changes", {"data": {"size": 10**9}}, "good : data.size 1000000000: needs .* GB"),
    (f"{ROW}.changes", {"recipe": [1]}, "recipe: Input should be a valid dictionary"),
    (f"{ROW}.changes", {"recipe": {"iterations": 10**30}}, "iterations: a number of more than 53"),
    (f"{ROW}.changes", {"first": 7}, "first_stage.design: Input should be"),
    (f"{ROW}.changes", {"first": ["fcos"]}, "first_stage.design: Input should be"),
    (f"{ROW}.changes", {"first": {"kind": ["fcos"]}}, "first_stage.design: ..fcos.. .valid"),
    (f"{ROW}.changes", {"first": {"kind": "x"}}, "first_stage.design: x .valid: .*centernet"),
    (f"{ROW}.changes", {"data": None}, "scale tiny: good : "),
    (f"{ROW}.changes", {"data": {"kind": "x"}}, "data: x .valid: .*glyphs"),
    (f"{ROW}.changes", {"data": "glyph"}, "data: glyph .valid: glyphs"),
    (
        f"{ROW}.changes",
        {"levels": [1, 2]},
        "levels .1, 2. with backbone.neck fpn; valid: .2, 6., .3, 7.",
    ),
    (f"{ROW}.changes", {"levels": "37"}, "levels: '37' is not a number"),
    (f"{ROW}.at", {"huge": {}}, "unknown scale in t.yaml: at: 'huge'; valid: tiny"),
    ("contrasts", [{"name": "a", "row": "good", "than": "x"}], "contrasts|contrast"),
    ("seeds", 0, "seeds: Input should be greater than 0"),
    ("seeds", True, "seeds: True is not a number"),
    ("seeds", "1", "seeds: '1' is not a number"),
    ("measures", ["taste"], "measures.0: Input should be 'calibration'"),
    ("data_set", "x", "unknown data_set in t.yaml: 'x'"),
]
SETTINGS = [  # after --set, the expected part of the line
    ("", "write FIELD=VALUE"),
    ("=", "write FIELD=VALUE"),
    ("recipe", "write FIELD=VALUE"),
    ("x" * 5000, "write FIELD=VALUE"),
    ("a." * 5000 + "b=1", "5001 names .valid: 50 at most"),
    (f"recipe.rate={DEEP}", "nested more than 50 deep"),
    (f"recipe.rate={DIGITS}", "not valid YAML: no int: 999"),
    (f"recipe.rate={'9' * 400}", "rate: a number of more than 53 bits"),
    ("recipe.rate=1e400", "rate: Input should be a finite number"),
    ("recipe.rate=.inf", "rate: Input should be a finite number"),
    ("recipe.rate=.nan", "rate: Input should be"),
    ("recipe.rate=!!timestamp 1", "timestamp is not read"),
    ("recipe.rate=2020-01-01", "rate: '2020-01-01' is not a number"),
    ("recipe={1: 2}", "recipe: unknown 1; valid: "),
    ("recipe={2020-01-01: 2}", "recipe: unknown 2020-01-01; valid: "),
    ("recipe.short_edge=", "short_edge: Input should be a valid tuple"),
    ("recipe.short_edge=[]", "short_edge: Tuple should have at least 1 item"),
    ("recipe.short_edge={}", "short_edge: "),
    ("recipe.short_edge=[1" + ",1" * 199_999 + "]", "more than 50000 values"),
    ("size=!!map [a]", "the value is not valid YAML: a sequence is no map"),
    ("recipe.short_edge=[1.5]", "short_edge.0: Input should be a valid integer"),
    ("recipe.short_edge=[true]", "recipe: short_edge.0: True is not a number"),
    ("recipe.short_edge=[64, '5']", "recipe: short_edge.1: '5' is not a number"),
    ("recipe.short_edge=[99999999999999999999]", "short_edge.0: a number of more than 53 bits"),
    ("recipe.short_edge=[[[1" + "0" * 30 + "]]]", "short_edge.0.0.0: a number of more than 53"),
    ("levels=[true, 7]", "levels.0: True is not a number"),
    ("second_stage.pooled=[true, 4]", "second_stage: pooled.0: True is not a number"),
    ("first_stage.design.ignore_above=true", "ignore_above: True is not a number"),
    ("data={kind: glyphs, chances: [[.5, true]]}", "chances.0.1: True is not a number"),
    ("backbone.pixels.mean=[true, 1, 1]", "pixels: mean.0: True is not a number"),
    ("backbone.pixels.mean=[1e30, 1, 1]", "pixels.mean.0: Input should be less than or eq"),
    ("backbone.pixels.std=[1.0e-320, 1, 1]", "pixels.std.0: Input should be greater than or eq"),
    ("recipe.batch=0", "batch: Input should be greater than 0"),
    ("recipe.batch=1.5", "batch: Input should be a valid integer"),
    ("recipe.batch=yes", "batch: True is not a number"),
    ("recipe=", "recipe: Input should be a valid dictionary"),
    ("recipe.order.kind=[a]", "order: ..a.. .valid"),
    ("recipe.order=x", "order: x .valid: .*shuffled"),
    ("recipe.optimizer=adamw\nrecipe.batch=3", "optimizer: "),
    ("test.fusion=sum", "test.fusion: Input should be 'class', 'product' or 'released'"),
    ("test.nms=2", "test.nms: Input should be less than or equal to 1"),
    ("test.clip=2", "test.clip: Input should be a valid boolean"),
    ("first_stage.design.kind.kind=fcos", "first_stage"),
    ("num_classes=-1", "num_classes: Input should be greater than 0"),
    ("\0=1", "unknown "),
    ("backbone.weights=[a]", "backbone.weights.*: "),
    ("backbone.pixels.mean=[1, 2]", "backbone.pixels.mean: Tuple should|pixels.mean.2: Field req"),
    ("backbone.pixels.std=[0, 1, 1]", "pixels.std.0: Input should be greater than or eq"),
]


@pytest.fixture
def sound(tmp_path, monkeypatch):
    return project(tmp_path, monkeypatch)


@pytest.mark.parametrize(("content", "told"), rows(TEXTS))
def test_an_experiment_file_of_another_kind_is_told_with_its_line(sound, content, told):
    (sound.experiments / "t.yaml").write_bytes(content)
    require_told(lambda: Study.load(sound, "tiny").runs(), "t.yaml: ", told)


@pytest.mark.parametrize(("place", "value", "told"), rows(EXPERIMENT))
def test_an_experiment_is_told_with_its_field(sound, place, value, told):
    file = sound.experiments / "t.yaml"
    file.write_text(yaml.safe_dump(put(yaml.safe_load(file.read_text()), place, value)))
    require_told(lambda: Study.load(sound, "tiny").runs(), "t.yaml", told)


@pytest.mark.parametrize(("words", "told"), rows(SETTINGS))
def test_a_setting_is_told_with_its_field(words, told):
    def change():
        try:
            Spec.named("CenterNet2").changed(_setting(words, "Any field."))
        except ValueError as error:
            raise ValueError(in_a_line(error)) from None

    require_told(change, told)


def test_the_sound_ones_are_read(sound):
    assert len(Study.load(Project.at(sound.root), "tiny").runs()) == 3
    assert _setting("a.b=2020-01-01", "") == {"a": {"b": "2020-01-01"}}
