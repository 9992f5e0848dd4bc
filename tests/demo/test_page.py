"""The page in a browser, driven as a user drives it through all its tabs."""

import pytest

STATE = "document.querySelector('section:not([hidden]) .state').textContent"
DONE = f"{STATE}.startsWith('done')"
SAMPLES = "[...document.querySelectorAll('section:not([hidden]) .sample {}')].map(e => e.{})"
TEXT = SAMPLES.format(".said", "textContent")
VIEWS = SAMPLES.format("img.view", "src")
CARDS = "document.querySelectorAll('section:not([hidden]) .sample').length"
GIVEN = "document.querySelectorAll('section:not([hidden]) form .given img').length"


@pytest.fixture
def page(browser, server):
    tab = browser.open(server.url)
    tab.wait_for("document.title === 'chiasm demo: some-run' && location.hash")
    return tab


def choose(page, name: str) -> None:
    page.evaluate(f"document.getElementById('tab-{name}').click()")


def fill(page, **values: object) -> None:
    for name, value in values.items():
        page.evaluate(
            f"document.querySelector('section:not([hidden]) [name={name}]').value = {value!r}"
        )


def go(page) -> None:
    page.evaluate("document.querySelector('section:not([hidden]) [type=submit]').click()")


def test_text_is_written_for_several_seeds(page) -> None:
    fill(page, prompt="view", samples=3, seed=4, max_tokens=12)
    go(page)
    page.wait_for(DONE)
    assert len(set(page.evaluate(TEXT))) == 3
    seeds = "[...document.querySelectorAll('.sample h2 span:first-child')].map(s => s.textContent)"
    assert page.evaluate(seeds) == ["seed 4", "seed 5", "seed 6"]


def test_a_picture_is_drawn_step_by_step_and_asked_about(page) -> None:
    choose(page, "draw")
    fill(page, words="a wall", steps=30)
    page.evaluate(
        "window.seen = new Set(); new MutationObserver(() => document.querySelectorAll('img.view')"
        ".forEach(i => seen.add(i.src))).observe(document.body,"
        " {subtree: true, childList: true, attributes: true})"
    )
    go(page)
    page.wait_for(DONE)
    assert len(page.evaluate(VIEWS)) == 1
    assert page.evaluate("window.seen.size") > 2
    page.evaluate("document.querySelector('.sample button').click()")
    assert page.wait_for(f"{GIVEN} === 1 && location.hash === '#ask'")
    fill(page, question="what?", max_tokens=6)
    go(page)
    page.wait_for(DONE)
    assert page.evaluate(TEXT)


def drop(page, name: str, kind: str, content: str) -> None:
    """A file is dropped onto the page; ``content`` is JavaScript that has its bytes."""
    page.evaluate(
        "(async () => { const data = new DataTransfer();"
        f"data.items.add(new File([{content}], '{name}', {{type: '{kind}'}}));"
        "document.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true})); })()"
    )


PICTURE = (
    "await (() => { const canvas = new OffscreenCanvas(32, 24); canvas.getContext('2d');"
    " return canvas.convertToBlob(); })()"
)


def test_a_picture_is_dropped_and_a_document_goes_on(page) -> None:
    choose(page, "go-on")
    drop(page, "drawn.png", "image/png", PICTURE)
    page.wait_for(f"{GIVEN} === 1")
    fill(page, prompt="first <image> then", opens="image", steps=3, max_tokens=6, max_items=2)
    go(page)
    page.wait_for(DONE)
    assert page.evaluate(VIEWS)
    fill(page, prompt="<image> and <image>")
    go(page)
    assert "more of <image>" in page.evaluate(STATE)


def test_what_is_no_picture_is_told(page) -> None:
    choose(page, "ask")
    go(page)
    assert page.evaluate(STATE) == "Give a picture first."
    drop(page, "notes.txt", "text/plain", "'notes'")
    told = page.wait_for(f"{STATE}.includes('notes') && {STATE}")
    assert told == "notes.txt is not a picture, which is what this model reads."
    drop(page, "large.png", "image/png", "new Uint8Array(13e6)")
    assert page.wait_for(f"{STATE}.includes('13 MB')")
    drop(page, "broken.png", "image/png", "'no picture'")
    page.wait_for(f"{GIVEN} === 1")
    go(page)
    assert page.wait_for(f"{STATE}.includes('broken.png cannot be decoded')")
    assert page.wait_for(f"{CARDS} === 0")


def test_work_is_cancelled_by_key_and_button(page) -> None:
    choose(page, "draw")
    for cancel in (
        lambda: page.press("Escape", "Escape"),
        lambda: page.evaluate("document.querySelector('section:not([hidden]) .cancel').click()"),
    ):
        fill(page, words="a", steps=200, samples=8)
        go(page)
        page.wait_for(f"{STATE} === 'works'")
        cancel()
        page.wait_for(f"{STATE}.startsWith('cancelled') && {CARDS} === 0")
    choose(page, "write")
    fill(page, prompt="view", max_tokens=3)
    go(page)
    page.wait_for(DONE)


def test_two_pages_have_places_in_one_queue(browser, server, page) -> None:
    choose(page, "draw")
    fill(page, words="a", steps=200, samples=8)
    go(page)
    page.wait_for(f"{STATE} === 'works'")
    other = browser.open(server.url + "#write")
    other.wait_for("!!document.querySelector('[name=prompt]')")
    go(other)
    assert other.wait_for(f"{STATE}.startsWith('waits') && {STATE}") == "waits; 1 before"
    page.press("Escape", "Escape")
    other.wait_for(DONE)


def test_the_walk_is_a_tab_with_keys_of_its_own(page) -> None:
    choose(page, "walk")
    inner = "document.querySelector('iframe')?.contentDocument"
    frames = f"{inner}?.querySelectorAll('#strip li').length"
    page.wait_for(f"{frames} === 1")
    assert page.evaluate(f"{inner}.querySelector('header').hidden")
    page.evaluate(
        "document.querySelector('iframe').contentWindow"
        ".dispatchEvent(new KeyboardEvent('keydown', {key: 'w'}))"
    )
    page.wait_for(f"{frames} === 2")


def test_tabs_are_chosen_by_keys(page) -> None:
    page.evaluate("document.getElementById('tab-write').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
    assert page.evaluate("location.hash") == "#draw"
    assert page.evaluate("document.activeElement.id") == "tab-draw"
    page.call("Input.dispatchKeyEvent", type="keyDown", key="End", code="End")
    assert page.evaluate("location.hash") == "#walk"


@pytest.mark.parametrize("name", ["write", "draw", "ask", "go-on", "walk"])
def test_a_narrow_window_needs_no_scrolling_sideways(page, name: str) -> None:
    page.resize(360, 740)
    choose(page, name)
    assert page.wait_for("innerWidth === 360")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
