"""Options and argument types that several commands share."""

from collections.abc import Callable
from pathlib import Path

import click

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
MODEL = click.option("--model", type=FOLDER, required=True, help="A folder of `p2s train`.")


def settings(text: str) -> Callable:
    """The option --set, with this help; a command gets every FIELD=VALUE as a nested dict."""
    return click.option(
        "--set", "settings", multiple=True, metavar="FIELD=VALUE", callback=_nested, help=text
    )


def _nested(context, option, given):
    return tuple(_setting(text, option.help) for text in given)


def _setting(given, valid):
    """`part.field=value` as {part: {field: value}}, and so on for any number of names."""
    import yaml

    name, equals, value = given.partition("=")
    names = name.split(".")
    if not (equals and all(names)):
        raise ValueError(f"--set {given}: write FIELD=VALUE. {valid}")
    try:
        value = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):  # ValueError: a date that does not exist
        raise ValueError(f"--set {given}: the value is not valid YAML") from None
    for key in reversed(names):
        value = {key: value}
    return value


def in_a_folder(context, option, path):
    """Refuse a file whose folder is not there, before the work and not after it."""
    if path and not path.parent.is_dir():
        raise click.BadParameter(f"{path.parent} is not a folder that exists.")
    return path
