"""Settings: those of the training that a folder holds, kept to say in what others differ.

`settings.json` holds what a training's identity is the hash of, see `p2s.spec.identity`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p2s.files import WEIGHTS, read_json, write_atomic
from p2s.train.folder import KEPT

FILE = "settings.json"
TOLD = 5  # differences, the others are counted


def keep(output: Path, settings: dict[str, Any]) -> None:
    """Write settings beside the state or the model that they are of."""
    write_atomic(output / FILE, text(settings).encode())


def text(settings: dict[str, Any]) -> str:
    """What the file of these settings holds."""
    return json.dumps(settings, indent=1)


def refuse_other(output: Path, settings: dict[str, Any]) -> None:
    """ValueError, with both values of each setting, unless those kept in a folder are the same.

    Nothing is compared where none are kept: an older folder is refused by its identity alone.
    """
    holds = any((output / name).exists() for name in ("state.pt", WEIGHTS))
    if holds and (lines := list(differences(_kept(output / FILE), settings))):
        told = ", ".join(lines[:TOLD]) + f" and {len(lines) - TOLD} more" * (len(lines) > TOLD)
        raise ValueError(f"{output} holds another training: {told}; {KEPT}")


def differences(kept: Any, asked: Any, name: str = "") -> Iterator[str]:
    """In what kept settings are not as asked for: a field and both values each."""
    if isinstance(kept, dict) and isinstance(asked, dict):
        for key in dict.fromkeys((*kept, *asked)):
            inner = key if name in ("", "spec") else f"{name}.{key}"
            yield from differences(kept.get(key), asked.get(key), inner)
    elif name == "data" and kept != asked:
        yield "another file to train on there"
    elif name and kept != asked:
        yield f"{name} is {kept} there and {asked} here"


def _kept(path):
    try:
        return read_json(path, dict[str, Any])
    except (OSError, ValueError):  # damaged: the identity decides
        return None
