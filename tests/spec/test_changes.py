"""Laws of merged settings."""

from hypothesis import given
from hypothesis import strategies as st

from p2s.spec import merge

NAMES = st.sampled_from("abc")
SETTINGS = st.recursive(
    st.dictionaries(NAMES, st.integers()), lambda part: st.dictionaries(NAMES, part), max_leaves=8
)


def paths(settings, before=()):
    """The values of nested settings by the names that lead to them."""
    found = {}
    for name, value in settings.items():
        inner = paths(value, (*before, name)) if isinstance(value, dict) else {}
        found |= inner or {(*before, name): value}
    return found


@given(SETTINGS)
def test_what_is_merged_with_nothing_or_itself_stays(settings):
    assert merge(settings, {}) == merge({}, settings) == merge(settings, settings) == settings


@given(SETTINGS, SETTINGS)
def test_all_changes_are_in_what_is_merged(base, changes):
    merged = paths(merge(base, changes))
    assert all(merged[path] == value for path, value in paths(changes).items() if value != {})


def test_another_kind_replaces_and_the_same_is_kept():
    base = {"loss": {"kind": "federated", "classes": 9}, "rate": 1}
    assert merge(base, {"loss": "sigmoid"})["loss"] == {"kind": "sigmoid"}
    assert merge(base, {"loss": {"kind": "eql"}})["loss"] == {"kind": "eql"}
    assert merge(base, {"loss": "federated"}) == base
    assert merge(base, {"loss": {"power": 1}})["loss"] == base["loss"] | {"power": 1}
    assert merge({"loss": "eql"}, {"loss": {"tail": "rank"}}) == {
        "loss": {"kind": "eql", "tail": "rank"}
    }
