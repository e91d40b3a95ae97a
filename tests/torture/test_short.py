"""The short form of `make torture`: each fault once, on a study whose notebook does nothing."""

import random

import pytest

from p2s.train.engine import train
from tests.support import tiny_training
from tests.support.tiny_training import DATA, SPEC, Tiny
from tests.torture import campaign, commands, disturbed, faults, feeding, kills, works
from tests.torture.campaign import COMMITTED, PAGE, Campaign, filled, record
from tests.torture.disturbed import NO_ROOM, NO_WRITING
from tests.torture.work import Kind, Work, eventually

FEW = 20  # malformed inputs that are tried as commands


@pytest.fixture
def seen():
    seen = Campaign(asked=1, code="")
    yield seen
    assert not seen.broken


@pytest.fixture
def fresh():
    """Makes works, which are ended and removed afterwards."""
    made = []

    def fresh(kind: Kind) -> Work:
        made.append(Work.fresh(kind, faults.own_disk))
        return made[-1]

    yield fresh
    for work in made:
        work.remove()


@pytest.fixture(params=[True, False], ids=["real", "injected"])
def machine(request, monkeypatch):
    """A machine that lets us mount and compile, if this one does, and one that does not."""
    if not request.param:
        monkeypatch.setattr(faults, "can_mount", lambda: False)
        monkeypatch.setattr(faults, "lent_clock", lambda _work: None)
    elif not faults.can_mount():
        pytest.skip("needs the right to mount")


def test_after_kills_two_studies_at_once_end_as_one_whose_clock_jumps(seen, fresh):
    other, work = fresh(works.stub()), fresh(works.stub())
    with faults.jumping_clock(other, random.Random(0)) as variables:
        assert other.run(**variables)[0] == 0
    for kill in (kills.kernel, kills.runner, kills.group):
        process = work.start()
        assert eventually(work.kernels) and kill(work, process)
        if (code := process.wait()) > 0:
            kills.require_told(seen, kill.__name__, work, code, kills.KERNEL_DIED)
    pair = work.start(), work.start("other")
    assert [process.wait() for process in pair] == [0, 0], work.told() + work.told("other")
    seen.compare(work.answer(), other.answer())
    seen.left += work.left() + other.left()


def test_a_full_disk_and_a_folder_that_takes_nothing_are_told(seen, fresh, machine):
    work = fresh(works.stub())
    for fault, line in (
        (faults.full(work, 0), NO_ROOM),
        (faults.read_only(work, work.home), NO_WRITING),
    ):
        with fault as variables:
            code, _ = work.run(**variables)
        assert code == 2
        kills.require_told(seen, line, work, code, line)
    assert work.answer() == {} and work.left() == []


def test_a_damaged_file_is_told_and_once_removed_or_put_back_all_is_well(seen):
    record = "results/runs/*/*.json"
    where = {record: (record, "experiments/t.yaml")}
    disturbed.damaged(works.stub(), where, seen, random.Random(0))
    assert sum(seen.tried.values()) == 2


def test_a_training_that_is_killed_ends_with_the_weights_of_another(seen, fresh, monkeypatch):
    work, other = fresh(works.tiny_training()), fresh(works.tiny_training())
    process = work.start()
    assert eventually(lambda: [*work.home.glob("model/state.pt")]) and kills.group(work, process)
    process.wait()
    tiny_training.install(monkeypatch)
    for each in (work, other):
        train(Tiny(), SPEC, DATA, each.home / "model", seed=3)
    seen.compare(work.answer(), other.answer())
    seen.left += work.left()


def test_a_campaign_that_was_stopped_goes_on_and_one_that_is_done_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "RECORD", tmp_path / "record.json")
    with pytest.raises(KeyboardInterrupt), campaign.campaign("kills", 2) as begun:
        begun.note("runner")
        campaign.keep("kills", begun)
        raise KeyboardInterrupt
    assert not campaign.record(campaign.RECORD).campaigns["kills"].done
    with campaign.campaign("kills", 2) as again:
        assert again.tried == {"runner": 1} and again.seconds >= begun.seconds
        again.note("kernel")
    assert campaign.record(campaign.RECORD).campaigns["kills"].tried == {"runner": 1, "kernel": 1}
    with pytest.raises(pytest.skip.Exception), campaign.campaign("kills", 2):
        pytest.fail("tried once more")


@pytest.mark.parametrize("reader", feeding.EVERY, ids=lambda reader: reader.__name__)
def test_files_by_chance_are_read_or_told(reader, tmp_path):
    feeding.feed(reader(tmp_path))


def test_some_malformed_inputs_are_told_by_commands(tmp_path):
    every = [command for _, command in commands.every()]
    for number, command in enumerate(every[:: len(every) // FEW][:FEW]):
        assert not commands.untold(tmp_path / f"{number}", command)


def test_the_page_is_that_of_the_record_and_nothing_in_it_broke():
    assert filled(PAGE.read_text(), record(COMMITTED)) == PAGE.read_text()
    assert not [name for name, one in record(COMMITTED).campaigns.items() if one.broken]
