"""Tables and figures need records alone: neither detectron2 nor any model."""

import subprocess
import sys

from tests.support import ROOT, fakes

REPORT = """
import sys
sys.modules["detectron2"] = None  # an import of it fails
from p2s.report import site
from p2s.study.project import Project
for path in site.regenerate(Project.at(sys.argv[1])):
    print(path.name)
models = [name for name in sys.modules if name.startswith(("p2s.model", "p2s.measure"))]
assert not models, models
"""


def test_the_report_is_made_where_detectron2_cannot_be_imported(tmp_path):
    project = fakes.project(tmp_path)
    fakes.fill(project, leave_out=fakes.VARIANTS[1:])
    command = [sys.executable, "-c", REPORT, str(project.root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {"table5.svg", "table9.svg", "figure2.svg", "figure3.png"} <= {*done.stdout.split()}
