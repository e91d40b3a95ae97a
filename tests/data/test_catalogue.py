"""The catalogue: every entry can be fetched, and says what the rest of the package says."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torchvision
import yaml
from pydantic import ValidationError

from p2s.data import catalogue
from p2s.data.catalogue import CATALOGUE, File
from p2s.data.inside import leads_outside
from p2s.data.releases import RELEASES
from p2s.spec import Coco
from p2s.spec.released import RELEASED
from p2s.study.experiments import load_scales
from p2s.study.project import Project

SOURCES = catalogue.read_catalogue()
FILES = [(name, file) for name, source in SOURCES.items() for file in source.files]
PARTS = {"train": 1704, "valid": 487, "test": 251}  # pictures of highway
KINDS = ("images", "labels")
UNPUBLISHED = re.compile("CenterNet|^MSRA")  # names of files of which nothing is published


@pytest.mark.parametrize("name, file", FILES, ids=lambda value: getattr(value, "to", value))
def test_an_entry_can_be_fetched_and_checked(name, file):
    assert SOURCES[name].about and SOURCES[name].licence and len(SOURCES[name].about) < 80
    assert file.hash or file.counts or file.unpacked or file.listed or UNPUBLISHED.search(name)
    assert bool(file.unpacked or file.listed) == file.to.endswith((".zip", ".whl")) and not (
        file.counts and file.unpacked
    )
    if file.url and file.hash and file.hash.startswith("md5"):  # as long as the name says
        assert urlsplit(file.url).path.split("_")[-1].split(".")[0] == file.hash.split(":")[1]
    if file.hash and not file.hash.startswith("md5") and not file.unpacked:
        assert file.hash.split(":")[1][:8] == urlsplit(file.url).path.split("-")[-1][:8]
    assert file.unpacked == {} or (file.bytes and len(file.hash) == len("sha256:") + 64)


def test_the_photographs_of_traffic_are_listed_whole():
    [file] = SOURCES["highway"].files
    hashes = file.listed.read()
    of = {part: [name for name in hashes if name.startswith(f"{part}/")] for part in PARTS}
    assert {part: len(names) for part, names in of.items()} == {
        part: 2 * count for part, count in PARTS.items()
    }
    for names in of.values():
        pictures, labels = ({Path(n).stem for n in names if f"/{k}/" in n} for k in KINDS)
        assert pictures == labels
    assert not [name for name in hashes if leads_outside(CATALOGUE.parent, name)]
    assert CATALOGUE.with_name(file.listed.hashes).stat().st_size < 1e6


def test_no_two_files_have_one_place_and_no_two_places_one_address():
    assert len({file.to for _, file in FILES}) == len(FILES)
    urls = [file.url for _, file in FILES if file.url]
    assert len(set(urls)) == len(urls) > 20


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_trunks_are_those_that_torchvision_names(depth):
    weights = torchvision.models.get_model_weights(f"resnet{depth}").IMAGENET1K_V1
    [file] = SOURCES[f"resnet{depth}"].files
    assert file.url == weights.url
    if file.bytes:
        assert file.bytes / 2**20 == pytest.approx(weights.meta["_file_size"], abs=5e-4)


def _needed():
    """Every file and folder that scale `paper` asks for."""
    scale = load_scales(Project.at())["paper"]
    changes = [scale.changes, *scale.data_sets.values()]
    data = [each["data"] for each in changes if "data" in each]
    fields = ("train", "val", "images", "val_images")
    paths = {each[name] for each in data for name in fields if name in each}
    return paths | {scale.changes["backbone"]["weights"]}


def test_what_scale_paper_needs_can_be_fetched():
    root = Project.at().root
    places = {place for _, file in FILES for place in file.places(root)}
    below = places | {place.parent for place in places}  # LVIS's pictures are under datasets/coco
    assert len(_needed()) > 8
    assert {path for path in _needed() if root / path not in below} == set()


@pytest.mark.parametrize("kind, name", [("lvis_v1", "lvis"), ("objects365_v1", "objects365")])
def test_counts_are_those_that_a_release_is_held_against(kind, name):
    assert kind in Coco.model_fields["kind"].annotation.__args__
    counts = [of for file in SOURCES[name].files for of in file.places(CATALOGUE).values()]
    for release, of in zip(RELEASES[kind], counts[:2], strict=True):
        exact = {"annotations": release.boxes} if release.boxes and not release.within else {}
        assert of == {"images": release.images, **exact}


@pytest.mark.parametrize(
    "place", ["/etc/passwd", "datasets/../a", "datasets/.ssh", "datasets", "a/b", "datasets//a"]
)
def test_no_place_is_outside_of_the_data_sets(place):
    with pytest.raises(ValidationError, match="to"):
        File(to=place)


def test_a_slip_in_the_file_is_told_with_its_line(tmp_path):
    entries = yaml.safe_load(CATALOGUE.read_text())
    entries["lvis"]["files"][0]["sha"] = "1"
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(entries))
    with pytest.raises(ValueError, match=r"c.yaml: line \d+: lvis.files.0: unknown sha; valid: by"):
        catalogue.read_catalogue(tmp_path / "c.yaml")


def test_a_detector_is_one_that_can_be_imported_and_has_a_place_for_its_model():
    of_detectors = {name: source for name, source in SOURCES.items() if source.detector}
    told = {source.detector for source in of_detectors.values()}
    assert len(told) == len(of_detectors) == 13 and told <= RELEASED.keys()
    places = {place for _, file in FILES for place in file.places(Path())}
    for name, source in of_detectors.items():
        [file] = source.files
        assert Path(file.to).with_suffix("") == catalogue.model_folder(Path(), name)
        large = "num_classes" in str(RELEASED[source.detector])
        assert bool(source.classes) == large and (not large or Path(source.classes) in places)
        assert list(catalogue.chosen(SOURCES, [source.detector])) == [name]


def test_unknown_names_are_answered_with_the_valid_ones():
    with pytest.raises(ValueError, match="^unknown coco, imagenet; valid: resnet18, .*lvis"):
        catalogue.chosen(SOURCES, ["lvis", "coco", "imagenet"])
    assert list(catalogue.chosen(SOURCES, ["lvis", "resnet18"])) == ["lvis", "resnet18"]
