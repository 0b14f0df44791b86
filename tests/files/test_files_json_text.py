"""JSON of any encoding is read; what is none is called by its name."""

import gzip
import io
import json
import zipfile

import pytest

from maskrcnn_jax.files.json_text import JsonError, parse_json

CONTENT = {"images": [1, 2.5, None, True], "name": "日本 ä \U0001f600"}
TEXT = json.dumps(CONTENT, ensure_ascii=False)


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
def test_every_unicode_encoding_is_read(encoding: str):
    assert parse_json(TEXT.encode(encoding)) == CONTENT


def test_spaces_around_are_allowed():
    assert parse_json(b"\r\n\t [1]\n\n") == [1]


def test_an_encoding_of_a_country_is_named_with_how_to_convert_it():
    with pytest.raises(JsonError, match=r"not UTF-8 \(byte \d+ is 0x[0-9a-f]{2}\); convert it, .*iconv -f gb18030"):
        parse_json(TEXT.encode("gb18030"))
    with pytest.raises(JsonError, match=r"^its text is not UTF-8 \(byte 2 is 0xe4\)"):
        parse_json('["ä"]'.encode("latin-1"))


def test_an_archive_and_a_compressed_file_are_named():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.json", "{}")
    with pytest.raises(JsonError, match=r"^a ZIP archive, not JSON; unpack it"):
        parse_json(archive.getvalue())
    with pytest.raises(JsonError, match=r"^compressed with gzip, not JSON; unpack it"):
        parse_json(gzip.compress(b"{}"))


@pytest.mark.parametrize("data", [b"", b" \n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00" * 8, b" \x00\n"])
def test_nothing_is_said_to_be_empty(data: bytes):
    with pytest.raises(JsonError, match=rf"^is empty \({len(data)} bytes, no text\); export or fetch the file again"):
        parse_json(data)


@pytest.mark.parametrize("lines", ['{"a": 1}\n{"a": 2}\n', '{"a": 1}\r\n\r\n{"a": 2}', "[1]\n[2]\n[3]"])
def test_json_lines_are_named(lines: str):
    with pytest.raises(JsonError, match=r"^JSON Lines, one document per line, not one JSON document"):
        parse_json(lines.encode())


@pytest.mark.parametrize("text", ['{"a": 1} x', "[1]]", "1\n2", '{"a": 1}\n{"a": '])
def test_other_text_behind_a_document_is_no_json_lines(text: str):
    with pytest.raises(JsonError, match=r"^not valid JSON \(Extra data: line \d column \d"):
        parse_json(text.encode())


@pytest.mark.parametrize("depth", [2_000, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_refused(depth: int, opening: str, closing: str):
    for text in (opening * depth + "1" + closing * depth, opening * depth, "[1]\n" + opening * depth):
        with pytest.raises(JsonError, match=r"nested too deeply|not valid JSON"):
            parse_json(text.encode())


def test_what_is_nested_no_deeper_than_formats_need_is_read():
    assert parse_json(b"[" * 50 + b"]" * 50) is not None


@pytest.mark.parametrize(
    "data", [b"{", b"[1,]", b"<html></html>", b'{"a" 1}', b"nul", b'"\x01"', b"[" + b"9" * 5000 + b"]", b"\x89PNG\r\n"]
)
def test_other_content_is_refused(data: bytes):
    with pytest.raises(JsonError):
        parse_json(data)
