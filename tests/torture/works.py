"""Works: the study of two tables, and a training on one's own pictures, small and complete."""

import json
import shutil
from functools import partial
from pathlib import Path
from shutil import copytree

import yaml
from pytest import MonkeyPatch

from p2s.data import glyphs
from p2s.files import canonical_digest, file_sha256
from p2s.report import experiment
from p2s.report.products import Products
from p2s.report.results import results
from p2s.spec import Glyphs
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT, stub_study
from tests.torture.work import Answer, Kind

SCALE = "smoke"
TABLES = ("once", "twice")  # five runs, of three trainings
ASIDE = ("timings", "created", "digest")  # of a record: how long, when, and the sum of all
STATES = ".p2s/weights/*/state.pt"
EVERY_STEP = 0.0001  # minutes between two states of a training
SMALL = ("backbone.width=16", "backbone.fpn_channels=16", "second_stage.channels=16")
TINY_TRAINING = """
from time import sleep
from pytest import MonkeyPatch
from tests.support import tiny_training
from p2s.train.engine import Loop, train
tiny_training.install(MonkeyPatch())
train(
    tiny_training.Tiny(), tiny_training.SPEC, tiny_training.DATA, "model",
    seed=3, loop=Loop(save_every=0, live=lambda _: sleep(0.2)),
)
"""
SCENES = Glyphs(train=12, val=4, size=64, classes=3)


def study(only: tuple[str, ...] = TABLES) -> Kind:
    """The smoke study of tables, two runs at once, each training saved at every step."""
    asked = [word for name in only for word in ("--only", name)]
    words = ("-m", "p2s", "study", "run", "--scale", SCALE, "--jobs", "2", *asked)
    return Kind(words, fill_study, partial(answer_of_study, scale=SCALE, tables=only), STATES)


def training(iterations: int = 60) -> Kind:
    """`p2s train` on drawn pictures, saved at every step."""
    files = ("--train", "train.json", "--val", "val.json", "--images", ".", "--output", "model")
    sizes = ("--size", "64", "--iterations", f"{iterations}", "--save-minutes", f"{EVERY_STEP}")
    settings = [word for each in SMALL for word in ("--set", each)]
    batch = ("--set", "recipe.batch=2", "--validate-every", "20", "--keep-best")
    words = ("-m", "p2s", "train", *files, *sizes, *settings, *batch)
    return Kind(words, fill_training, answer_of_training, "model/state.pt")


def stub() -> Kind:
    """A study whose notebook only writes the record: all of a runner, nothing of a network."""
    words = ("-m", "p2s", "study", "run", "--scale", "tiny", "--jobs", "2")
    return Kind(words, fill_stub, partial(answer_of_records, scale="tiny"), "begun *")


def tiny_training() -> Kind:
    """A training of a network of four channels, for twelve steps."""
    return Kind(("-c", TINY_TRAINING), Path.exists, answer_of_training, "model/state.pt")


def fill_stub(home: Path) -> None:
    """One run."""
    with MonkeyPatch.context() as patch:
        patch.setattr(stub_study, "ROWS", stub_study.ROWS[:1])
        stub_study.project(home, patch)
    (home / "experiments" / "executors.yaml").write_text("local: {}\n")


def fill_study(home: Path) -> None:
    """The project's experiments and notebooks with two small tables more, without a record."""
    for part in ("experiments", "notebooks"):
        copytree(ROOT / part, home / part)
    for name in TABLES:
        shutil.copy(Path(__file__).with_name(f"{name}.yaml"), home / "experiments")
    often = {"local": {"save_minutes": EVERY_STEP}}
    (home / "experiments" / "executors.yaml").write_text(yaml.safe_dump(often))


def fill_training(home: Path) -> None:
    """Drawn pictures with their annotations."""
    drawn = glyphs.prepare(SCENES, home / "drawn").images
    for path in drawn.iterdir():
        path.rename(home / path.name)
    shutil.rmtree(home / "drawn")


def answer_of_records(home: Path, scale: str) -> Answer:
    """The records of a study, without what tells when, how long and in how much memory."""
    answer = {}
    for path in (home / "results" / "runs" / scale).glob("*"):
        fields = json.loads(path.read_bytes())
        fields["machine"].pop("memory_mb", None)
        answer[path.name] = canonical_digest({k: v for k, v in fields.items() if k not in ASIDE})
    return answer


def answer_of_study(home: Path, scale: str, tables: tuple[str, ...]) -> Answer:
    """Its records, the weights behind them, and the tables that the report makes of them."""
    answer = answer_of_records(home, scale)
    for path in filter(Path.is_file, home.glob(".p2s/weights/*/**/*")):
        if path.name != "training.json":  # the seconds
            answer[str(path.relative_to(home))] = file_sha256(path)
    here = Study.load(Project.at(home), scale)
    for name in tables:
        if (told := results(here, name)).of("AP")["value"].isna().all():
            continue  # as the report does
        for made in experiment.products(told, here):
            texts = Products(tables=made.tables, pages=made.pages).files(name)
            answer |= {place: canonical_digest(text.decode()) for place, text in texts.items()}
    return answer


def answer_of_training(home: Path) -> Answer:
    """All files of a trained model, without the seconds that it took."""
    answer = {}
    for path in filter(Path.is_file, (home / "model").rglob("*")):
        told = json.loads(path.read_bytes()) if path.name == "training.json" else {}
        told.pop("seconds", None)
        name = str(path.relative_to(home))
        answer[name] = canonical_digest(told) if told else file_sha256(path)
    return answer
