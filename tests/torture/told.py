"""Told: all malformed inputs of the tests as commands, each of which ends with 2 and a line.

It takes half an hour, so its name hides it from `make test`; `make torture` asks for it.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice

from tests.torture import commands
from tests.torture.campaign import campaign, keep


def test_malformed_inputs_are_told_by_commands(tmp_path):
    name = "malformed inputs as commands"
    with campaign(name, 1) as seen, ThreadPoolExecutor(os.cpu_count()) as pool:
        asked = [*islice(commands.every(), sum(seen.tried.values()), None)]
        folders = (tmp_path / f"{number}" for number in count())
        answers = pool.map(commands.untold, folders, [command for _, command in asked])
        for (kind, _), untold in zip(asked, answers, strict=True):
            seen.note(kind)
            seen.untold += filter(None, [untold])
            keep(name, seen)
