"""The deep-zoom viewer in a real Chromium, under the real content security policy."""

import hashlib
import io
import re
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.render import heatmap_png
from support.gallery import gallery
from support.hostile import save
from support.live import Watched, axe_violations, chromium, serving

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser

SIDE = 400
RED, BLUE, YELLOW = (200, 30, 30), (30, 30, 200), (210, 200, 40)
HEAD = '{% import "_viewer.html" as v %}{{ v.assets() }}'
ONE = 'v.viewer("one", "/red.png", 400, 400, label="Lesion on the arm"'
SNIPPETS = {
    "/plain": ONE + ")",
    "/heat": ONE + ', heatmap="/heat.png", frame=(0.25, 0.25, 0.75, 0.75))',
    "/scale": ONE + ", mm_per_px=0.02)",
    "/lost": ONE.replace("/red", "/nothing") + ")",
    "/over": ONE + ', second="/blue.png", first_label="March", second_label="May")',
    "/placed": ONE + ', second="/halves.png", second_place={"in_view": "0.5 0.25 0.4 90"}, start="0.4 0.1 0.6 0.7")',
    "/lesion": ONE.replace("/red", "/lesion") + ', heatmap="/heat.png", frame=(0, 0, 1, 1), mm_per_px=0.03)',
}
LINKED = ONE + ', link="pair")'
PAIR = f"{{{{ {LINKED} }}}}{{{{ {LINKED.replace('one', 'two').replace('red', 'blue')} }}}}"


