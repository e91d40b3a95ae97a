import pytest

from p2s.plain_yaml import parsed_yaml, read_yaml
from p2s.spec.part import Part

TEXT = """\
a: {x: 1}
b:
  - x: 2
  - x: 3
    y: 4
"""


class Kind(Part):
    a: dict[str, int]
    b: list[dict[str, int]]


def test_a_sound_file_is_read(tmp_path):
    (tmp_path / "f.yaml").write_text(TEXT)
    read = read_yaml(tmp_path / "f.yaml", Kind)
    assert read == Kind(a={"x": 1}, b=[{"x": 2}, {"x": 3, "y": 4}])


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("x: 1", "x: 1, x: 1", "line 1: given twice: x"),
        ("b:", "a:", "line 2: given twice: a"),
        ("y:", "x:", "line 5: given twice: x"),
        ("y:", "? [p]\n    :", "line 5: a key that is not a text"),
        ("y: 4", "y: [4", "line 6: expected"),
        ("y: 4", "y: *z", "line 5: found undefined alias"),
        ("y: 4", "y: \0", "line 5: special characters are not allowed"),
        ("x: 1", "x: no one", "line 1: a.x: Input should be a valid integer"),
        ("y: 4", "y: z", "line 5: b.1.y: Input should be a valid integer"),
        ("x: 2", "2", "line 3: b.0: Input should be a valid dictionary"),
        ("a: {x: 1}", "", "line 2: a: Field required"),
        ("b:", "c:", "line 1: unknown c; valid: a, b"),
        (TEXT, "", "line 1: Input should be a valid dictionary"),
    ],
)
def test_a_slip_is_named_by_file_line_and_field(tmp_path, old, new, told):
    path = tmp_path / "f.yaml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(ValueError) as error:
        read_yaml(path, Kind)
    assert str(error.value).startswith(f"{path}: {told}")


@pytest.mark.parametrize("text", ["1e-4", "6E2", "-3e+5", "1.5e-3", ".5e1"])
def test_a_number_may_have_an_exponent(text):
    assert parsed_yaml(f"x: {text}") == {"x": float(text)}


@pytest.mark.parametrize("text", ["1e", "e5", "1e-4x", "0x1e5g", "'1e-4'"])
def test_what_only_looks_like_one_is_a_text(text):
    assert parsed_yaml(f"x: {text}") == {"x": text.strip("'")}
