"""A model and pictures for the commands."""

import pytest

from p2s import environment
from p2s.deploy.journal import Journal
from tests.support.tiny import lively_folder, photo

SIZES = [(80, 60), (60, 80), (80, 60), (96, 64)]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The folder of a model that finds something everywhere; nobody writes into it."""
    return lively_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def kept(monkeypatch, tmp_path_factory):
    """Where commands keep from one to the next what is kept of an evaluation: not at home."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(environment, "user_cache", lambda: folder)
    return folder / "evaluations"


@pytest.fixture
def photos(tmp_path):
    """The paths of four pictures in the folder `photos`."""
    return [photo(tmp_path / "photos" / f"{k}.png", size, k) for k, size in enumerate(SIZES)]


@pytest.fixture
def stop_after(monkeypatch):
    """Lets a command be stopped after so many pictures, or by None no more; lists all of them."""
    add, added = Journal.add, []

    def set_to(count):
        def counted(journal, found):
            if len(added) == count:
                raise KeyboardInterrupt
            added.append(found.picture.name)
            add(journal, found)

        monkeypatch.setattr(Journal, "add", counted)
        return added

    return set_to
