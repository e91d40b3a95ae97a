"""Paths: the types of options that name files and folders, and what no command does to these.

None of them may be empty, and none that is written may be one that is read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from filelock import FileLock, Timeout

from p2s.files import MODEL_FILES, require_file


class Given(click.Path):
    """A path that was given: an empty one is what an unset variable leaves."""

    def convert(self, value, param, ctx):
        """The path; ValueError if it is empty, or written and of what another option reads."""
        if not os.fspath(value):
            raise ValueError(f"{_word(param)} '': no path (valid: one; is a variable not set?)")
        path = self.found(super().convert(value, param, ctx), param)
        for other, there in _before(param, ctx):
            _require_apart(param, path, other, there)
            _require_apart(other, there, param, path)
        return path

    def found(self, path, _param):
        """What a path stands for."""
        return path

    def written(self, path):
        """The files that a command writes at such a path."""
        return []

    def reads(self, path, file):
        """Whether a command that is given such a path reads a file, which is there."""
        return False


class File(Given):
    """A file that is there and has an end: no pipe, no device."""

    def found(self, path, _param):
        """Its path; ValueError for anything else."""
        require_file(path)
        return path

    def reads(self, path, file):
        """That very file, by whatever name."""
        return file.samefile(path)


class Pictures(Given):
    """A folder of pictures that is there."""

    def reads(self, path, file):
        """Whatever has a picture's name in it."""
        from p2s.data.picture import ENDINGS

        is_within = file.parent.resolve().is_relative_to(path.resolve())
        return is_within and file.suffix.lower() in ENDINGS


class Model(Given):
    """The folder of a model that is told by its path or its name."""

    def found(self, path, _param):
        """The folder; ValueError if there is none."""
        from p2s.train.shelf import folder_of

        return folder_of(path)

    def reads(self, path, file):
        """What a model is, not what was measured of it or made of it."""
        own = (path / name for name in MODEL_FILES)
        return any(each.exists() and file.samefile(each) for each in own)


class NewFile(Given):
    """A file that is written, in a folder that is there."""

    def found(self, path, param):
        """Its path; an error without the folder, before the work and not after it."""
        if not path.parent.is_dir():
            raise click.BadParameter(f"{path.parent} is not a folder that exists.", param=param)
        require_file(path)  # a pipe or a device would be replaced
        return path

    def written(self, path):
        """The file."""
        return [path]


class NewFolder(Given):
    """A folder that is made, or gone on with, and the names of files that are written into it."""

    def __init__(self, *names):
        super().__init__(file_okay=False, path_type=Path)
        self.names = names

    def written(self, path):
        """The files of these names."""
        return [path / name for name in self.names]


FILE = File(exists=True, dir_okay=False, path_type=Path)
FOLDER = Pictures(exists=True, file_okay=False, path_type=Path)
MODEL_FOLDER = Model(readable=False)
ANY = Given(readable=False)  # of pictures: files, folders, patterns
NEW_FOLDER = NewFolder()
DETECTIONS = NewFolder(
    *("settings.json", "detections.jsonl", "detections.json"),
    *("coco_results.json", "pseudo_labels.json"),
)
NEW_FILE = NewFile(dir_okay=False, writable=True, path_type=Path)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is not there; ValueError if another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        told = "another process writes into it (valid: another folder, or wait for its end)"
        raise ValueError(f"--output {folder}: {told}") from None


def _word(param):
    """How a user writes an option or an argument."""
    return param.opts[0] if isinstance(param, click.Option) else param.human_readable_name


def _before(param, ctx):
    """The other paths of the command so far: of two options the later one sees the earlier."""
    for other in ctx.command.params:
        path = ctx.params.get(other.name)
        if other is not param and isinstance(other.type, Given) and isinstance(path, Path):
            yield other, path


def _require_apart(new, target, old, source):
    for file in new.type.written(target):
        if file.exists() and old.type.reads(source, file):
            raise ValueError(
                f"{_word(new)} {target}: {_word(old)} reads {file}, which would be overwritten "
                "(valid: another path)"
            )
