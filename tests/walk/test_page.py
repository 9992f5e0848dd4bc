"""The page in a browser, driven as a user drives it."""

import pytest

BUSY = "document.body.classList.contains('busy')"
NUM_FRAMES = "document.querySelectorAll('#strip li').length"
VIEW = "document.getElementById('view').src"
READ = "document.getElementById('text').textContent"
MESSAGE = "document.getElementById('message').textContent"


@pytest.fixture
def page(browser, server):
    tab = browser.open(server.url)
    tab.wait_for(f"{NUM_FRAMES} === 1 && !{BUSY}")
    return tab


def after(page, count: int) -> str:
    """The view, as soon as so many frames are there."""
    page.wait_for(f"{NUM_FRAMES} === {count} && !{BUSY}")
    return page.evaluate(VIEW)


@pytest.mark.slow
def test_keys_and_words_change_the_view(page) -> None:
    views = [page.evaluate(VIEW)]
    page.press("w")
    views.append(after(page, 2))
    assert page.evaluate(READ) == "action: dx=+1.00 dy=+0.00 dyaw=+0"
    page.press("a")
    views.append(after(page, 3))
    assert page.evaluate(READ) == "action: dx=+0.00 dy=+0.00 dyaw=+20"
    page.evaluate("document.getElementById('typed').focus()")
    page.type("dx=-1 dy=0 dyaw=+5")
    page.press("Enter", "Enter")
    views.append(after(page, 4))
    assert page.evaluate(READ) == "action: dx=-1.00 dy=+0.00 dyaw=+5"
    assert len(set(views)) == 4
    for latency in ("model-time", "trip-time", "mean-time"):
        assert page.evaluate(f"document.getElementById('{latency}').textContent").endswith(" ms")


def test_an_instruction_goes_on_from_view_to_view(page) -> None:
    page.evaluate("document.getElementById('of').value = 3")
    page.evaluate("document.getElementById('typed').focus()")
    page.type("go to the red torch")
    assert page.evaluate(NUM_FRAMES) == 1  # letters of words are no steps
    page.press("Enter", "Enter")
    after(page, 4)
    assert page.evaluate(READ) == "action: go to the red torch [3/3]"
    assert "names no pose" in page.evaluate("document.getElementById('why').textContent")


def test_steps_are_taken_back_and_the_last_key_waits(page) -> None:
    start = page.evaluate(VIEW)
    # In one moment: the first is imagined, the last waits, the one between is dropped.
    waits = page.evaluate(
        "for (const key of 'wad') dispatchEvent(new KeyboardEvent('keydown', {key}));"
        "document.getElementById('queue').textContent"
    )
    assert waits == "waits: D"
    after(page, 3)
    captions = "[...document.querySelectorAll('#strip span')].map(s => s.textContent)"
    assert page.evaluate(captions)[1:] == [
        "dx=+1.00 dy=+0.00 dyaw=+0",
        "dx=+0.00 dy=+0.00 dyaw=-20",
    ]
    page.press("z")
    after(page, 2)
    page.press("r")
    assert after(page, 1) == start


def test_another_start_and_the_true_view(page) -> None:
    first = page.evaluate(VIEW)
    assert page.wait_for("document.getElementById('truth').src").startswith("data:image/png")
    page.evaluate("document.querySelectorAll('#starts button')[1].click()")
    page.wait_for(f"{VIEW} !== '{first}' && !{BUSY}")
    page.evaluate("document.getElementById('show-truth').click()")
    page.wait_for(f"document.getElementById('beside').hidden && !{BUSY}")


def test_what_cannot_be_read_is_said_and_changes_nothing(page) -> None:
    page.evaluate("document.getElementById('typed').focus()")
    page.type("dx=far")
    page.press("Enter", "Enter")
    assert "cannot be read" in page.wait_for(f"!{BUSY} && {MESSAGE}")
    assert page.evaluate(NUM_FRAMES) == 1


def test_a_narrow_window_needs_no_scrolling_sideways(page) -> None:
    page.resize(360, 740)
    assert page.wait_for("innerWidth === 360")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_keys_and_view_are_on_a_small_screen_together(page) -> None:
    page.resize(400, 800)
    page.evaluate("document.getElementById('show-truth').click()")
    page.wait_for(f"innerWidth === 400 && document.getElementById('beside').hidden && !{BUSY}")
    ends = "[...document.querySelectorAll('#view, #pad button')]"
    ends += ".map(each => each.getBoundingClientRect().bottom)"
    assert max(page.evaluate(ends)) < 800
    assert page.evaluate("document.getElementById('view').width") > 250


def test_how_far_views_are_known_to_be_good_is_said(page) -> None:
    told = "Views are samples of the model, by its report good up to 3 frames ahead."
    assert page.evaluate("document.getElementById('known').textContent") == told


def test_two_tabs_have_walks_of_their_own(browser, server, page) -> None:
    other = browser.open(server.url)
    other.wait_for(f"{NUM_FRAMES} === 1 && !{BUSY}")
    page.press("w")
    other.press("d")
    after(page, 2)
    after(other, 2)
    assert page.evaluate(READ) != other.evaluate(READ)
    page.press("z")
    after(page, 1)
    assert other.evaluate(NUM_FRAMES) == 2
