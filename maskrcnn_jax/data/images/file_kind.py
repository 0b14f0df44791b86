"""The kind of a file, by its first bytes."""

from typing import NamedTuple

CONVERT = "convert it to JPEG or PNG"
UNPACK = "unpack it and give the images in it"
EXTRACT = "extract its frames as images, for example with `ffmpeg -i VIDEO %06d.png`"


class FileKind(NamedTuple):
    """The kind of a file, with a remedy if it is no image that is decoded here."""

    name: str
    """With an article where it is no kind of image: "JPEG", "a ZIP archive"."""
    remedy: str = ""
    """The remedy; empty for the kinds of image that are decoded."""
    is_image: bool = True
    """Whether it is an image of any kind."""


JPEG, PNG, GIF, BMP, TIFF, WEBP = map(FileKind, ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP"))
JPEG_2000, AVIF, NETPBM, TGA = map(FileKind, ("JPEG 2000", "AVIF", "PBM, PGM or PPM", "TGA"))
HEIC = FileKind("HEIC", "convert it to JPEG, for example with `heif-convert FILE.heic FILE.jpg` of libheif")
EMPTY = FileKind("an empty file", "fetch it again", is_image=False)
ZEROS = FileKind("a file of zeros alone, as interrupted copies leave it", "copy it again", is_image=False)
WEB_PAGE = FileKind("a web page (HTML), as servers send it in place of a file", "fetch the image again", is_image=False)
SVG = FileKind("SVG", "convert it to PNG")
TEXT = FileKind("text", "give an image in its place, or remove it", is_image=False)
UNKNOWN = FileKind("this kind of file, which is unknown here,", CONVERT)
VIDEO = FileKind("a video", EXTRACT, is_image=False)

ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".jp2", ".j2k", ".avif", ".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".heic", ".heif", ".jxl"),
)
"""Endings of image files in lower case, including kinds that are not decoded, so that errors can name these."""

SIGNATURES: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"\xff\xd8\xff", JPEG),
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"GIF87a", GIF),
    (0, b"GIF89a", GIF),
    (0, b"II*\0", TIFF),
    (0, b"MM\0*", TIFF),
    (0, b"II+\0", TIFF),
    (0, b"MM\0+", TIFF),
    (8, b"WEBP", WEBP),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", JPEG_2000),
    (0, b"\xff\x4f\xff\x51", JPEG_2000),
    (0, b"\0\0\0\x0cJXL ", FileKind("JPEG XL", CONVERT)),
    (0, b"\xff\x0a", FileKind("JPEG XL", CONVERT)),
    (0, b"8BPS", FileKind("Photoshop", CONVERT)),
    (0, b"\0\0\1\0", FileKind("a Windows icon", CONVERT)),
    (0, b"v/1\x01", FileKind("OpenEXR", CONVERT)),
    (0, b"#?RADIANCE", FileKind("Radiance HDR", CONVERT)),
    (0, b"SIMPLE  =", FileKind("FITS", CONVERT)),
    (128, b"DICM", FileKind("DICOM", CONVERT)),
    (0, b"%PDF", FileKind("PDF", CONVERT)),
    (0, b"%!PS", FileKind("PostScript", CONVERT)),
    (0, b"PK\3\4", FileKind("a ZIP archive", UNPACK, is_image=False)),
    (0, b"\x1f\x8b", FileKind("a gzip file", UNPACK, is_image=False)),
    (0, b"7z\xbc\xaf\x27\x1c", FileKind("a 7z archive", UNPACK, is_image=False)),
    (0, b"Rar!\x1a\7", FileKind("a RAR archive", UNPACK, is_image=False)),
    (257, b"ustar", FileKind("a tar archive", UNPACK, is_image=False)),
    (0, b"\x93NUMPY", FileKind("a NumPy array", "write it as PNG", is_image=False)),
    (0, b"\x89HDF\r\n", FileKind("an HDF5 file", "write its arrays as PNG", is_image=False)),
    (8, b"AVI ", VIDEO),
    (0, b"\x1aE\xdf\xa3", VIDEO),
    (0, b"FLV\1", VIDEO),
    (0, b"\0\0\1\xba", VIDEO),
    (0, b"\0\0\1\xb3", VIDEO),
    (0, b"\0\5\x16\7", FileKind("a file of macOS that accompanies another one", "remove it", is_image=False)),
    (
        0,
        b"version https://git-lfs",
        FileKind("a pointer of Git LFS", "fetch the content with `git lfs pull`", is_image=False),
    ),
)
"""Where a kind's bytes stand, and what they are."""

BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
"""Sizes of a BMP's information header."""

HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
AVIF_BRANDS = {b"avif", b"avis"}


def file_kind(data: bytes) -> FileKind:
    """Determines the kind of a file.

    Args:
        data: The file; its first 512 bytes decide, for zeros and TGA, which has no signature, the others too.
    """
    if not data:
        return EMPTY
    for offset, signature, kind in SIGNATURES:
        if data.startswith(signature, offset):
            return kind
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in BMP_HEADERS:
        return BMP
    if data[:1] == b"P" and data[1:2] in b"123456fF" and data[2:3].isspace():
        return NETPBM
    if data[4:8] == b"ftyp":
        return media_kind(data)
    if is_tga(data):
        return TGA
    if not data.strip(b"\0"):
        return ZEROS
    return text_kind(data[:512])


def media_kind(data: bytes) -> FileKind:
    """Tells images from videos in an ISO media file, by the brands that it names."""
    length = min(int.from_bytes(data[:4], "big"), 512)
    brands = {data[8:12]} | {data[at : at + 4] for at in range(16, length, 4)}
    if brands & AVIF_BRANDS:
        return AVIF
    if brands & HEIF_BRANDS:
        return HEIC
    return FileKind("Canon's raw CR3", CONVERT) if b"crx " in brands else VIDEO


def text_kind(start: bytes) -> FileKind:
    """Tells kinds of text from each other."""
    try:
        text = start.decode("utf-8-sig", errors="strict" if len(start) < 512 else "ignore").strip().lower()
    except UnicodeDecodeError:
        return UNKNOWN
    if not text or not all(character.isprintable() or character.isspace() for character in text):
        return UNKNOWN
    if "<svg" in text:
        return SVG
    return WEB_PAGE if text.startswith(("<!doctype html", "<html", "<head")) or "<html" in text else TEXT


def is_tga(data: bytes) -> bool:
    """Whether a file is TGA: by its signature at the end, or as its header is possible and all its pixels are there."""
    if data.endswith(b"TRUEVISION-XFILE.\0"):
        return True
    if len(data) < 18 or data[1] > 1 or data[2] not in (1, 2, 3) or data[16] not in (8, 16, 24, 32):
        return False
    width, height = int.from_bytes(data[12:14], "little"), int.from_bytes(data[14:16], "little")
    return 0 < width * height * (data[16] // 8) <= len(data) - 18 - data[0]
