"""Folders of labels in YOLO's and VOC's format, small enough to be written out."""

from pathlib import Path

from PIL import Image

from tests.support.tiny import photo

BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"


def yolo(root: Path, files: dict[str, str], data: str = "names: [cat, dog]\n") -> Path:
    """Pictures of 40 x 20 pixels, each with the text of its labels; none where that is None."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(data)
    for name, text in files.items():
        photo(root / name, (40, 20))
        if text is not None:
            front, images, back = f"/{name}".rpartition("/images/")
            label = Path(f"{root}{front}{images and '/labels/'}{back}").with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(text)
    return root


def xml(objects: str, filename: str = "x.jpg", size: tuple[int, int] | None = (40, 20)) -> str:
    """The text of a label file, an object a line from the fourth on."""
    wide, high = size or (0, 0)
    sides = f"<size><width>{wide}</width><height>{high}</height></size>" if size else ""
    return f"<annotation>\n<filename>{filename}</filename>\n{sides}\n{objects}</annotation>\n"


def one(name: str, *box: float, difficult: int = 0) -> str:
    """The text of an object."""
    hard = f"<difficult>{difficult}</difficult>"
    return f"<object><name>{name}</name>{hard}{BOX.format(*box)}</object>\n"


def voc(root: Path, texts: dict[str, str], pictures: tuple[str, ...] = ("x.jpg",)) -> Path:
    """`Annotations` of these texts and `JPEGImages` of 40 x 20 pixels."""
    for name, text in texts.items():
        path = root / "Annotations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in pictures:
        photo(root / "JPEGImages" / name, (40, 20))
    return root


def turned(path: Path) -> None:
    """Give a picture EXIF's tag that turns it by a quarter."""
    with Image.open(path) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.save(path, exif=exif)
