"""The `p2s bench` commands: each prints a table and leaves a record in results/bench."""

from functools import partial

import click

from p2s.cli.options import DEVICE, NUMBER, WHOLE, WholeRange
from p2s.cli.paths import NEW_FILE
from p2s.cli.telling import say

THREADS = click.option("--threads", default=2, show_default=True, type=WholeRange(min=1))
ROUNDS = click.option(
    "--rounds", default=7, show_default=True, type=WholeRange(min=1), help="Turns measured."
)
SIZE = click.option(
    "--size", nargs=2, default=(800, 1088), show_default=True, type=WholeRange(min=32),
    help="Height and width of the image in pixels.",
)  # fmt: skip


def detector(default, several=False):
    """The option --detector."""
    text = "As in the paper." + (" May be repeated." if several else "")
    return click.option(
        "--detector", default=default, show_default=True, multiple=several, help=text
    )


@click.group()
def bench():
    """Measure speed on this machine: ratios in one run, a record of each."""


@bench.command("infer")
@detector("CenterNet2")
@click.option("--all", "every", is_flag=True, help="Every named detector, optimised, instead.")
@click.option("--way", "words", multiple=True, help="Only ways with this word in their name.")
@click.option("--profile", type=NEW_FILE, help="A trace file.")
@SIZE
@THREADS
@ROUNDS
@DEVICE
def infer(detector, every, words, profile, device, **how):
    """Full-size inference: ours, the authors' and torchvision's, part by part."""
    from p2s.bench import inference, ways
    from p2s.deploy import chip

    device = _taken(device)
    if device.type == "cpu":
        say(f"units: {chip.told()}", err=True)
    if every:
        make, name = partial(ways.detectors, device=device), "detectors"
    else:
        make, name = partial(ways.means, detector, how["size"], device), "infer"
    settings = {"detector": "all" if every else detector, **how}
    settings |= {"ways": words} if words else {}
    chosen = {
        key: way
        for index, (key, way) in enumerate(make().items())
        if not words or index == 0 or any(word in key for word in words)
    }
    _inferred(name, settings, chosen, device)
    if profile:
        say(*inference.profile(chosen, how["size"], profile).splitlines())


@bench.command("memory")
@detector("CenterNet2")
@SIZE
@THREADS
@DEVICE
def memory(detector, size, threads, device):
    """The most memory that full-size inference holds, each way in a process of its own."""
    from p2s.bench.memory import memories
    from p2s.bench.ways import means

    settings = {"detector": detector, "size": size, "threads": threads}
    device = _taken(device)
    make = partial(means, detector, size, device)
    _measured("memory", settings, lambda: memories(make, size, threads, device), device)


@bench.command("classes")
@detector(["CenterNet2", "CascadeRCNN-RPN (P3-P7)", "CenterNet*", "GFL"], several=True)
@click.option(
    "--count", "counts", multiple=True, default=[80, 365, 1203], type=WHOLE, show_default=True
)
@SIZE
@THREADS
@ROUNDS
@DEVICE
def classes(detector, counts, size, threads, rounds, device):
    """Inference time against the number of classes."""
    from p2s.bench.ways import with_classes

    device = _taken(device)
    ways = with_classes(detector, counts, device)
    settings = {"detector": detector, "counts": counts, "size": size, "threads": threads}
    _inferred("classes", settings | {"rounds": rounds}, ways, device)


@bench.command("proposals")
@detector(["CenterNet2"], several=True)
@click.option(
    "--count",
    "counts",
    multiple=True,
    default=[32, 64, 128, 256, 512, 1000],
    type=WHOLE,
    show_default=True,
)
@SIZE
@THREADS
@ROUNDS
@DEVICE
def proposals(detector, counts, size, threads, rounds, device):
    """Inference time against the number of proposals."""
    from p2s.bench.ways import with_proposals

    device = _taken(device)
    ways = with_proposals(detector, counts, device)
    settings = {"detector": detector, "counts": counts, "size": size, "threads": threads}
    _inferred("proposals", settings | {"rounds": rounds}, ways, device)


