"""A study and a training under faults: in the end all is as if there had been none.

It takes hours, so its name hides it from `make test`; `make torture` asks for it.
"""

import os
import random
from functools import partial

import pytest

from tests.torture import disturbed, kills, works
from tests.torture.campaign import campaign, keep

KILLS, STOPS = (int(os.environ.get(name, 3)) for name in ("KILLS", "STOPS"))
FEW = max(1, KILLS // 20)  # of faults that are not of a moment
STUDY, TRAINING = works.study(("once",)), works.training()  # that of a table of one run
WAYS = {"runner": kills.runner, "kernel": kills.kernel, "all": kills.group}
damaged, read_only = disturbed.damaged, disturbed.read_only
FAULTS = [  # name, what disturbs, what is disturbed, and the seed of its moments
    ("two studies at once", disturbed.together, works.study(), 3),
    ("a study, disk full", disturbed.without_room, STUDY, 4),
    ("a training, disk full", disturbed.without_room, TRAINING, 5),
    ("a study, folders read-only", partial(read_only, folders=("results", ".p2s", ".")), STUDY, 6),
    ("a training, folder read-only", partial(read_only, folders=("model", ".")), TRAINING, 7),
    ("a study, clock jumps", disturbed.by_the_clock, STUDY, 8),
    ("a training, clock jumps", disturbed.by_the_clock, TRAINING, 9),
    ("a study, files damaged", partial(damaged, where=disturbed.OF_A_STUDY), STUDY, 10),
    ("a training, files damaged", partial(damaged, where=disturbed.OF_A_TRAINING), TRAINING, 11),
]


KILLED = [
    ("a study is killed", KILLS, works.study(), WAYS),
    ("a training is killed", STOPS, TRAINING, {"training": kills.group}),
]


@pytest.mark.parametrize("name, count, kind, ways", KILLED, ids=[each[0] for each in KILLED])
def test_a_work_is_killed(name, count, kind, ways):
    with campaign(name, count) as seen:
        draw = random.Random(f"{name} {seen.tried}")  # other moments where it goes on
        for so_far in kills.killed(kind, ways, seen, draw):
            keep(name, so_far)


@pytest.mark.parametrize("name, disturb, kind, seed", FAULTS, ids=[each[0] for each in FAULTS])
def test_a_work_is_disturbed(name, disturb, kind, seed):
    with campaign(name, FEW) as seen:
        disturb(kind, seen=seen, draw=random.Random(seed))
