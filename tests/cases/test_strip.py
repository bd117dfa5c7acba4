"""What is stored shows the same pixels and says nothing else."""

import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from dermaloop.cases.strip import orientation_exif, strip
from dermaloop.core.image import decode
from dermaloop.core.image_header import exif_orientation
from dermaloop.core.synthetic import draw_lesion
from support.hostile import exif, heic, hostile_files, other_profile, save

LESION = draw_lesion(3, size_px=96)
GOOD = {name: content for name, (content, reason) in hostile_files().items() if reason is None}
SECRETS = (b"Secret Camera Maker", b"Jane Doe", b"a private remark", b"<x:xmpmeta", b"8BIM", b"thumbnail")


def pixels(content):
    return np.asarray(decode(content).image)


def jpeg(orientation=1, **more):
    return save(LESION, "JPEG", quality=88, exif=exif(orientation, gps=True), comment=b"a private remark",
                xmp=b"<x:xmpmeta/>", icc_profile=other_profile(), **more)  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_every_odd_file_that_decodes_keeps_its_pixels(name):
    stripped = strip(GOOD[name])
    assert np.array_equal(pixels(stripped.content), pixels(GOOD[name]))
    assert stripped.size == decode(GOOD[name]).full_size
    assert strip(stripped.content).content == stripped.content, "stripping twice changes nothing"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_metadata_goes_pixels_and_orientation_stay(kind, orientation):
    picture = draw_lesion(3, size_px=96).crop((0, 0, 96, 64))
    received = save(picture, kind, exif=exif(orientation, gps=True), **({"lossless": True} if kind == "WEBP" else {}))
    assert b"Secret Camera Maker" in received
    stripped = strip(received)
    assert not [secret for secret in SECRETS if secret in stripped.content]
    assert np.array_equal(pixels(stripped.content), pixels(received))
    assert stripped.size == ((64, 96) if orientation > 4 else (96, 64))
    with Image.open(io.BytesIO(stripped.content)) as opened:  # upright in other programs too
        tags = dict(opened.getexif())
        assert set(tags) <= {0x0112}
        assert tags.get(0x0112, 1) == (orientation if kind != "TIFF" else 1)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpeg_keeps_its_samples_byte_for_byte(progressive, subsampling):
    received = jpeg(6, progressive=progressive, subsampling=subsampling)
    plain = save(LESION, "JPEG", quality=88, progressive=progressive, subsampling=subsampling)
    stripped = strip(received).content
    scan = plain[plain.index(b"\xff\xda") :]
    assert stripped.endswith(scan)
    assert stripped.count(b"\xff\xda") == plain.count(b"\xff\xda") == (1 if not progressive else 10)
    assert len(stripped) < len(received)
    assert not [secret for secret in SECRETS if secret in stripped]
    assert np.array_equal(pixels(stripped), pixels(received))


def test_a_colour_profile_stays():
    received = jpeg()
    bare = save(LESION, "JPEG", quality=88)
    assert not np.array_equal(pixels(received), pixels(bare)), "the profile matters here"
    assert np.array_equal(pixels(strip(received).content), pixels(received))


def test_a_large_profile_is_cut_into_segments_again():
    profile = other_profile() + bytes(150_000)
    received = save(LESION, "JPEG", icc_profile=profile)
    with Image.open(io.BytesIO(strip(received).content)) as opened:
        assert opened.info["icc_profile"] == profile


def test_four_colours_keep_adobes_mark():
    received = save(LESION.convert("CMYK"), "JPEG", comment=b"a private remark")
    stripped = strip(received)
    assert stripped.format == "JPEG"
    assert b"Adobe" in stripped.content
    assert np.array_equal(pixels(stripped.content), pixels(received))


def test_what_hides_behind_the_end_or_between_scans_is_dropped():
    received = save(LESION, "JPEG", progressive=True)
    second = received.index(b"\xff\xc4", received.index(b"\xff\xda"))
    hidden = b"\xff\xfe\x00\x12a private remark" + b"\xff\xe1\x00\x0bthumbnail"
    hiding = received[:second] + hidden + received[second:] + b"PK\x03\x04 a private remark"
    assert np.array_equal(pixels(hiding), pixels(received))
    assert strip(hiding).content == strip(received).content


def test_sixteen_bits_stay_sixteen_bits():
    values = (np.arange(64 * 64, dtype=np.uint16) * 16).reshape(64, 64)
    stripped = strip(save(Image.fromarray(values), "PNG"))
    with Image.open(io.BytesIO(stripped.content)) as opened:
        assert np.array_equal(np.asarray(opened), values)


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "GIF"])
def test_other_formats_become_png(kind):
    received = save(LESION, kind)
    stripped = strip(received)
    assert stripped.format == "PNG"
    assert np.array_equal(pixels(stripped.content), pixels(received))


def test_heic_becomes_png_with_its_own_pixels():
    received = heic(LESION, exif=exif(6, gps=True))
    stripped = strip(received)
    assert stripped.format == "PNG"
    assert not [secret for secret in SECRETS if secret in stripped.content]
    assert np.array_equal(pixels(stripped.content), pixels(received))


def test_an_animation_is_stored_as_its_first_frame():
    frames = [LESION, draw_lesion(4, size_px=96)]
    received = save(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    stripped = strip(received)
    assert stripped.format == "PNG"
    assert np.array_equal(pixels(stripped.content), pixels(received))


def test_the_hashes_are_of_what_is_stored_and_of_what_came():
    import hashlib  # noqa: PLC0415

    received = jpeg()
    stripped = strip(received)
    assert stripped.sha256 == hashlib.sha256(stripped.content).hexdigest()
    assert stripped.received_sha256 == hashlib.sha256(received).hexdigest() != stripped.sha256


@given(st.integers(1, 8))
@example(1)
def test_the_written_orientation_reads_back(orientation):
    assert exif_orientation(orientation_exif(orientation)) == orientation


@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.data())
def test_damaged_files_are_stored_as_seen_or_refused(kind, data):
    """Whatever bytes come: refused by the decoder, or stored with the pixels that the decoder sees."""
    from dermaloop.core.errors import ImageError  # noqa: PLC0415

    content = bytearray(save(draw_lesion(5, size_px=48), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    received = bytes(content)
    try:
        expected = pixels(received)
    except ImageError:
        with pytest.raises(ImageError):
            strip(received)
        return
    assert np.array_equal(pixels(strip(received).content), expected)


@pytest.mark.real_data
def test_real_pictures_keep_their_pixels_and_lose_their_metadata(data_folder):
    paths = sorted((data_folder / "ham10000").rglob("*.jpg"))[::500][:12]
    assert paths
    for path in paths:
        received = path.read_bytes()
        stripped = strip(received)
        assert stripped.format == "JPEG"
        assert np.array_equal(pixels(stripped.content), pixels(received)), path.name