@bench.command("rows")
@click.argument("experiment")
@SIZE
@THREADS
@ROUNDS
@DEVICE
def rows(experiment, size, threads, rounds, device):
    """Inference time of the rows of an EXPERIMENT: table1, table4, ..."""
    from p2s.bench.ways import of_rows
    from p2s.study import experiments
    from p2s.study.benches import rows_of
    from p2s.study.project import Project

    project = Project.at()
    experiments.refuse_unknown("experiment", [experiment], experiments.experiment_names(project))
    full, device = experiments.load_scales(project)["paper"], _taken(device)
    ways = of_rows(experiments.load_experiment(project, experiment), full, device)
    settings = {"size": size, "threads": threads, "rounds": rounds}
    _inferred(rows_of(experiment), settings, ways, device)


@bench.command("train")
@detector("CascadeRCNN-CenterNet")
@click.option("--steps", default=20, show_default=True, type=WholeRange(min=1))
@click.option("--threads", default=1, show_default=True, type=WholeRange(min=1))
@click.option("--scale", default="gated", show_default=True, help="As in scales.yaml.")
@DEVICE
def train(detector, steps, threads, scale, device):
    """Training steps of a scale, ours and the stock way; desk's at width 32 and batch 16.

    On a GPU in bf16 too, and those of the authors' package at full size (--scale paper).
    """
    from p2s.bench import training
    from p2s.study.project import Project

    spec, device = training.reference_step(Project.at(), detector, scale), _taken(device)
    settings = {"detector": detector, "steps": steps, "threads": threads, "scale": scale}
    measure = partial(training.training_steps, detector, spec, steps, device=device)
    _measured("train", settings, measure, device)


@bench.command("eval")
@click.option("--images", default=2000, show_default=True, type=WholeRange(min=1))
def evaluation(images):
    """COCO evaluation: hotcoco's time and numbers beside pycocotools'."""
    from p2s.bench.evaluation import evaluator_times

    _measured("eval", {"images": images, "threads": 1}, lambda: evaluator_times(images))


@bench.command("start")
@click.option("--share", default=1.0, type=NUMBER, show_default=True, help="Of COCO's size.")
def start(share):
    """The start of a training on COCO: health check, reading, first batch; seconds and memory."""
    from p2s.bench.start import start_times

    _measured("start", {"share": share, "threads": 1}, lambda: start_times(share))


@bench.command("step")
@detector("CenterNet2")
@THREADS
@ROUNDS
@DEVICE
def step(detector, threads, rounds, device):
    """A full-size training step: the share of assignment, losses and decoding."""
    from p2s.bench.step import step_shares

    settings, device = {"detector": detector, "threads": threads, "rounds": rounds}, _taken(device)
    _measured("step", settings, lambda: step_shares(detector, rounds, device=device), device)


@bench.command("desk")
def desk():
    """One whole run at scale desk on one thread: scenes, training, evaluation; minutes."""
    from p2s.bench.desk import desk_run
    from p2s.study.project import Project

    project = Project.at()
    _measured("desk", {"threads": 1}, lambda: desk_run(project))


@bench.command("precision")
@THREADS
def precision(threads):
    """AP of a desk model by precision; trains it first where its weights are not in the cache."""
    from p2s.bench.precision import precisions
    from p2s.study.project import Project

    project = Project.at()
    _measured("precision", {"threads": threads}, lambda: precisions(project))


def _taken(name):
    """The device of a name, told; on a GPU products of fp32 are not rounded, whoever asks."""
    from p2s.model.device import described, device_of, round_products

    device = device_of(name)
    say(f"on {described(device)}", err=True)
    if device.type == "cuda":
        round_products("fp32")
    return device


def _inferred(name, settings, ways, device):
    """Measure ways of full-size inference as the settings say; see `_measured`."""
    from p2s.bench.inference import inference_times

    how = settings["size"], settings["rounds"], device
    _measured(name, settings, lambda: inference_times(ways, *how), device)


def _measured(name, settings, measure, device=None):
    """Measure with the threads of the settings, write the record and print it as a table."""
    from p2s.bench.timing import threads
    from p2s.model.device import described
    from p2s.study import benches, records
    from p2s.study.project import Project

    project = Project.at()
    if device and device.type == "cuda":
        settings = settings | {"device": described(device)}
    with threads(settings["threads"]):
        path = benches.write(project, name, settings, measure())
    say(*benches.table(records.read(path, benches.Bench)).splitlines(), path)
