"""The p2s command in this process, in one of its own, and in one that lacks modules."""

import json
import subprocess
import sys

from click.testing import CliRunner

from p2s.cli import main

TINY = (
    "backbone.width=16",
    "backbone.fpn_channels=16",
    "recipe.batch=2",
    "second_stage.channels=16",
)


def p2s(*words):
    return CliRunner().invoke(main.main, [str(word) for word in words])


def words_of_train(files, output, *more):
    data = ("--train", files.train, "--val", files.val, "--images", files.images)
    settings = [word for each in TINY for word in ("--set", each)]
    small = ("--size", 64, "--iterations", 4, *settings)
    return ("train", *data, "--output", output, *small, *more)


def in_a_process(*words):
    code = (
        "import sys; from p2s.cli.main import main\n"
        "try: main()\nfinally: print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def without(modules, commands):
    code = (
        f"import json, sys; sys.modules.update(dict.fromkeys({[*modules]}))\n"
        "from click.testing import CliRunner; from p2s.cli import main as cli\n"
        "done = [CliRunner().invoke(cli.main, words) for words in json.load(sys.stdin)]\n"
        "print(json.dumps([(each.exit_code, each.output) for each in done]))"
    )
    words = json.dumps(commands, default=str)
    return subprocess.run([sys.executable, "-c", code], input=words, capture_output=True, text=True)
