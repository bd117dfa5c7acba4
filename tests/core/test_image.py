"""Safe decoding: every odd or hostile file gives a picture or a named reason, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile

from dermaloop.core.errors import ImageError
from dermaloop.core.image import REASONS, Decoded, Limits, decode, read_bytes
from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.core.synthetic import draw_lesion
from support.hostile import exif, heic, hostile_files, lying_jpeg, other_profile, png_of, save

FILES = hostile_files()
GOOD = {name: content for name, (content, reason) in FILES.items() if reason is None}
BAD = {name: (content, reason) for name, (content, reason) in FILES.items() if reason is not None}
BOMBS = {name: value for name, value in BAD.items() if "bomb" in name}
LESION = draw_lesion(1, size_px=96)
SIDE_PX = LESION.width


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(pixels(one) - pixels(other)).mean())


@pytest.mark.parametrize("name", GOOD)
def test_an_odd_but_good_file_becomes_a_plain_rgb_picture(name):
    decoded = decode(GOOD[name], name=name)
    assert type(decoded.image) is Image.Image
    assert decoded.image.mode == "RGB"
    assert decoded.image.info == {}
    assert not decoded.image.getexif()
    assert decoded.image.size == decoded.full_size
    assert pixels(decoded.image).std() > 5, "a picture came out, not a blank"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_for_its_reason(name):
    content, reason = BAD[name]
    with pytest.raises(ImageError) as caught:
        decode(content, name=name)
    assert caught.value.reason == reason
    assert caught.value.where == name
    assert caught.value.way_out
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value).removeprefix(name)


def test_the_table_of_hostile_files_is_large_and_covers_the_reasons():
    assert len(FILES) >= 45
    of_files = {"missing_file", "unreadable_file", "too_large_bytes"}  # shown by the tests of read_bytes and of limits
    assert {reason for _, reason in BAD.values()} == set(REASONS) - of_files


def test_reasons_are_sentences():
    for text in REASONS.values():
        assert text[0].isupper()
        assert text.endswith(".")
        assert text.count(". ") >= 1, "what is wrong, and the way out"


def test_the_name_never_decides_the_format():
    content = GOOD["plain.jpg"]
    for name in ("x.png", "x.dcm", "x", "", "x.heic"):
        decoded = decode(content, name=name)
        assert decoded.format == "JPEG"
        assert difference(decoded.image, LESION) < 3


@pytest.mark.parametrize("name", [name for name in GOOD if name != "panorama.jpg"])
def test_what_is_decoded_looks_like_what_was_drawn(name):
    decoded = decode(GOOD[name], name=name)
    if name == "rotated.jpg":
        expected = LESION.transpose(Image.Transpose.ROTATE_270)
    elif name == "one-bit.png":
        expected = LESION.convert("1").convert("RGB")
    elif "grey" in name:
        expected = LESION.convert("L").convert("RGB")
    elif "transparent" in name or name == "profile.jpg":
        return  # these are meant to differ; tests of their own look at them
    elif name in ("alpha.png", "lossless.webp"):
        alpha = pixels(Image.linear_gradient("L").resize(LESION.size))[..., None] / 255
        expected = Image.fromarray((pixels(LESION) * alpha + 255 * (1 - alpha)).astype(np.uint8))
    else:
        expected = LESION
    assert difference(decoded.image, expected) < 9, "near enough for palettes and CMYK"


def test_of_an_animation_or_of_pages_the_first_is_taken():
    second = draw_lesion(2, size_px=SIDE_PX)
    for name in ("animated.gif", "animated.png", "animated.webp", "pages.tif"):
        decoded = decode(GOOD[name], name=name)
        assert difference(decoded.image, LESION) < difference(decoded.image, second) / 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_come_out_upright(kind, orientation):
    upright = Image.fromarray(
        np.repeat(np.repeat(np.arange(12, dtype=np.uint8).reshape(4, 3), 20, 0), 20, 1) * 20
    ).convert("RGB")
    how = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes each orientation's own
    stored = upright.transpose(Image.Transpose(how[orientation])) if orientation > 1 else upright
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    decoded = decode(save(stored, kind, exif=exif(orientation), **options))
    assert decoded.full_size == upright.size
    assert difference(decoded.image, upright) < 1.5


def test_a_phone_picture_is_rotated_once():
    wide = LESION.resize((120, 80))
    decoded = decode(heic(wide, exif=exif(6)))
    assert decoded.format == "HEIF"
    assert decoded.full_size == decoded.image.size == (80, 120)
    assert difference(decoded.image, wide.transpose(Image.Transpose.ROTATE_270)) < 4
    assert decoded.image.info == {}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_metadata_never_leaves(kind, tmp_path):
    content = heic(LESION, exif=exif(1, gps=True)) if kind == "HEIF" else save(LESION, kind, exif=exif(1, gps=True))
    assert b"Jane Doe" in content, "the test's own file holds a name"
    decoded = decode(content)
    for extension in ("jpg", "png", "tif", "webp"):
        path = tmp_path / f"again.{extension}"
        decoded.image.save(path)
        with Image.open(path) as again:
            assert not {"exif", "icc_profile", "xmp", "comment", "photoshop"} & set(again.info)
        for secret in (b"Jane Doe", b"Secret Camera", b"Exif", b"GPS"):
            assert secret not in path.read_bytes()


def test_the_colour_profile_is_applied():
    plain = decode(save(LESION, "PNG")).image
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        converted = decode(save(LESION, kind, icc_profile=other_profile(), **options)).image
        assert difference(converted, plain) > 10
        red, green = pixels(converted)[..., 0].mean(), pixels(converted)[..., 1].mean()
        assert red < green, "the profile exchanges red and green, and skin is red"


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert difference(decode(save(LESION, "PNG", icc_profile=profile)).image, LESION) == 0


def test_a_grey_picture_with_a_colour_profile_is_taken_as_it_is():
    content = save(LESION.convert("L"), "PNG", icc_profile=other_profile())
    assert difference(decode(content).image, LESION.convert("L").convert("RGB")) == 0


def test_transparent_pixels_lie_on_white_and_hide_their_colour():
    hidden = np.zeros((64, 64, 4), np.uint8)
    hidden[:, :, 0] = np.arange(64, dtype=np.uint8)[None] * 4
    hidden[32:, :, 3] = 255
    decoded = pixels(decode(save(Image.fromarray(hidden), "PNG")).image)
    assert (decoded[:32] == 255).all()
    assert (decoded[32:] == hidden[32:, :, :3]).all()


def test_sixteen_bits_become_the_upper_eight():
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    for kind in ("PNG", "TIFF"):
        decoded = pixels(decode(save(Image.fromarray(values), kind)).image)
        assert (decoded == (values >> 8)[..., None]).all()


def big_jpeg(width: int, height: int, **options: object) -> bytes:
    drawn = draw_lesion(5, size_px=450).resize((width, height), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 4, (height, width, 1))
    return save(Image.fromarray(np.clip(pixels(drawn) + grain, 0, 255).astype(np.uint8)), "JPEG", quality=88, **options)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_large_jpeg_is_decoded_small_and_the_network_sees_no_difference(options):
    content = big_jpeg(2400, 1800, **options)
    reduced, full = decode(content, least_side_px=224), decode(content)
    assert full.image.size == full.full_size == reduced.full_size == (2400, 1800)
    assert 224 <= min(reduced.image.size) < 448
    seen = [pixels(Image.fromarray(network_input(d.image, Preprocess(224)))) for d in (reduced, full)]
    gap = np.abs(seen[0] - seen[1])
    assert gap.mean() < 0.6  # levels of 255, on a picture with a camera's grain
    assert np.percentile(gap, 99.9) <= 5


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_other_large_pictures_are_reduced_after_decoding(kind):
    large = LESION.resize((1200, 1000), Image.Resampling.BICUBIC)
    decoded = decode(save(large, kind), least_side_px=96)
    assert decoded.full_size == (1200, 1000)
    assert 192 <= min(decoded.image.size) < 400
    seen, full = (network_input(image, Preprocess(96)).astype(int) for image in (decoded.image, large))
    assert np.abs(seen - full).mean() < 1.5


def test_a_small_picture_is_never_reduced():
    decoded = decode(save(LESION, "JPEG"), least_side_px=224)
    assert decoded.image.size == decoded.full_size == LESION.size


def test_a_turned_large_jpeg_keeps_its_upright_full_size():
    decoded = decode(big_jpeg(1600, 1200, exif=exif(6)), least_side_px=100)
    assert decoded.full_size == (1200, 1600)
    assert decoded.image.height > decoded.image.width


def test_a_bomb_is_refused_with_little_memory():
    tracemalloc.start()
    try:
        for name, (content, reason) in BOMBS.items():
            tracemalloc.reset_peak()
            with pytest.raises(ImageError) as caught:
                decode(content, name=name)
            assert caught.value.reason == reason
            assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits its own address space, as Linux allows")
def test_bombs_are_refused_by_a_process_that_has_no_memory_to_spare():
    code = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from support.hostile import hostile_files
from dermaloop.core.errors import ImageError
from dermaloop.core.image import decode
bombs = [(n, c, r) for n, (c, r) in hostile_files().items() if r and "bomb" in n]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 2**20,) * 2)
for name, content, reason in bombs:
    try:
        decode(content, name=name)
    except ImageError as error:
        assert error.reason == reason, (name, error.reason)
    else:
        raise AssertionError(name)
print(len(bombs))
"""
    tests = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    done = subprocess.run([sys.executable, "-c", code, tests], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(len(BOMBS)), done.stderr


def test_a_metadata_bomb_never_unfolds():
    tracemalloc.start()
    try:
        for name in ("text-bomb.png", "comment-bomb.jpg"):
            tracemalloc.reset_peak()
            decode(GOOD[name], name=name)
            assert tracemalloc.get_traced_memory()[1] < len(GOOD[name]) + 3 * 2**20
    finally:
        tracemalloc.stop()


def test_limits_are_the_callers_to_set():
    content = GOOD["plain.jpg"]
    for limits, reason in (
        (Limits(max_bytes=100), "too_large_bytes"),
        (Limits(max_pixels=SIDE_PX * SIDE_PX - 1), "too_many_pixels"),
        (Limits(least_side_px=SIDE_PX + 1), "too_small"),
    ):
        with pytest.raises(ImageError) as caught:
            decode(content, limits=limits)
        assert caught.value.reason == reason
    exact = Limits(max_bytes=len(content), max_pixels=SIDE_PX * SIDE_PX, least_side_px=SIDE_PX)
    assert decode(content, limits=exact).full_size == LESION.size


@pytest.mark.parametrize("name", ["half.jpg", "no-end.jpg", "lying-size.jpg", "half.png", "half.webp", "half.tif"])
def test_truncation_is_noticed_even_where_pillow_was_told_to_overlook_it(name, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ImageError) as caught:
        decode(BAD[name][0], name=name)
    assert caught.value.reason == "truncated"


def test_pillows_own_limit_lets_nothing_else_escape(monkeypatch):
    for limit in (1, SIDE_PX * SIDE_PX - 1):  # the first makes Pillow raise where it looks, the second makes it warn
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        for name in ("plain.jpg", "alpha.png", "plain.bmp", "animated.png", "phone.heic"):
            assert decode(GOOD[name], name=name)
        for name in ("plain.tif", "animated.gif", "lossy.webp"):
            found = outcome(GOOD[name])
            assert isinstance(found, Decoded) or found.reason == "too_many_pixels"


def test_threads_decode_alike():
    names = list(GOOD) * 6
    alone = {name: pixels(decode(content, name=name).image) for name, content in GOOD.items()}
    start = threading.Barrier(8)

    def work(names: list[str]) -> list[bool]:
        start.wait()
        return [bool((pixels(decode(GOOD[name], name=name).image) == alone[name]).all()) for name in names]

    with ThreadPoolExecutor(8) as pool:
        assert all(all(found) for found in pool.map(work, [names[i::8] for i in range(8)]))


def test_importing_and_decoding_changes_nothing_in_pillow():
    code = """
import sys
from PIL import Image
from dermaloop.core import image
assert "pillow_heif" not in sys.modules
before = Image.MAX_IMAGE_PIXELS
sys.path.insert(0, sys.argv[1])
from support.hostile import hostile_files
image.decode(hostile_files()["phone.heic"][0])
assert not any("heif" in kind.lower() for kind in Image.OPEN), Image.OPEN
assert Image.MAX_IMAGE_PIXELS == before
print("same")
"""
    tests = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    done = subprocess.run([sys.executable, "-c", code, tests], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "same", done.stderr


SEEDS = [
    GOOD[name]
    for name in (
        "plain.jpg", "progressive.jpg", "cmyk.jpg", "rotated.jpg", "profile.jpg", "alpha.png",
        "palette-transparent.png",
        "grey16.png", "animated.png", "animated.gif", "lossy.webp", "lossless.webp", "animated.webp", "plain.tif",
        "deflate.tif", "jpeg-inside.tif", "pages.tif", "plain.bmp", "palette.bmp", "phone.heic",
    )
] + [content for content, _ in BAD.values() if len(content) < 5000]  # fmt: skip


def outcome(content: bytes) -> Decoded | ImageError:
    try:
        return decode(content, name="fuzzed", least_side_px=32, limits=Limits(max_pixels=1_000_000))
    except ImageError as error:
        return error


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(st.sampled_from(SEEDS)))
    head = min(len(content), 400)
    for _ in range(draw(st.integers(1, 8))):
        if not content:
            break
        # Headers decide most, so half of the damage falls there.
        at = draw(st.integers(0, (head if draw(st.booleans()) else len(content)) - 1)) % len(content)
        kind = draw(st.sampled_from(["set", "extreme", "cut", "insert", "repeat"]))
        if kind == "set":
            content[at] = draw(st.integers(0, 255))
        elif kind == "extreme":
            content[at : at + 4] = draw(
                st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0"])
            )
        elif kind == "cut":
            del content[at : at + draw(st.integers(1, 64))]
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=16))
        else:
            content[at:at] = content[at : at + 64]
    return bytes(content[:200_000])


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(mutated())
def test_mutated_files_give_a_picture_or_a_reason(content):
    found = outcome(content)
    assert isinstance(found, Decoded) or found.reason in REASONS


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([content[:12] for content in SEEDS]), st.binary(max_size=300))
def test_any_bytes_after_any_magic_give_a_picture_or_a_reason(magic, rest):
    found = outcome(magic + rest)
    assert isinstance(found, Decoded) or found.reason in REASONS