@pytest.fixture(scope="module")
def address():
    snippets = {path: (HEAD, '{% import "_viewer.html" as v %}{{ ' + body + " }}") for path, body in SNIPPETS.items()}
    snippets["/pair"] = (HEAD, '{% import "_viewer.html" as v %}<div class="viewers">' + PAIR + "</div>")
    halves = Image.new("RGB", (SIDE, SIDE), BLUE)
    halves.paste(YELLOW, (SIDE // 2, 0, SIDE, SIDE))
    pictures = {
        "/red.png": save(Image.new("RGB", (SIDE, SIDE), RED), "PNG"),
        "/blue.png": save(Image.new("RGB", (SIDE, SIDE), BLUE), "PNG"),
        "/halves.png": save(halves, "PNG"),
        "/lesion.png": save(draw_lesion(4, size_px=SIDE, malignant=True), "PNG"),
        "/heat.png": heatmap_png(np.ones((8, 8), dtype=np.float32)),
    }
    with serving(gallery(snippets, {path: (content, "image/png") for path, content in pictures.items()})) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture
def watched(browser, address):
    pages = Watched(browser, address)
    yield pages
    pages.close()


def _open(watched, path, **options):
    page = watched.open(path, **{"reduced_motion": "reduce", **options})
    page.locator("#one[data-ready]").wait_for()
    return page


FRAMES = """() => new Promise(done => {
    let left = 15;
    const next = () => { left -= 1; if (left) requestAnimationFrame(next); else done(); };
    next();
})"""
"""A tap on an arrow key moves the picture in each of ten frames, however long this machine takes for one."""


def _pixels(page, number=0):
    """What the window of a viewer shows, as an array of (height, width, 3)."""
    page.evaluate(FRAMES)
    shot = page.locator(".viewer-window").nth(number).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def _near(pixels, colour):
    return np.abs(pixels - np.asarray(colour)).max(axis=-1) < 40


def _extent(pixels, colour):
    """Width of what shows a colour, in pixels."""
    return int(_near(pixels, colour).any(axis=0).sum())


def test_the_vendored_script_is_the_released_one():
    folder = files("dermaloop.web") / "static" / "vendor"
    listed = re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert {name for name, _ in listed} == {one.name for one in folder.iterdir() if one.name.endswith(".js")}
    for name, digest in listed:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        assert f"/static/vendor/{name}" in (files("dermaloop.web") / "templates" / "_viewer.html").read_text()
    assert "BSD" in (folder / "README.md").read_text()
    assert "Redistribution" in (folder / "openseadragon-LICENSE.txt").read_text()


def test_buttons_and_keys_enlarge_and_move(watched):
    page = _open(watched, "/plain")
    whole = _extent(_pixels(page), RED)
    assert whole > 300
    page.get_by_role("button", name="Reduce").click()
    assert _extent(_pixels(page), RED) < whole
    page.get_by_role("button", name="Show all of it").click()
    assert abs(_extent(_pixels(page), RED) - whole) <= 2
    page.get_by_role("button", name="Enlarge").click()
    assert _extent(_pixels(page), RED) > whole + 50
    canvas = page.get_by_role("application")
    assert "Lesion on the arm" in canvas.get_attribute("aria-label")
    canvas.focus()
    page.keyboard.press("0")
    assert abs(_extent(_pixels(page), RED) - whole) <= 2
    page.keyboard.press("+")
    page.keyboard.press("+")
    larger = _extent(_pixels(page), RED)
    assert larger > whole
    page.keyboard.press("-")
    assert whole < _extent(_pixels(page), RED) < larger
    page.keyboard.press("0")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        page.evaluate(FRAMES)
    moved = np.flatnonzero(_near(_pixels(page), RED).any(axis=0))
    middle = page.locator(".viewer-window").bounding_box()["width"] / 2
    assert moved.mean() < middle - 50
    page.keyboard.press("r")
    page.keyboard.press("f")
    assert (np.flatnonzero(_near(_pixels(page), RED).any(axis=0)) == moved).all()


def test_the_mouse_drags_and_the_wheel_needs_a_key(watched):
    page = _open(watched, "/plain")
    whole = _extent(_pixels(page), RED)
    box = page.locator(".viewer-window").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    expect(page.locator(".openseadragon-cooperative-overlay")).to_have_text("Hold Ctrl and turn the wheel to enlarge")
    expect(page.locator(".openseadragon-cooperative-overlay")).to_have_css("opacity", "0")  # the hint fades
    assert abs(_extent(_pixels(page), RED) - whole) <= 2
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    assert _extent(_pixels(page), RED) > whole
    page.get_by_role("button", name="Show all of it").click()
    before = np.flatnonzero(_near(_pixels(page), RED).any(axis=0)).mean()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 120, y, steps=5)
    page.mouse.up()
    assert np.flatnonzero(_near(_pixels(page), RED).any(axis=0)).mean() < before - 60


def test_the_heatmap_lies_on_its_square_under_the_slider(watched):
    page = _open(watched, "/heat")
    slider = page.get_by_role("slider", name="Heatmap")
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator("#one output")).to_have_text("100%")
    pixels = _pixels(page)
    height, width = pixels.shape[:2]
    assert not _near(pixels, RED)[height // 2, width // 2]
    hot = ~_near(pixels, RED)[height // 2]
    side = _extent(pixels, RED)
    inside = np.flatnonzero(hot[(width - side) // 2 + 5 : (width + side) // 2 - 5])
    assert len(inside) == pytest.approx(side / 2, abs=12)
    slider.focus()
    page.keyboard.press("Home")
    pixels = _pixels(page)
    assert _near(pixels, RED)[height // 2, width // 2]


def test_the_scale_bar_is_as_long_as_it_says(watched):
    page = _open(watched, "/scale")
    for presses in (0, 4):
        for _ in range(presses):
            page.get_by_role("button", name="Enlarge").click()
        side = _extent(_pixels(page), RED) if not presses else None
        bar = page.locator(".viewer-scale-bar").bounding_box()["width"]
        length = float(re.fullmatch(r"([\d.]+) mm", page.locator(".viewer-scale-text").inner_text())[1])
        if side:  # the whole picture is 400 pixels of 0.02 mm
            assert bar / length == pytest.approx(side / 8, rel=0.02)
            first = length
    assert length < first
    german = watched.open("/scale", locale="de-DE")
    german.locator("#one[data-ready]").wait_for()
    expect(german.get_by_role("button", name="Vergrößern")).to_be_visible()


def test_linked_viewers_move_together_until_they_are_parted(watched):
    page = _open(watched, "/pair")
    page.locator("#two[data-ready]").wait_for()
    start = _extent(_pixels(page, 1), BLUE)
    page.locator("#one").get_by_role("button", name="Reduce").click()
    both = _extent(_pixels(page, 0), RED), _extent(_pixels(page, 1), BLUE)
    assert both[0] == pytest.approx(both[1], abs=2)
    assert both[1] < start
    page.locator("#two").get_by_role("application").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    places = [
        np.flatnonzero(_near(_pixels(page, number), colour).any(axis=0)).mean()
        for number, colour in ((0, RED), (1, BLUE))
    ]
    assert places[0] == pytest.approx(places[1], abs=2)
    page.locator("#one").get_by_label("Zoom and pan together").uncheck()
    expect(page.locator("#two").get_by_label("Zoom and pan together")).not_to_be_checked()
    page.locator("#one").get_by_role("button", name="Show all of it").click()
    assert _extent(_pixels(page, 0), RED) > both[0] + 20
    assert _extent(_pixels(page, 1), BLUE) == pytest.approx(both[1], abs=2)


def test_a_curtain_a_fade_and_a_blink_compare_two_pictures(watched):
    page = _open(watched, "/over")
    row = _pixels(page)[200]
    assert _near(row, RED).sum() == pytest.approx(_near(row, BLUE).sum(), abs=8)
    middle = len(row) // 2
    assert _near(row, BLUE)[: middle - 3].sum() == 0
    assert _near(row, RED)[middle + 3 :].sum() <= 1  # a seam of rounding
    slider = page.get_by_role("slider", name="Between March on the left and May on the right")
    slider.focus()
    page.keyboard.press("Home")
    assert _extent(_pixels(page), RED) <= 1
    page.keyboard.press("End")
    assert _extent(_pixels(page), BLUE) == 0
    page.get_by_label("Fade").check()
    assert _extent(_pixels(page), BLUE) > 300
    slider.focus()
    page.keyboard.press("Home")
    assert _extent(_pixels(page), RED) > 300
    other = page.get_by_role("button", name="Show the other")
    other.click()
    assert _extent(_pixels(page), BLUE) > 300, "each press shows the other one, and nothing blinks"
    other.press("Enter")
    assert _extent(_pixels(page), RED) > 300


def test_a_blink_shows_both_in_turn_until_it_is_stopped(watched):
    page = _open(watched, "/over", reduced_motion="no-preference")
    page.get_by_label("Fade").check()
    page.get_by_role("slider").press("Home")
    blink = page.get_by_role("button", name="Blink")
    blink.click()
    expect(blink).to_have_attribute("aria-pressed", "true")
    seen = set()
    for _ in range(100):  # a look takes its time, and on a busy machine may meet the same one many times
        if len(seen) == 2:
            break
        page.wait_for_timeout(100)
        pixels = _pixels(page)
        seen |= {name for name, colour in (("first", RED), ("second", BLUE)) if _extent(pixels, colour) > 300}
    assert seen == {"first", "second"}
    blink.click()
    assert _extent(_pixels(page), RED) > 300


def test_a_second_picture_lies_turned_where_it_was_placed(watched):
    """Its left half blue and its right half yellow; turned by a quarter clockwise, blue is above yellow."""
    page = _open(watched, "/placed")
    page.get_by_role("slider").press("Home")  # all of the second one
    page.get_by_role("button", name="Show all of it").click()
    pixels = _pixels(page)
    side = _extent(pixels, RED)
    for colour, top in ((BLUE, 0.25), (YELLOW, 0.45)):
        rows, columns = np.nonzero(_near(pixels, colour))
        left, above = (pixels.shape[1] - side) / 2, (pixels.shape[0] - side) / 2
        assert (columns.min() - left) / side == pytest.approx(0.5, abs=0.02)
        assert (columns.max() - left) / side == pytest.approx(0.9, abs=0.02)
        assert (rows.min() - above) / side == pytest.approx(top, abs=0.02)
        assert (rows.max() - above) / side == pytest.approx(top + 0.2, abs=0.02)
    page.get_by_role("slider").press("End")
    assert _extent(_pixels(page), YELLOW) == 0
    for _ in range(40):  # the curtain in the middle of the second one, whatever its turn
        page.get_by_role("slider").press("ArrowLeft")
    columns = np.flatnonzero(_near(_pixels(page), YELLOW).any(axis=0))
    assert columns.min() == pytest.approx(0.6 * pixels.shape[1], abs=3)
    page.reload()
    page.locator("#one[data-ready]").wait_for()
    assert _extent(_pixels(page), RED) == pytest.approx(side / 0.7, rel=0.02), "it begins with the part it was told to"


def test_a_picture_that_does_not_come_is_said(browser, address):
    context = browser.new_context()
    page = context.new_page()
    page.goto(address + "/lost")
    expect(page.get_by_role("alert")).to_have_text("The picture could not be loaded.")
    expect(page.locator(".viewer-tools")).to_be_hidden()
    context.close()


def test_without_a_script_the_picture_is_there(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + "/heat")
    expect(page.get_by_role("img", name="Lesion on the arm")).to_be_visible()
    expect(page.locator(".viewer-layer image")).to_be_visible()
    expect(page.locator(".viewer-tools")).to_be_hidden()
    context.close()


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("path", ["/lesion", "/over", "/pair"])
def test_nothing_is_wider_than_the_screen(watched, path, width):
    page = _open(watched, path, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.locator(".viewer-tools button:visible").all():
        assert min(button.bounding_box()[side] for side in ("width", "height")) >= 44


def test_on_a_phone_one_finger_scrolls_the_page(watched):
    page = _open(watched, "/lesion", viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True)
    touch = page.locator(".openseadragon-canvas").evaluate("element => getComputedStyle(element).touchAction")
    assert touch == "pan-x pan-y"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/lesion", "/over", "/pair"])
def test_axe_finds_nothing(browser, address, path, scheme):
    context = browser.new_context(color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    page = context.new_page()
    page.goto(address + path)
    page.locator("#one[data-ready]").wait_for()
    assert axe_violations(page) == []
    context.close()
