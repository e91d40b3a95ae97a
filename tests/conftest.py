"""Shared by all tests: one thread and one seed, so that numbers depend on no order or cores."""

import ctypes
import gc
import os
from contextlib import suppress

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402
import torch  # noqa: E402

from tests.support import fakes  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def _seeded_module():
    """What a module shares is drawn alike, whichever modules ran before it.

    What it freed goes back: a training lets the C library keep memory, for all modules after it.
    """
    torch.manual_seed(0)
    yield
    gc.collect()
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(autouse=True)
def _seeded():
    """Weights without a seed of their own are the same each time."""
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with invented records for every variant of Table 5 but one."""
    project = fakes.project(tmp_path_factory.mktemp("project"))
    fakes.fill(project, leave_out=("scores above .05 with double fragments",))
    return project


@pytest.fixture(scope="module")
def results(project):
    """The Results of Table 5 of that project."""
    return fakes.results(project, "table5")
