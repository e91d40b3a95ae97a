"""Options that several commands share: their words are those of what they are given to."""

from typing import get_args

import pytest

from p2s.model.device import PRECISIONS
from p2s.study.executors import Local, Slurm
from tests.support.commands import p2s


def test_the_command_offers_the_precisions_that_there_are():
    assert f"[{'|'.join(PRECISIONS)}]" in p2s("train", "--help").output


@pytest.mark.parametrize("executor", [Local, Slurm])
def test_so_does_an_executor(executor):
    assert get_args(executor.model_fields["precision"].annotation) == PRECISIONS
