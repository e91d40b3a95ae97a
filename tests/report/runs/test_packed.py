"""A page holds all records, small, and shows of the one that is clicked what its record says."""

import base64
import json
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from p2s.data import glyphs
from p2s.report import printing
from p2s.report.runs import listed, packed
from p2s.report.style import SHOWN_ABOVE
from p2s.spec import Glyphs
from tests.report.browser import PHONE, browser, page_of
from tests.support import fakes

needs_chromium = pytest.mark.skipif(
    not printing.chromium(), reason=f"no Chromium here: {', '.join(printing.NAMES)}"
)
EACH = 1500  # bytes that one more record may take: a thousand are to fit into a page
ROWS = "[...document.querySelectorAll('.runs tbody tr')].filter(row => !row.hidden)"
FOUND = (
    "[...document.querySelectorAll('.scenes figure:first-child g title')].map(t => t.textContent)"
)
TYPE = """var field = document.querySelector('input'); field.value = '{}';
field.dispatchEvent(new Event('input'))"""


@pytest.fixture(scope="module")
def every(project):
    """Those of the first variant of Table 5."""
    found = [one for one in listed.every(project) if one.record.scale == "desk"]
    return [one for one in found if one.runs[0].variant == fakes.VARIANTS[0]]


def opened(html):
    [text] = re.findall(r'data-runs="([^"]+)"', html)
    return json.loads(zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS))


def test_what_is_packed_is_what_the_records_say(every):
    held = opened(packed.Browser(every)._repr_html_())
    assert [run["id"] for run in held["runs"]] == [one.record.id for one in every]
    run, record = held["runs"][4], every[4].record
    assert run["metrics"][0] == round(record.metrics["AP"], 1) and run["metrics"][3] is None
    kept = [row for row in record.scenes[2]["detections"] if row[4] > SHOWN_ABOVE]
    flat = np.array(run["scenes"][2]).reshape(-1, 8)
    np.testing.assert_allclose(flat[:, :4], np.array(kept)[:, :4], atol=0.5)
    np.testing.assert_allclose(flat[:, 5:] / 100, np.array(kept)[:, [4, 6, 7]], atol=0.006)
    assert flat[:, 4].tolist() == [row[5] for row in kept]


def test_scenes_and_losses_that_several_have_are_held_once(every):
    held = opened(packed.Browser(every)._repr_html_())
    trainings = {one.record.training_id for one in every}
    assert len(held["sets"]) == 1 and len(held["curves"]) == len(trainings) < len(every)
    curve, record = held["curves"][0], every[0].record
    total = record.curve["loss_cls"][-1] + record.curve["loss_box"][-1]
    assert curve["loss"][-1] == pytest.approx(total, rel=0.01)
    assert len(curve["at"]) == packed.POINTS and curve["at"][-1] == record.curve["iteration"][-1]


def test_a_picture_and_its_objects_are_those_of_the_scene(every):
    [of_set] = opened(packed.Browser(every)._repr_html_())["sets"]
    data = Glyphs(**every[0].record.spec["data"])
    image, objects = glyphs.scene(data, "val", 1)
    scene = of_set["scenes"][1]
    assert scene["objects"] == [[*item["bbox"], item["label"]] for item in objects]
    assert of_set["classes"] == [*glyphs.names(data)] and scene["size"] == [data.size] * 2
    path = base64.b64decode(scene["picture"])
    shown = np.array(Image.open(packed.io.BytesIO(path)).convert("RGB"), float)
    assert np.abs(shown - image).mean() < 16


def test_one_more_record_is_small(every):
    one, all_ = (len(packed.Browser(part)._repr_html_()) for part in (every[:1], every))
    assert (all_ - one) / (len(every) - 1) < EACH


def test_of_photographs_boxes_are_held_in_a_frame_that_holds_them(every):
    record = every[0].record
    spec = record.spec | {"data": {"kind": "coco", "train": "a"}}
    photographed = record.model_copy(update={"spec": spec, "per_class": {"ace": 1.0}})
    held = packed.Browser([listed.Listed(photographed, ())]).content
    [of_set] = held["sets"]
    assert of_set["classes"] == ["ace"] and "picture" not in of_set["scenes"][0]
    sides = np.max([row[2:4] for row in record.scenes[0]["proposals"]], 0)
    assert of_set["scenes"][0]["size"] == sides.round().tolist()


@pytest.fixture(scope="module")
def page(every, tmp_path_factory):
    """The address of a page with all of them."""
    return page_of(packed.Browser(every), tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened_tab:
        yield opened_tab


def ready(tab, address, width=1400):
    """Open it and wait until it has been unpacked."""
    tab.open("about:blank")
    tab.open(address, width)
    tab.ask(
        "Runtime.evaluate",
        awaitPromise=True,
        expression="""new Promise(done => (function look() {
          document.querySelector('.runs .list') ? done() : setTimeout(look, 20) })())""",
    )


@needs_chromium
def test_the_run_that_is_clicked_is_shown_and_has_an_address(page, tab, every):
    ready(tab, page.as_uri())
    assert tab.run(f"{ROWS}.length") == len(every)
    tab.run(f"{ROWS}[5].click()")
    record = every[5].record
    assert tab.run("location.hash") == f"#{record.id}"
    ready(tab, f"{page.as_uri()}#{record.id}")
    assert tab.run("document.querySelector('.run h3').textContent") == every[5].row
    link = tab.run("document.querySelector('.run a').getAttribute('href')")
    assert link == f"../../results/runs/desk/{record.id}.json"
    kept = [row for row in record.scenes[0]["detections"] if row[4] > SHOWN_ABOVE]
    names = glyphs.names(Glyphs(**record.spec["data"]))
    told = [f"{names[int(row[5])]} {round(100 * row[4])} %" for row in kept]
    assert sorted(text.split(":")[0] for text in tab.run(FOUND)) == sorted(told)
    assert tab.run("document.querySelectorAll('.run li').length") == len(every[5].settings())
    asked = {one["request"]["url"] for one in tab.events("Network.requestWillBeSent")}
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
    assert tab.events("Log.entryAdded") + tab.events("Runtime.exceptionThrown") == []


@needs_chromium
def test_runs_sort_and_filter_and_fit_a_phone(page, tab, every):
    ready(tab, page.as_uri(), PHONE)
    assert tab.run("document.documentElement.scrollWidth") == PHONE
    tab.run(
        "[...document.querySelectorAll('.runs th button')].find(b => b.textContent == 'AP').click()"
    )
    shown = [float(text) for text in tab.run(f"{ROWS}.map(row => row.cells[6].textContent)")]
    assert shown == sorted((round(one.record.metrics["AP"], 1) for one in every), reverse=True)
    tab.run(TYPE.format("centernet product"))
    wanted = [
        one
        for one in every
        if (one.record.spec["first"], listed.fusion(one.record)) == ("centernet", "product")
    ]
    assert tab.run(f"{ROWS}.length") == len(wanted) > 0
