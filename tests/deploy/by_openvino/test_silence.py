"""OpenVINO and NNCF tell nobody that they are used."""

import os
import subprocess
import sys

USED = """
import multiprocessing.process, time
told = []  # they send from a process of their own
multiprocessing.process.BaseProcess.start = lambda process: told.append(process)
import torch
from torch import nn
from p2s.deploy.by_openvino import int8, parts
graph = parts.Graph(nn.Conv2d(3, 3, 1), "fp32")
graph.module.forward = graph
data = int8.nncf.Dataset([torch.ones(1, 3, 8, 8).numpy()])
int8.nncf.quantize(graph.graph(torch.ones(1, 3, 8, 8)), data, subset_size=1)
time.sleep(1)
assert not told, told
"""


def test_nothing_is_sent_and_nothing_is_written_into_the_home_folder(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", USED],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    assert not (tmp_path / "intel").exists()
