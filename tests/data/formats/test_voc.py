"""VOC: pictures, boxes and sizes as they are meant, or a line with file and line."""

import pytest

from p2s.data.formats.voc import lines, read
from tests.support.labels import one, turned, voc, xml
from tests.support.tiny import photo

CAT, DOG = one("cat", 1, 2, 11, 12), one("dog", 5, 5, 40, 20, difficult=1)


def test_pixels_are_counted_from_1_and_difficult_ones_are_crowds(tmp_path):
    root = voc(tmp_path, {"x.xml": xml(CAT + DOG)})
    classes, parts = read(root)
    [picture] = parts["all"]
    assert classes == ["cat", "dog"] and picture.picture == root / "JPEGImages/x.jpg"
    assert picture.objects == [
        {"category": "cat", "bbox": [0, 1, 11, 11], "iscrowd": 0},
        {"category": "dog", "bbox": [4, 4, 36, 16], "iscrowd": 1},
    ]


@pytest.mark.parametrize(
    "told, file",
    [
        ("x.jpg", "x.jpg"),
        ("x", "x.jpg"),  # no ending
        ("x.jpeg", "x.jpg"),  # another one
        ("C:\\photos\\x.jpg", "x.jpg"),
        ("before.jpg", "x.png"),  # renamed, with its label file
        ("other.jpg", "other.jpg"),
    ],
)
def test_the_picture_is_a_file_that_is_there(tmp_path, told, file):
    root = voc(tmp_path, {"x.xml": xml(CAT, filename=told)}, (file, "y.jpg"))
    assert read(root).labelled["all"][0].picture == root / "JPEGImages" / file


def test_a_picture_that_is_nowhere_is_told(tmp_path):
    root = voc(tmp_path, {"a.xml": xml(CAT, filename="b.jpg")})
    with pytest.raises(ValueError) as error:
        read(root)
    told = f"{root / 'Annotations/a.xml'}: filename b.jpg: no such picture, nor a.*, in "
    assert str(error.value).startswith(told)


def test_parts_are_the_lists_where_there_are_any(tmp_path):
    names = ("a", "b", "c")
    texts = {f"{name}.xml": xml(CAT, filename=f"{name}.jpg") for name in names}
    root = voc(tmp_path, texts, tuple(f"{name}.jpg" for name in names))
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nc\n")
    (lists / "val.txt").write_text("b\n")
    (lists / "cat_train.txt").write_text("a 1\n")
    found = read(root).labelled
    stems = {part: [each.picture.stem for each in found[part]] for part in found}
    assert stems == {"train": ["a", "c"], "val": ["b"]}
    (lists / "val.txt").write_text("b\nd\n")
    with pytest.raises(ValueError, match="Annotations/d.xml: is not there, but val.txt of Image"):
        read(root)
    (lists / "val.txt").write_bytes(b"b\xff")
    with pytest.raises(ValueError, match="ImageSets/Main/val.txt: not UTF-8, at byte 1"):
        read(root)


