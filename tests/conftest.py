"""Shared by all tests: one thread, so that numbers do not depend on the machine's cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402

torch.set_num_threads(1)
