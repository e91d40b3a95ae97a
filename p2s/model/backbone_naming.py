"""Naming of backbones: how the authors' CenterNet2 calls the weights of ours, by trunk and neck.

A rule is a pattern of our names, and what it becomes.
"""

import re
from collections.abc import Callable

from p2s.spec import Spec

Rules = tuple[tuple[str, str | Callable[[re.Match], str]], ...]
OURS = "backbone.bottom_up."
RESNET: Rules = ((r"\bconv2\.offset\.", "conv2_offset."),)
RES2NET: Rules = (  # their stem is one row of layers, their scales have norms beside them
    (r"\bstem\.conv3\.norm\.", "stem.bn1."),
    (r"\bstem\.conv(\d)\.weight", lambda m: f"stem.conv1.{3 * int(m[1]) - 3}.weight"),
    (r"\bstem\.conv(\d)\.norm\.", lambda m: f"stem.conv1.{3 * int(m[1]) - 2}."),
    (r"\bconv2\.convs\.(\d)\.weight", r"convs.\1.weight"),
    (r"\bconv2\.convs\.(\d)\.norm\.", r"bns.\1."),
    (r"\bconv2\.convs\.(\d)\.offset\.", r"conv2_offsets.\1."),
)
DLA: Rules = (  # their norms stand beside the convolutions
    (r"\bconv(\d)\.norm\.", r"bn\1."),
    (r"\broot\.norm\.", "root.bn."),
    (r"\broot\.weight", "root.conv.weight"),
    (r"\b(base_layer|level[01]|project)\.norm\.", r"\1.1."),
    (r"\b(base_layer|level[01]|project)\.weight", r"\1.0.weight"),
)
DLA_UP: Rules = (
    (r"^backbone\.steps\.(\d)\.(\d)\.", lambda m: f"backbone.dla_up.ida_{m[1]}.{int(m[2]) + 1}."),
    (r"^backbone\.last\.(\d)\.", lambda m: f"backbone.ida_up.{int(m[1]) + 1}."),
    (r"\.(\d)\.(project|node)\.norm\.", r".\2_\1.actf.0."),
    (r"\.(\d)\.(project|node)\.offset\.", r".\2_\1.offset."),
    (r"\.(\d)\.(project|node)\.(weight|bias)$", r".\2_\1.conv.\3"),
    (r"\.(\d)\.up\.weight$", r".up_\1.weight"),
    (r"\.project_(\d)", r".proj_\1"),
)
TRUNKS = {"resnet": RESNET, "resnext": RESNET, "res2net": RES2NET, "dla": DLA}
DLA_PLACES = {"fcos": "backbone.bottom_up.backbone.", "dla_up": "backbone.base."}
NODE = r"^backbone\.layers\.(\d+)\.(down|up)\.(\d)\.(.*)"
LATERAL = r"^backbone\.layers\.(\d+)\.lateral\.(down|up)(\d)\.(.*)"


def backbone_rules(spec: Spec) -> Rules:
    """The rules of a Spec's backbone, to be applied one after the other."""
    neck, trunk = spec.backbone.neck, spec.backbone.trunk.kind
    form = getattr(neck, "form", neck.kind)
    top = spec.levels[1] - spec.levels[0]  # the coarsest of the levels 0, 1, ...
    necks = {"efficientdet": efficientdet, "fcos": fcos, "dla_up": lambda _: DLA_UP}
    rules = necks.get(form, lambda _: ())(top) + TRUNKS[trunk]
    place = DLA_PLACES.get(form, OURS) if trunk == "dla" else OURS
    return (*rules, (rf"^{re.escape(OURS)}(?!dla6)", place))


def efficientdet(top: int) -> Rules:
    """Of a BiFPN whose nodes are numbered, first those down, then those up."""

    def node(m):
        number = top - 1 - int(m[3]) if m[2] == "down" else top + int(m[3])
        part = re.sub(r"^weights$", "combine.edge_weights", m[4])
        part = re.sub(r"^conv\.weight", "after_combine.conv.conv.weight", part)
        part = re.sub(r"^conv\.norm\.", "after_combine.conv.bn.", part)
        return f"backbone.cell.{m[1]}.fnode.{number}.{part}"

    def lateral(m):
        level = int(m[3])
        number = max(top - 1 - level, 0) if m[2] == "down" else top + level - 1
        place = f"backbone.cell.{m[1]}.fnode.{number}.combine.resample.{level}"
        return f"{place}.conv.{_conv_and_bn(m[4])}"

    sixth = (r"^backbone\.sixth\.(.*)", lambda m: f"backbone.resample.3.conv.{_conv_and_bn(m[1])}")
    return (NODE, node), (LATERAL, lateral), sixth


def fcos(top: int) -> Rules:
    """Of a BiFPN whose nodes are named by their level and the numbers of what they are given."""

    def node(m):
        name = _given(top, m[2], int(m[3]))
        if m[4] == "weights":
            return f"backbone.repeated_bifpn.{m[1]}.weights_{name}"
        return f"backbone.repeated_bifpn.{m[1]}.outputs_{name}.{m[4].removeprefix('conv.')}"

    def lateral(m):
        level = int(m[3])
        to = level - 1 if (level, m[2]) == (top, "down") else level
        return f"backbone.repeated_bifpn.{m[1]}.lateral_{level}_f{to}.{m[4]}"

    return (
        (NODE, node),
        (LATERAL, lateral),
        (r"^backbone\.sixth\.", "backbone.bottom_up.dla6.reduction."),
    )


def _given(top, way, index):
    """A node's name: levels are numbered from 0 to `top`, nodes from there on."""
    if way == "down":
        return f"f{index}_{index}_{2 * top - 1 - index}"
    level, before = index + 1, 2 * top + index
    between = f"_{2 * top - level}" if level < top else ""
    return f"f{level}_{level}{between}_{before}"


def _conv_and_bn(part):
    return part.replace("norm.", "bn.") if part.startswith("norm.") else f"conv.{part}"


def renamed(name: str, rules: Rules) -> str:
    """A name by rules, one after the other."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