@pytest.mark.parametrize("state", ["", " 1", " -1", "  0", "\t1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", " \n\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_list_names_files_with_or_without_a_second_column(tmp_path, state, end, mark):
    names = ("my cat", "a", "a 1", "cat 2", "b\u2028c")
    texts = {f"{name}.xml": xml(CAT, filename=f"{name}.jpg") for name in names}
    root = voc(tmp_path, texts, tuple(f"{name}.jpg" for name in names))
    given = [name for name in names if name != "a" or not state.endswith(" 1")]
    text = mark + "".join(f"{name}{state}{end}" for name in given)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "val.txt").write_text(text, newline="")
    found = read(root).labelled["val"]
    assert [each.picture.stem for each in found] == given


def test_labels_may_lie_beside_their_pictures(tmp_path):
    for part in ("train", "valid"):
        photo(tmp_path / part / "x.jpg", (40, 20))
        (tmp_path / part / "x.xml").write_text(xml(CAT))
    found = read(tmp_path).labelled
    assert {part: each.picture for part, [each] in found.items()} == {
        part: tmp_path / part / "x.jpg" for part in ("train", "valid")
    }


def test_each_label_file_keeps_its_own_objects(tmp_path):
    """hotcoco reads files in an order of its own."""
    names = ("x1", "x", "B", "x-1", "b", "x_1", "é")
    texts = {f"{name}.xml": xml(one(name, 1, 2, 11, 12), f"{name}.jpg") for name in names}
    root = voc(tmp_path, texts, tuple(f"{name}.jpg" for name in names))
    found = read(root).labelled["all"]
    assert len(found) == len(names)
    assert all(each.objects[0]["category"] == each.picture.stem for each in found)


@pytest.mark.parametrize(
    "objects, told",
    [
        (CAT.replace("<name>cat</name>", ""), "line 5: <object> has a missing or empty <name>"),
        (CAT.replace(">11<", ">aa<"), "line 5: invalid bbox coordinate: aa"),
        (CAT.replace(">11<", ">0<"), "line 5: <object> `cat`: inverted <bndbox>"),
        ("<object><name>cat</name></object>\n", "line 5: <object> `cat` has no <bndbox>"),
        (CAT.replace(">cat<", ">c&amp;t<"), "line 5: an & in a name is not read"),
        (CAT.replace(">cat<", "><![CDATA[c&t]]><"), "line 5: an & in a name is not read"),
        (CAT[:-3], "line 5: ill-formed document: expected `</object>`"),
    ],
)
def test_a_wrong_line_is_told_with_file_and_line(tmp_path, objects, told):
    root = voc(tmp_path, {"w.xml": xml(CAT), "x.xml": xml(DOG + objects)})
    with pytest.raises(ValueError) as error:
        read(root)
    assert str(error.value).startswith(f"{root / 'Annotations/x.xml'}: {told}")


@pytest.mark.parametrize("name", ["GBK", "gb18030", "utf-8", "utf-8-sig", "UTF-16", "Shift_JIS"])
@pytest.mark.parametrize("is_declared", [True, False])
def test_a_label_file_is_read_in_its_own_encoding_or_refused(tmp_path, name, is_declared):
    declared = f"<?xml version='1.0' encoding='{name}'?>\n" * is_declared
    root = voc(tmp_path, {"x.xml": ""})
    label = root / "Annotations" / "x.xml"
    label.write_bytes((declared + xml(one("猫狗", 1, 2, 11, 12) + DOG)).encode(name))
    if is_declared or name[:3].lower() == "utf":
        assert read(root).classes == ["dog", "猫狗"]
        assert lines(label) == [4 + is_declared, 5 + is_declared]
    else:
        with pytest.raises(ValueError, match=f"^{label}: line 1: encoding 'UTF-8': not the file's"):
            read(root)


@pytest.mark.parametrize("name", ["klingon", "hex", "undefined", "utf-16", ""])
def test_an_encoding_that_is_not_the_files_is_a_line(tmp_path, name):
    text = f"<?xml version='1.0' encoding='{name}'?>\n{xml(CAT)}"
    with pytest.raises(ValueError, match=f"x.xml: line 1: encoding '{name}': .*; save it as UTF-8"):
        read(voc(tmp_path, {"x.xml": text}))


def test_what_is_said_otherwise_in_xml_is_read_and_lines_stay(tmp_path):
    odd = CAT.replace("cat", "\n<![CDATA[cat's]]>\n")
    text = (
        xml(odd + DOG, "<![CDATA[x.jpg]]>").replace(">40<", "> 40.0\n<").replace(">20<", ">20.<", 1)
    )
    root = voc(tmp_path, {"x.xml": text})
    assert read(root).classes == ["cat's", "dog"]
    assert lines(root / "Annotations/x.xml") == [5, 8]
    voc(tmp_path, {"x.xml": text.replace(">5<", ">five<", 1)})
    with pytest.raises(ValueError, match="x.xml: line 8: invalid bbox coordinate: five"):
        read(root)
    voc(tmp_path, {"x.xml": text.replace("20.<", "20.5<")})
    with pytest.raises(ValueError, match="x.xml: line 4: invalid height: 20.5"):
        read(root)


def test_the_size_is_the_pictures_own(tmp_path):
    root = voc(tmp_path, {"x.xml": xml(CAT, size=None)})
    assert read(root).labelled["all"][0].size == (40, 20)
    voc(tmp_path, {"x.xml": xml(CAT, size=(50, 20))})
    with pytest.raises(ValueError, match="x.xml: line 3: size 50 x 20, but x.jpg is 40 x 20 as"):
        read(root)
    voc(tmp_path, {"x.xml": xml(CAT)})
    turned(root / "JPEGImages/x.jpg")
    with pytest.raises(ValueError, match="is 20 x 40 as it is seen: width and height are swapped"):
        read(root)


def test_a_folder_of_something_else_is_told(tmp_path):
    with pytest.raises(ValueError, match="no XML files; valid: Annotations with JPEGImages"):
        read(tmp_path)


def test_lines_are_those_where_objects_begin(tmp_path):
    (tmp_path / "a.xml").write_text(xml(CAT + "\n" + DOG))
    assert lines(tmp_path / "a.xml") == [4, 6]