SIDES = st.one_of(st.integers(0, 40), st.integers(900, 1100), st.integers(0, 2**16 - 1))


@given(SIDES, SIDES)
def test_a_claimed_size_is_judged_before_decoding(width, height):
    limits = Limits(max_pixels=1_000_000)
    for content in (lying_jpeg(GOOD["plain.jpg"], width, height), png_of(width, height, b"")):
        found = outcome(content)
        if width * height > limits.max_pixels:
            assert isinstance(found, ImageError)
            assert found.reason == "too_many_pixels"
        elif min(width, height) < limits.least_side_px:
            assert isinstance(found, ImageError)
            assert found.reason == "too_small"


class TestReadBytes:
    def test_reads_a_file(self, tmp_path):
        path = tmp_path / "picture.jpg"
        path.write_bytes(GOOD["plain.jpg"])
        assert read_bytes(path) == GOOD["plain.jpg"]

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda path: None, "missing_file"),
            (lambda path: path.mkdir(), "unreadable_file"),
            (lambda path: path.write_bytes(b""), "empty"),
            (lambda path: path.write_bytes(bytes(2000)), "too_large_bytes"),
            (os.mkfifo, "unreadable_file"),
            (lambda path: path.symlink_to(path), "unreadable_file"),
        ],
    )
    def test_refuses_what_is_no_readable_file(self, tmp_path, make, reason):
        path = tmp_path / "picture.jpg"
        make(path)
        with pytest.raises(ImageError) as caught:
            read_bytes(path, limits=Limits(max_bytes=1000))
        assert caught.value.reason == reason
        assert str(path) in str(caught.value)

    def test_a_file_without_permission(self, tmp_path):
        path = tmp_path / "picture.jpg"
        path.write_bytes(b"x")
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user may read every file")
        with pytest.raises(ImageError) as caught:
            read_bytes(path)
        assert caught.value.reason == "unreadable_file"

    def test_a_path_that_no_system_has(self, tmp_path):
        with pytest.raises(ImageError) as caught:
            read_bytes(tmp_path / "nul\0inside.jpg")
        assert caught.value.reason == "missing_file"


@pytest.mark.real_data
def test_real_pictures_decode_as_pillow_decodes_them(data_folder):
    for folder in ("ham10000", "isic2017", "pad_ufes_20"):
        paths = sorted((data_folder / folder).rglob("*.jpg"))[:40]
        assert paths, folder
        for path in paths:
            with Image.open(path) as picture:
                assert difference(decode(path.read_bytes(), name=path.name).image, picture.convert("RGB")) < 2
