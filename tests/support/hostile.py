"""Hostile and odd files, built in code: each with the reason it must be refused for, or None where it must decode.

One table for every edge: the command, the page and the API must give the same reasons.
"""

from __future__ import annotations

import functools
import io
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from dermaloop.core.synthetic import draw_lesion

SIDE_PX = 96


def hostile_files() -> dict[str, tuple[bytes, str | None]]:
    """File name to (bytes, reason of `core.image.REASONS`, or None where the file is odd but must decode)."""
    return dict(_files())


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture in a format."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def heic(image: Image.Image, **options: Any) -> bytes:
    """The bytes of a picture as HEIC, without registering anything in Pillow."""
    import pillow_heif  # noqa: PLC0415 - large, and only these tests need it

    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, quality=90, **options)
    return stream.getvalue()


def exif(orientation: int = 1, *, gps: bool = False) -> bytes:
    """An EXIF block as cameras write it."""
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "Secret Camera Maker"
    block[0x013B] = "Jane Doe"
    if gps:
        block.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 30.0), 3: "E", 4: (16.0, 22.0, 0.0)})
    return block.tobytes()


def other_profile() -> bytes:
    """A colour profile that is plainly not sRGB (red and green exchanged), made by exchanging its colorant tags."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, 128)
    tags = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width: int, height: int, data: bytes, *, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG that claims a size, whatever its data hold."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def lying_jpeg(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header claims another size."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def tiff_with(tags: dict[int, tuple[int, int, int]], body: bytes = bytes(64)) -> bytes:
    """A little-endian TIFF of one directory; `tags` maps a tag to (type, count, value or offset)."""
    entries = b"".join(
        struct.pack("<HHI", tag, kind, count)
        + (struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value))
        for tag, (kind, count, value) in sorted(tags.items())
    )
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4) + body


@functools.cache
def _files() -> dict[str, tuple[bytes, str | None]]:
    return {**_odd_but_good(), **_refused_kinds(), **_broken(), **_bombs()}


def _odd_but_good() -> dict[str, tuple[bytes, str | None]]:
    lesion = draw_lesion(1, size_px=SIDE_PX)
    alpha = lesion.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(lesion.size))
    grey16 = Image.fromarray((np.asarray(lesion.convert("L"), np.uint32) * 257).astype(np.uint16))
    jpeg = save(lesion, "JPEG", quality=90)
    second = draw_lesion(2, size_px=SIDE_PX)
    return {
        "plain.jpg": (jpeg, None),
        "picture-named.txt": (jpeg, None),
        "no-name": (jpeg, None),
        "../../name with spaces and\nnewline.jpg": (jpeg, None),
        "grey.jpg": (save(lesion.convert("L"), "JPEG"), None),
        "progressive.jpg": (save(lesion, "JPEG", progressive=True), None),
        "cmyk.jpg": (save(lesion.convert("CMYK"), "JPEG", quality=95), None),
        "rotated.jpg": (save(lesion, "JPEG", exif=exif(6, gps=True)), None),
        "bad-orientation.jpg": (save(lesion, "JPEG", exif=exif(99)), None),
        "broken-exif.jpg": (save(lesion, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"), None),
        "profile.jpg": (save(lesion, "JPEG", icc_profile=other_profile()), None),
        "broken-profile.jpg": (save(lesion, "JPEG", icc_profile=b"not a profile at all" * 20), None),
        "trailing-bytes.jpg": (jpeg + b"<?php echo 'polyglot'; ?>" * 10, None),
        "comment-bomb.jpg": (jpeg[:2] + (b"\xff\xfe\xff\xff" + b"A" * 65533) * 40 + jpeg[2:], None),
        "alpha.png": (save(alpha, "PNG"), None),
        "palette.png": (save(lesion.quantize(32), "PNG"), None),
        "palette-transparent.png": (save(lesion.quantize(32), "PNG", transparency=bytes(range(32))), None),
        "grey16.png": (save(grey16, "PNG"), None),
        "one-bit.png": (save(lesion.convert("1"), "PNG"), None),
        "animated.png": (save(lesion, "PNG", save_all=True, append_images=[second]), None),
        "text-bomb.png": (
            _png_with(lesion, [png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000)))]),
            None,
        ),
        "animated.gif": (save(lesion, "GIF", save_all=True, append_images=[second]), None),
        "lossy.webp": (save(lesion, "WEBP", quality=90), None),
        "lossless.webp": (save(alpha, "WEBP", lossless=True), None),
        "animated.webp": (save(lesion, "WEBP", save_all=True, append_images=[second]), None),
        "plain.tif": (save(lesion, "TIFF"), None),
        "deflate.tif": (save(lesion, "TIFF", compression="tiff_adobe_deflate"), None),
        "jpeg-inside.tif": (save(lesion, "TIFF", compression="jpeg"), None),
        "pages.tif": (save(lesion, "TIFF", save_all=True, append_images=[second]), None),
        "cmyk.tif": (save(lesion.convert("CMYK"), "TIFF"), None),
        "grey16.tif": (save(grey16, "TIFF"), None),
        "plain.bmp": (save(lesion, "BMP"), None),
        "palette.bmp": (save(lesion.quantize(200), "BMP"), None),
        "phone.heic": (heic(lesion), None),
        "panorama.jpg": (save(lesion.resize((2000, 40)), "JPEG"), None),
    }


def _png_with(image: Image.Image, chunks: list[bytes]) -> bytes:
    plain = save(image, "PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def _refused_kinds() -> dict[str, tuple[bytes, str | None]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("lesion.jpg", b"not really")
    return {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"This is not a picture.\n" * 20, "not_an_image"),
        "zeros.png": (bytes(4096), "not_an_image"),
        "one-byte.jpg": (b"\xff", "not_an_image"),
        "program.jpg": (b"\x7fELF\x02\x01\x01" + bytes(500), "not_an_image"),
        "windows-program.png": (b"MZ\x90\0" + bytes(500), "not_an_image"),
        "table.jpg": (b"image,diagnosis\nISIC_0000001,MEL\n", "not_an_image"),
        "report.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "pdf"),
        "scan.jpg.dcm": (bytes(128) + b"DICM" + bytes(200), "dicom"),
        "page.jpg": (b"\n <!DOCTYPE html><html><body><img src='x'></body></html>", "html"),
        "drawing.svg": (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
        "pictures.zip": (archive.getvalue(), "zip"),
        "pictures.tar.gz": (b"\x1f\x8b\x08\0" + bytes(100), "archive"),
        "pictures.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(100), "archive"),
        "pictures.tar": (bytes(257) + b"ustar\0" + bytes(300), "archive"),
        "film.mp4": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100), "video"),
        "film.mov": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(100), "video"),
        "film.webm": (b"\x1aE\xdf\xa3" + bytes(100), "video"),
        "film.avi": (b"RIFF\0\0\0\0AVI LIST" + bytes(100), "video"),
        "sound.wav": (b"RIFF\0\0\0\0WAVEfmt " + bytes(100), "not_an_image"),
        "new.avif": (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(100), "unsupported_format"),
        "picture.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), "unsupported_format"),
        "picture.jxl": (b"\xff\x0a" + bytes(100), "unsupported_format"),
        "layers.psd": (b"8BPS\0\x01" + bytes(100), "unsupported_format"),
        "icon.ico": (b"\0\0\x01\0\x01\0" + bytes(100), "unsupported_format"),
        "picture.ppm": (b"P6\n96 96\n255\n" + bytes(96 * 96 * 3), "unsupported_format"),
        "print.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "unsupported_format"),
        "raw.dng": (tiff_with({256: (4, 1, 64), 257: (4, 1, 64), 50706: (1, 4, 0x0401)}), "unsupported_format"),
        "raw.cr2": (b"II*\0\x10\0\0\0CR\x02\0" + bytes(4) + bytes(300), "unsupported_format"),
        "big.tif": (b"II+\0\x08\0\0\0" + bytes(100), "unsupported_format"),
    }


def _broken() -> dict[str, tuple[bytes, str | None]]:
    lesion = draw_lesion(3, size_px=SIDE_PX)
    jpeg, png = save(lesion, "JPEG", quality=90), save(lesion, "PNG")
    webp, tiff, bmp = save(lesion, "WEBP"), save(lesion, "TIFF"), save(lesion, "BMP")
    gif, phone = save(lesion, "GIF"), heic(lesion)
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0x10
    wide = tiff_with(
        {256: (4, 1, 64), 257: (4, 1, 64), 258: (3, 1, 8), 262: (3, 1, 1), 273: (4, 1, 1 << 30), 279: (4, 1, 4096)}
    )
    return {
        "half.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "header-only.jpg": (jpeg[:40], "truncated"),
        "three-bytes.jpg": (b"\xff\xd8\xff", "truncated"),
        "no-end.jpg": (jpeg[:-2], "truncated"),
        "lying-size.jpg": (lying_jpeg(jpeg, 4000, 4000), "truncated"),
        "no-frame.jpg": (b"\xff\xd8\xff\xda\0\x02" + bytes(50) + b"\xff\xd9", "corrupt"),
        "half.png": (png[: len(png) // 2], "truncated"),
        "signature-only.png": (png[:8], "truncated"),
        "flipped-bit.png": (bytes(flipped), "corrupt"),
        "lying-size.png": (png_of(2000, 2000, zlib.compress(bytes(300))), "truncated"),
        "wrong-type.png": (png_of(64, 64, zlib.compress(bytes(64 * 65)), colour=5), "corrupt"),
        "not-deflate.png": (png_of(64, 64, b"these bytes were never deflated" * 10), "corrupt"),
        "half.webp": (webp[: len(webp) // 2], "truncated"),
        "damaged.webp": (webp[:23] + bytes(3) + webp[26:], "corrupt"),
        "half.tif": (tiff[: len(tiff) // 2], "truncated"),
        "strip-outside.tif": (wide, "truncated"),
        "half.bmp": (bmp[: len(bmp) // 2], "truncated"),
        "header-only.gif": (gif[:13], "truncated"),
        "half.heic": (phone[: len(phone) // 2], "truncated"),
        "tiny.png": (save(lesion.resize((16, 16)), "PNG"), "too_small"),
        "line.png": (save(lesion.resize((900, 3)), "PNG"), "too_small"),
        "no-width.bmp": (bmp[:18] + bytes(4) + bmp[22:], "too_small"),
        "float.tif": (save(lesion.convert("F"), "TIFF"), "corrupt"),
    }


def _bombs() -> dict[str, tuple[bytes, str | None]]:
    """Small files that claim enormous pictures."""
    rows = zlib.compress(bytes(1 << 20), 9)
    jpeg = save(draw_lesion(4, size_px=SIDE_PX), "JPEG")
    vp8x = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16382).to_bytes(3, "little") * 2
    vp8x += b"VP8L" + struct.pack("<I", 8) + b"\x2f" + bytes(7)
    gif_frame = b"GIF89a" + struct.pack("<HHBBB", 64, 64, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)
    bmp = b"BM" + struct.pack("<IHHI", 200, 0, 0, 54) + struct.pack("<IiiHHI", 40, 60000, -60000, 1, 24, 0)
    huge = {256: (4, 1, 100_000), 257: (4, 1, 100_000), 258: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8), 279: (4, 1, 8)}
    tile = {256: (4, 1, 64), 257: (4, 1, 64), 258: (3, 1, 8), 262: (3, 1, 1), 322: (4, 1, 60_000), 323: (4, 1, 60_000),
            324: (4, 1, 8), 325: (4, 1, 8)}  # fmt: skip
    return {
        "bomb.png": (png_of(50_000, 50_000, rows), "too_many_pixels"),
        "bomb-one-bit.png": (png_of(2_000_000, 2_000_000, rows, depth=1, colour=0), "too_many_pixels"),
        "bomb.jpg": (lying_jpeg(jpeg, 65_500, 65_500), "too_many_pixels"),
        "bomb.webp": (b"RIFF" + struct.pack("<I", 4 + len(vp8x)) + b"WEBP" + vp8x, "too_many_pixels"),
        "bomb.gif": (gif_frame + b"\x08\x01\x00\x00;", "too_many_pixels"),
        "bomb.bmp": (bmp + bytes(200), "too_many_pixels"),
        "bomb.tif": (tiff_with(huge), "too_many_pixels"),
        "tile-bomb.tif": (tiff_with(tile), "corrupt"),
    }
