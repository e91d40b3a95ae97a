"""Random valid Specs, for laws of all of them."""

from typing import get_args

from hypothesis import strategies as st

from p2s.spec import FirstStage, Glyphs, Recipe, SecondStage, Spec
from p2s.spec.first_stage import CenterNet, RetinaNet
from p2s.spec.recipe import AdamW, ClassAware, RepeatFactor, Sgd, Shuffled
from p2s.spec.second_stage import AnnotatedClasses, Eql, Federated, Sigmoid, Softmax

SHARES, SIZES = st.floats(0, 1), st.integers(1, 10_000)
LOSSES = st.one_of(
    st.sampled_from([Softmax(), Sigmoid(), AnnotatedClasses()]),
    st.builds(Eql, tail=st.sampled_from(["rank", "images", "share"])),
    st.builds(
        Federated,
        classes=st.integers(0, 2000),
        power=st.floats(0, 3),
        sets=st.sampled_from(["per_image", "per_batch"]),
    ),
)
RECIPES = st.builds(
    Recipe,
    rate=st.floats(1e-6, 1),
    batch=SIZES,
    drops=st.lists(SHARES, max_size=3),
    optimizer=st.one_of(st.just(AdamW()), st.builds(Sgd, momentum=SHARES)),
    order=st.one_of(
        st.sampled_from([Shuffled(), ClassAware()]), st.builds(RepeatFactor, threshold=SHARES)
    ),
)


@st.composite
def designs(draw, second):
    """A design that goes with such a second stage."""
    kinds = FirstStage.kinds()["design"]
    dense = [kind for kind in kinds if not kind.endswith("rpn")]
    of_kind = kinds[draw(st.sampled_from(dense if second == "none" else [*kinds]))]
    values = {
        name: st.sampled_from(get_args(of_kind.model_fields[name].annotation))
        for name in {"anchors", "weighting"} & set(of_kind.model_fields)
    }
    if of_kind is RetinaNet:
        values["norm"] = st.sampled_from(["GN", None])
    design = draw(st.builds(of_kind, **values))
    if isinstance(design, CenterNet):
        ignored = SHARES if design.weighting == "focal" else st.none()
        changes = {"extra_positives": draw(st.booleans()), "ignore_above": draw(ignored)}
        return design.model_copy(update=changes)
    return design


@st.composite
def specs(draw):
    second, data = draw(st.sampled_from(["none", "faster", "cascade"])), None
    design = draw(designs(second))
    loss = Softmax() if second == "none" else draw(LOSSES)
    if draw(st.booleans()):
        federated = {"imbalance": "lvis", "federated": isinstance(loss, AnnotatedClasses)}
        data = Glyphs(seed=draw(SIZES), classes=draw(SIZES), **federated)
    layers = 1 if design.kind in ("ga_rpn", "cascade_rpn") else draw(st.integers(1, 8))
    iou = draw(st.tuples(*[SHARES] * (1 if second == "faster" else 3)))
    return Spec(
        second=second,
        num_classes=draw(SIZES),
        first_stage=FirstStage(design=design, layers=layers, weight=draw(st.floats(0.01, 9))),
        second_stage=SecondStage(cls_loss=loss, iou=iou, regions=draw(SIZES)),
        recipe=draw(RECIPES),
        data=data,
    )
