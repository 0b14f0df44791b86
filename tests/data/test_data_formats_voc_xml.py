import time
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax.data.prepare.formats.points import Malformed
from maskrcnn_jax.data.prepare.formats.voc_xml import parse_xml, read_xml


def objects(*contents: str) -> str:
    return "<annotation>" + "".join(f"<object>{inside}</object>" for inside in contents) + "</annotation>"


def box(x0: object = 1, y0: object = 2, x1: object = 3, y1: object = 4) -> str:
    return f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"


def test_a_file_of_labelimg(tmp_path: Path):
    (tmp_path / "a.xml").write_text(
        "<annotation><filename> a b.jpg </filename><size><width>12</width><height>10</height><depth>3</depth></size>"
        f"<object><name>\n cat\t</name><pose>Unspecified</pose><truncated>0</truncated>{box()}</object></annotation>"
    )
    file = read_xml(tmp_path / "a.xml")
    assert file.file_name == "a b.jpg"
    assert file.sides == (10, 12)
    [cat] = file.objects
    assert (cat.class_name, cat.box, cat.polygon, cat.difficult) == ("cat", (0, 1, 3, 4), None, False)


def test_polygons_are_read_by_their_numbers(tmp_path: Path):
    corners = {10: (7, 8), 1: (1, 2), 2: (3, 4), 9: (5, 6)}
    inside = "".join(f"<y{n}>{y}</y{n}><x{n}>{x}</x{n}>" for n, (x, y) in corners.items())
    (tmp_path / "a.xml").write_text(objects(f"<name>cat</name><polygon>{inside}</polygon>"))
    [cat] = read_xml(tmp_path / "a.xml").objects
    np.testing.assert_array_equal(cat.polygon, [(1, 2), (3, 4), (5, 6), (7, 8)])
    assert cat.box == (1, 2, 7, 8)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("no XML", "is no XML that can be read"),
        ("<annotation><object>", "is no XML that can be read .no element found"),
        ("<annotations></annotations>", "its root is <annotations>, not <annotation>"),
        ("<" + "a" * 9999 + "/>", "its root is <aaa"),
        ("<annotation><size><width>wide</width></size></annotation>", "the image's width is 'wide'"),
        (objects(""), "object 0 has no name"),
        (objects(f"<name> </name>{box()}"), "object 0 has no name"),
        (objects(f"<name>cat</name>{box()}", "<name>dog</name>"), "object 1 .'dog'. has neither bndbox nor polygon"),
        (objects(f"<name>cat</name>{box('one')}"), "a side of its bndbox is 'one', no finite number"),
        (objects(f"<name>cat</name>{box('nan')}"), "a side of its bndbox is 'nan'"),
        (objects(f"<name>cat</name>{box('1e999')}"), "a side of its bndbox is '1e999'"),
        (objects(f"<name>cat</name>{box('1_0')}"), "a side of its bndbox is '1_0'"),
        (objects(f"<name>cat</name>{box('')}"), "a side of its bndbox is missing"),
        (objects(f"<name>cat</name>{box(5)}"), "its bndbox ends before it begins .5, 2, 3, 4."),
        (objects(f"<name>cat</name>{box()}<difficult>perhaps</difficult>"), "difficult is 'perhaps', neither 0 nor 1"),
        (objects(f"<name>cat</name>{box()}<polygon><a>1</a></polygon>"), "its polygon holds neither <pt> nor <x1>"),
        (objects("<name>cat</name><polygon><x1>1</x1></polygon>"), "a coordinate of its polygon is missing"),
        (objects("<name>cat</name><polygon><pt><x>1</x><y>b</y></pt></polygon>"), "a coordinate of its polygon is 'b'"),
        ("<a>" * 100_000, "has elements 51 deep"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", "unknown encoding|its text cannot be decoded"),
        ("<?xml version='1.0' encoding='gb2312'?><annotation/>", "its declared encoding is not read .*convert it"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, text: str, complaint: str):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(Malformed, match=complaint):
        read_xml(tmp_path / "a.xml")


ENTITIES = "<!ENTITY a0 'aaaaaaaaaa'>" + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))


@pytest.mark.parametrize(
    "doctype",
    [
        f"<!DOCTYPE annotation [{ENTITIES}]>",
        "<!DOCTYPE annotation [<!ENTITY a9 SYSTEM 'file:///etc/passwd'>]>",
        "<!DOCTYPE annotation SYSTEM 'http://example.org/a.dtd' [<!ENTITY a9 'x'>]>",
        "<!DOCTYPE annotation>",
    ],
)
def test_entities_are_never_expanded(doctype: str):
    """The first one's `&a9;` stands for ten thousand million letters."""
    start = time.perf_counter()
    with pytest.raises(Malformed, match="has a document type"):
        parse_xml(f"{doctype}<annotation><filename>&a9;</filename></annotation>".encode())
    assert time.perf_counter() - start < 5


def test_encodings():
    text = "<annotation><filename>größe</filename></annotation>"
    assert parse_xml(text.encode("utf-8-sig")).findtext("filename") == "größe"
    assert parse_xml(text.encode("utf-16")).findtext("filename") == "größe"
    declared = f'<?xml version="1.0" encoding="windows-1252"?>{text}'.encode("windows-1252")
    assert parse_xml(declared).findtext("filename") == "größe"
    with pytest.raises(Malformed, match=r"byte 24 is not UTF-8: convert it, such as with `iconv"):
        parse_xml(text.encode("windows-1252"))
