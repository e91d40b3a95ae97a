"""The start of a training at a tenth of COCO's size."""

import json
import subprocess
import sys

MOST_MEMORY = 1500  # MB for a tenth, of which most is torch and detectron2; 4 GB for the whole


def test_a_tenth_of_coco_starts_in_bounded_memory_and_finds_nothing_wrong():
    code = (
        "import json; from p2s.bench.start import start_times; print(json.dumps(start_times(.1)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    started = json.loads(told.stdout)
    assert started["images"] == 11_829 and started["problems"] == 0
    ways = [row["way"] for row in started["rows"]]
    assert ways == ["health check", "reading", "first batch", "another batch"]
    seconds = {row["way"]: row["total"] for row in started["rows"]}
    assert seconds["another batch"] < seconds["first batch"] / 10  # nothing is read twice
    assert max(row["memory"] or 0 for row in started["rows"]) < MOST_MEMORY
