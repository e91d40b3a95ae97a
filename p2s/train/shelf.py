"""Shelf: trained and imported models, each a folder, the released ones also by their names."""

from pathlib import Path

from p2s.data.catalogue import chosen, model_folder, read_catalogue


def folder_of(model: str | Path) -> Path:
    """The folder of a model: its path, or where a released one of this name is, here or above.

    A name is that of `p2s fetch`, or the detector's that stands there. ValueError says how to get
    one that is not there yet, and lists the names.
    """
    if str(model) and Path(model).is_dir():
        return Path(model)
    sources = read_catalogue()
    sources = {name: source for name, source in sources.items() if source.detector}
    try:
        [(name, source)] = chosen(sources, [str(model)]).items()
    except ValueError as error:
        raise ValueError(f"{model}: no folder, and no name of a model: {error}") from None
    here = Path.cwd()
    folders = [model_folder(root, name) for root in (here, *here.parents)]
    for folder in folders:
        if (folder / "model.safetensors").exists():
            return folder
    raise ValueError(f"{folders[0]} is not there yet: `p2s fetch {name}`")
