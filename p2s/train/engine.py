"""Training that can stop at any moment: a step depends on the weights, the seed and the iteration.

A training lives in one folder, see `p2s.train.folder`. Whoever trains into the same folder again
goes on from there.
"""

import ctypes
import json
import time
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import clip_grad_value_
from tqdm import tqdm

from p2s.data.coco import CocoSet
from p2s.data.loader import pinned, train_batch
from p2s.data.prefetch import prefetched
from p2s.maths import ranks
from p2s.maths.federated import frequencies
from p2s.model.device import whereabouts
from p2s.spec import Spec
from p2s.spec.identity import training_id, training_settings
from p2s.spec.sanity import refuse_absurd
from p2s.train import curve, folder, settings, stops
from p2s.train.average import average_of
from p2s.train.curve import Curve
from p2s.train.descent import optimizer, rate_at
from p2s.train.folder import finished, load
from p2s.train.kept import Where
from p2s.train.replay import NonFiniteLoss, found, gradients, keep_step
from p2s.train.watch import Watch

__all__ = ["Loop", "NonFiniteLoss", "finished", "load", "train"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt; malloc.h
MOST_KEPT = 2**30  # bytes


def keep_memory() -> None:
    """Let glibc keep what it has freed: to get large blocks anew takes up to a tenth of a step."""
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option in (TRIM_THRESHOLD, MMAP_THRESHOLD):
            mallopt(option, MOST_KEPT)


@dataclass(frozen=True)
class Loop:
    """How a training goes about its steps, whose numbers do not depend on it."""

    save_every: float = 60.0  # seconds between states
    workers: int = 0  # threads that make batches ahead
    watch: Watch | None = None  # whom to ask for AP, and when
    live: Callable[[Curve], None] | None = None  # gets the curve so far after each step


def train(
    model: nn.Module,
    spec: Spec,
    data: CocoSet,
    output: str | Path,
    *,
    seed: int,
    loop: Loop = Loop(),
) -> nn.Module:
    """Train a freshly built model on `data` where it is, and return it, its files in `output`.

    What `output` already holds of this very training is used: a state is resumed and a finished
    model loaded, on one thread of a CPU bit-equal to a training that was never stopped.
    SIGINT and SIGTERM stop after the step at work, which is saved. Several ranks have a part of
    each batch, and rank 0 alone writes. Raises NonFiniteLoss, and
    ValueError for absurd settings or a folder of another training.
    """
    refuse_absurd(spec, ranks.ranks())
    keep_memory()
    identity = training_id(spec, data.fingerprint, seed)
    output, asked = Path(output), training_settings(spec, data.fingerprint, seed)
    output.mkdir(parents=True, exist_ok=True)
    with folder.alone_in(output) if ranks.rank() == 0 else nullcontext():
        ranks.wait_for_all()
        settings.refuse_other(output, asked)
        if not finished(output, identity):
            _Training(model, spec, data, output, seed, loop).run()
        elif ranks.rank() == 0:
            folder.mend(output, _about(spec, data) | {settings.FILE: settings.text(asked)})
        ranks.wait_for_all()
        folder.remove_state(output)
    folder.fill(model, output)
    return model


@dataclass
class _Training:
    """A training at work: all that its next step depends on, and where that is kept."""

    model: torch.nn.Module
    spec: Spec
    data: CocoSet
    output: Path
    seed: int
    loop: Loop
    iteration: int = 0
    seconds: float = 0.0  # at work, interruptions left out
    curve: Curve = field(default_factory=dict)
    places: list[Where] = field(default_factory=list)

    def __post_init__(self):
        self.identity = training_id(self.spec, self.data.fingerprint, self.seed)
        self.settings = training_settings(self.spec, self.data.fingerprint, self.seed)
        self.optimizer = optimizer(self.model, self.spec.recipe)
        if self.spec.second_stage.cls_loss.is_selective:
            self.model.roi_heads.set_frequencies(frequencies(self.data))
        self.average = average_of(self.model, self.spec.recipe)

    def run(self):
        """Train to the end, from the saved state if there is one."""
        if self.loop.watch and self.loop.watch.keep_best:
            folder.refuse_other_best(self.output, self.identity)
        self._resume()
        here = Where(**whereabouts(self.model), processes=ranks.ranks())
        self.places += [here] * (self.places[-1:] != [here])
        self.model.train()
        saved, begun = self.seconds, time.monotonic() - self.seconds
        with stops.noted() as asked, self._bar() as bar, closing(self._batches()) as batches:
            for batch in self._saved_if_broken(batches):
                losses = self._step(batch)
                self._note(losses | self._watched())
                self._keep_best()
                self.seconds = time.monotonic() - begun
                bar.set_postfix(loss=f"{curve.loss(self.curve):.3f}", refresh=False)
                bar.update()
                stop = ranks.anywhere(bool(asked))
                if stop or self.seconds - saved >= self.loop.save_every:
                    self._save()
                    saved = self.seconds
                if stop:
                    ranks.wait_for_all()  # nobody leaves while rank 0 saves
                    raise KeyboardInterrupt
        self._finish()

    def _bar(self):
        total = self.spec.recipe.steps
        # disable=None: a bar in a terminal only, nothing in a log or an executed notebook
        quiet = True if ranks.rank() else None
        return tqdm(total=total, initial=self.iteration, disable=quiet, mininterval=1, unit="step")

    def _batches(self):
        recipe, on_gpu = self.spec.recipe, next(self.model.parameters()).is_cuda

        def batch(iteration):
            made = train_batch(self.data, recipe, self.seed, iteration, ranks.part())
            return pinned(made) if on_gpu else made

        return prefetched(batch, range(self.iteration, recipe.steps), self.loop.workers)

    def _saved_if_broken(self, batches):
        """The batches; what cannot be read of one is told after the steps so far are saved."""
        try:
            yield from batches
        except ValueError as error:
            if self.iteration:
                self._save()
            raise ValueError(f"{error}; mend it, and the same command goes on") from error

    def _step(self, batch):
        recipe, batch = self.spec.recipe, _alike(batch)
        losses, broken = gradients(self.model, batch, self.seed, self.iteration)
        if broken:
            raise NonFiniteLoss(ranks.by_first("broken step", partial(self._told, batch, broken)))
        clip_grad_value_(self.model.parameters(), recipe.clip)
        if self.iteration % recipe.iterations == 0:
            self.optimizer.state.clear()  # a cycle starts from weights alone
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(recipe, self.iteration)
        self.optimizer.step()
        self.average.update(self.iteration + 1)
        return losses

    def _watched(self):
        """The AP that `Loop.watch` says after this iteration; NaN where it is not asked."""
        watch, done = self.loop.watch, self.iteration + 1
        if not watch:
            return {}
        is_due = watch.is_due(done, self.spec.recipe.steps)
        value = watch.ap(self.average.model) if is_due else float("nan")
        self.model.train()
        return {curve.AP: value}

    def _keep_best(self):
        """Keep these weights if their AP is the best so far; the last ones are kept anyway."""
        watch, values = self.loop.watch, curve.ap_of(self.curve)
        is_new = values and self.curve[curve.AP][-1] == values[-1]
        if ranks.rank() or not (watch and watch.keep_best and is_new and values[-1] == max(values)):
            return
        if self.iteration == self.spec.recipe.steps:
            folder.remove_best(self.output)
        else:
            texts = self._texts({"iteration": self.iteration, "AP": values[-1]})
            self._write(self.output / folder.BEST, texts)

    def _write(self, place, texts):
        folder.write_model(place, self.average.model, self.identity, texts)

    def _texts(self, told):
        """What goes along with weights, `told` of their training."""
        identity = {"training_id": self.identity, "seed": self.seed, "seconds": self.seconds}
        where = folder.was_at(self.places)
        training = json.dumps(identity | where | told)
        return _about(self.spec, self.data) | {"training.json": training}

    def _told(self, batch, broken):
        """What is broken in a line; the step of all ranks is kept, as one process would do it.

        The others may wait for this one in the midst of theirs: they are asked for nothing.
        """
        path, whole = self.output / f"nonfinite-{self.iteration}.pt", self._whole(batch)
        parts = [whole[number :: ranks.ranks()] for number in range(ranks.ranks())]
        rate = rate_at(self.spec.recipe, self.iteration)
        step = {"seed": self.seed, "iteration": self.iteration, "rate": rate}
        with ranks.alone():
            keep_step(path, self.model, self.spec, whole, **step)
            where = found(self.model, parts)
        return (
            f"iteration {self.iteration}: not finite: {', '.join(broken[:5])}; {where}; "
            f"learning rate {rate:g}; do this step again with `p2s replay {path}`"
        )

    def _whole(self, batch):
        """The batch of all ranks, of which this one has a part."""
        if ranks.ranks() == 1:
            return batch
        whole = train_batch(self.data, self.spec.recipe, self.seed, self.iteration)
        whole[ranks.part()] = batch
        return whole

    def _note(self, values):
        curve.add(self.curve, self.iteration, values)
        self.iteration += 1
        if self.loop.live and not ranks.rank():
            self.loop.live(self.curve)

    def _save(self):
        if ranks.rank():
            return
        settings.keep(self.output, self.settings)
        progress = {name: getattr(self, name) for name in folder.PROGRESS}
        folder.save_state(self.output, progress, self.model, self.optimizer, self.average)

    def _resume(self):
        parts = self.model, self.optimizer, self.average
        progress = folder.resume(self.output, self.identity, *parts)
        for name, value in progress.items():
            setattr(self, name, value)
        if self.iteration > (last := self.spec.recipe.steps):
            told = f"iteration: {self.iteration} (valid: {last} at most)"
            raise ValueError(f"{self.output / folder.STATE}: {told}; delete it to start anew")
        if ranks.mean(torch.tensor(float(self.iteration))) != self.iteration:
            raise ValueError(f"{self.output}: not one folder for all ranks: their states differ")

    def _finish(self):
        if ranks.rank():
            return
        texts = self._texts({}) | {"curve.json": json.dumps(self.curve)}
        settings.keep(self.output, self.settings)
        self._write(self.output, texts)


def _about(spec, data):
    """The texts beside weights that say what they are."""
    classes = json.dumps(list(data.classes))
    return {"spec.json": spec.model_dump_json(indent=2), "classes.json": classes}


def _alike(batch):
    """A part of a batch, told how large the images of all ranks are, to which it is padded."""
    if ranks.ranks() == 1:
        return batch
    sizes = [inputs.get("padded_to", inputs["image"].shape[-2:]) for inputs in batch]
    size = tuple(ranks.largest(max(sides) for sides in zip(*sizes, strict=True)))
    return [inputs | {"padded_to": size} for inputs in batch]
