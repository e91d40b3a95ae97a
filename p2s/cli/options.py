"""Options that several commands share."""

import re
from collections.abc import Callable

import click

from p2s.cli.paths import MODEL_FOLDER


class Plain(click.ParamType):
    """A number as programs write it; Python itself would take other scripts' digits, and `1_0`."""

    def convert(self, value, param, ctx):
        """The number."""
        if isinstance(value, str) and not re.fullmatch("[-+.0-9A-Za-z]*", value):
            self.fail(f"{value!r} is not a number in digits 0 to 9.", param, ctx)
        return super().convert(value, param, ctx)


class Whole(Plain, click.types.IntParamType):
    """A whole number."""


class WholeRange(Plain, click.IntRange):
    """A whole number with bounds."""


class Number(Plain, click.types.FloatParamType):
    """A number."""


class NumberRange(Plain, click.FloatRange):
    """A number with bounds."""


WHOLE, NUMBER = Whole(), Number()
DEVICE = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1; auto: a GPU if any."
)
PRECISIONS = click.Choice(["fp32", "tf32", "bf16"])
PRECISION = click.option(
    "--precision", default="fp32", show_default=True, type=PRECISIONS,
    help="Of convolutions; tf32 on a GPU only. Losses, scores and boxes are in fp32.",
)  # fmt: skip
WORKERS = click.option(
    "--workers", type=WholeRange(min=0),
    help="Threads of a process that make batches ahead. [default: half of its cores, 8 at most]",
)  # fmt: skip
SAVE_MINUTES = click.option(
    "--save-minutes", default=1.0, show_default=True, type=NumberRange(0, min_open=True),
    help="Between two states, from which an interrupted training goes on.",
)  # fmt: skip
VALIDATE_EVERY = click.option(
    "--validate-every", default=0, metavar="N", type=WholeRange(min=0),
    help="Iterations between two AP of --val, for the curve. [default: none]",
)  # fmt: skip
KEEP_BEST = click.option(
    "--keep-best", is_flag=True,
    help="Keep the weights of the best AP too, in OUTPUT/best; by itself, of each quarter.",
)  # fmt: skip
WATCH = click.option(
    "--watch", default=0, metavar="IMAGES", type=WholeRange(min=0),
    help="AP while it trains, and --keep-best, by so many images of --val. [default: all]",
)  # fmt: skip


def _installed(context, option, asked):
    """Refuse to write what needs a package that is missing, before the work and not after it."""
    if asked:
        from p2s.train.events import require_tensorboard

        require_tensorboard()
    return asked


TENSORBOARD = click.option(
    "--tensorboard", is_flag=True, callback=_installed,
    help="Write TensorBoard's events into OUTPUT/events.",
)  # fmt: skip
PROCESSES = click.option(
    "--processes", default=1, show_default=True, type=WholeRange(min=1),
    help="That train together, each on a part of a batch and on a GPU of its own.",
)  # fmt: skip


MODEL = click.option(
    "--model", required=True, type=MODEL_FOLDER, metavar="MODEL",
    help="A folder of `p2s train` or `p2s import`, a detector of `p2s fetch`, or glyphs.",
)  # fmt: skip


def settings(text: str) -> Callable:
    """The option --set, with this help; a command gets every FIELD=VALUE as a nested dict."""
    return click.option(
        "--set", "settings", multiple=True, metavar="FIELD=VALUE", callback=_nested, help=text
    )


def _nested(context, option, given):
    return tuple(_setting(text, option.help) for text in given)


def _setting(given, valid):
    """`part.field=value` as {part: {field: value}}, and so on for any number of names."""
    from p2s.plain_yaml import DEEPEST, parsed_yaml

    name, equals, text = given.partition("=")
    names = name.split(".")
    if not (equals and all(names)):
        raise ValueError(f"--set {given[:80]}: write FIELD=VALUE. {valid}")
    if len(names) > DEEPEST:
        raise ValueError(f"--set {given[:80]}: {len(names)} names (valid: {DEEPEST} at most)")
    try:
        value = parsed_yaml(text)
    except ValueError as error:
        told = str(error).removeprefix("line 1: ")
        raise ValueError(f"--set {given[:80]}: the value is not valid YAML: {told}") from None
    for key in reversed(names):
        value = {key: value}
    return value
