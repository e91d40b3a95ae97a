"""Names: a picture is found under the names that other systems give it, and never a wrong one."""

import unicodedata

import pytest

from p2s.data.names import Endings, ImageFolder

FILES = (
    *("day 1/1.png", "café.png", "IMG.JPG", "Ab.png", "aB.png", "a%20b.png", "sub/deep.png"),
    *("100%.png", "straße.png"),
)


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return ImageFolder(tmp_path / "photos")


@pytest.mark.parametrize("name", FILES)
def test_a_name_as_on_the_disk_is_its_place(folder, name):
    assert folder.place(name) == name


@pytest.mark.parametrize(
    "name, place",
    [
        ("day 1\\1.png", "day 1/1.png"),
        ("day%201/1.png", "day 1/1.png"),
        ("DAY%201\\1.PNG", "day 1/1.png"),
        (unicodedata.normalize("NFD", "café.png"), "café.png"),
        ("caf%C3%A9.png", "café.png"),
        ("img.jpg", "IMG.JPG"),
        ("STRASSE.png", "straße.png"),
        ("photos/sub/deep.png", "sub/deep.png"),
        ("Photos\\IMG.jpg", "IMG.JPG"),
    ],
)
def test_another_systems_name_is_found(folder, name, place):
    assert folder.place(name) == place


@pytest.mark.parametrize("name", ["ab.png", "train/IMG.JPG", "deep.png", "%2e%2e/x.png", "no.png"])
def test_what_is_ambiguous_or_elsewhere_is_not_taken(folder, name):
    assert folder.place(name) is None


@pytest.mark.parametrize(
    "name, place",
    [
        ("train/IMG.JPG", "IMG.JPG"),
        ("/home/me/photos/day 1/1.png", "day 1/1.png"),
        ("C:\\data\\img.jpg", "IMG.JPG"),
        ("deep.png", "sub/deep.png"),
        ("d%65ep.png", "sub/deep.png"),
        ("https://example.org/set/day%201/1.png", "day 1/1.png"),
        ("https://example.org/caf%C3%A9.png?raw=1", "café.png"),
        ("no.png", None),
        ("../photos/IMG.JPG", None),
    ],
)
def test_where_else_it_is_can_be_told(folder, name, place):
    assert folder.elsewhere(name) == place


def test_no_link_is_followed_out_of_the_folder(folder, tmp_path):
    (tmp_path / "secret.png").touch()
    (tmp_path / "photos" / "Link.png").symlink_to("../secret.png")
    assert folder.place("link.png") is None and folder.elsewhere("x/link.png") is None
    with pytest.raises(ValueError):
        folder.place("Link.png")


@pytest.mark.parametrize(
    "path, name",
    [
        ("photos/a.png", "a.png"),
        ("photos/a.png", "photos/a.png"),
        ("photos/../photos/a.png", "photos\\a.png"),
        ("photos/day 1/a.png", "day%201/A.PNG"),
        ("photos/café.png", unicodedata.normalize("NFD", "café.png")),
        ("a%20b.png", "a%20b.png"),
    ],
)
def test_a_path_ends_with_a_name_that_another_system_wrote(path, name):
    assert Endings(["z.png", name]).of(path) == [1]


def test_the_longest_name_counts_and_the_one_as_it_is_written():
    names = Endings(["a.png", "x/a.png", "X/A.png", "b/x/c.png", "../d.png", "", "e.png", "e.png"])
    paths = ("a.png", "y/a.png", "x/a.png", "X/A.png", "x/A.png", "c.png", "d.png", "e.png")
    assert [names.of(path) for path in paths] == [[0], [0], [1], [2], [1, 2], [], [], [6, 7]]
