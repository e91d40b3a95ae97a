"""Products: the names and bytes of what an experiment gives to the report."""

import pandas as pd
import pytest

from p2s.report import experiment, products
from p2s.report.products import Products
from p2s.report.style import Photographs, Picture
from p2s.report.tables.estimates import csv
from p2s.study import experiments
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import fakes

ROOT_PROJECT = Project.at(fakes.ROOT)
FRAME = pd.DataFrame({"a": [1.5, float("nan")], "b": ["x", "–"]})


@pytest.fixture
def table5():
    return experiments.load_experiment(ROOT_PROJECT, "table5")


def test_a_name_is_the_experiments_and_the_parts_own():
    made = Products(
        {"": Picture(), "scenes": Photographs()},
        {"": csv(FRAME), "effects": csv(FRAME)},
        {"": "# Whole\n", "words": "One\n"},
    )
    files = made.files("table5")
    assert files.keys() == {
        *("figures/table5.svg", "figures/table5_scenes.png"),
        *("tables/table5.csv", "tables/table5_effects.csv"),
        *("tables/table5.md", "tables/table5_words.md"),
    }
    assert files["figures/table5.svg"] == Picture().content()
    assert files["figures/table5_scenes.png"].startswith(b"\x89PNG")
    assert files["tables/table5.csv"] == files["tables/table5_effects.csv"] == csv(FRAME).encode()
    assert files["tables/table5.md"] == b"# Whole\n"


def test_blocks_are_sentences_and_tables_under_their_titles(table5):
    text = products.markdown(table5, {"In words": ["one", "two"], "Numbers": FRAME})
    heading, *blocks = text.split("\n## ")
    assert heading == f"# {table5.title}\n\nThe paper: {table5.claim}\n"
    assert blocks[0] == "In words\n\n- one\n- two\n"
    assert blocks[1].startswith("Numbers\n\n|") and text.endswith("|\n")
    assert "1.5" in blocks[1]


def test_no_products_are_no_files():
    assert Products().files("table5") == {}


def test_every_measure_of_an_experiment_gives_something_to_the_report():
    known = {
        measure
        for name in experiments.experiment_names(ROOT_PROJECT)
        for measure in experiments.load_experiment(ROOT_PROJECT, name).measures
    }
    assert known == experiment.GIVES.keys()


def test_no_two_products_of_an_experiment_have_a_name_in_common(project):
    study = Study.load(project, "desk")
    for name in ("table5", "table9"):
        made = experiment.products(fakes.results(project, name), study)
        names = [place for each in made for place in each.files(name)]
        assert len(names) == len({*names}) >= 6
        assert all(place.split("/")[1].split(".")[0].split("_")[0] == name for place in names)
