"""WCAG 2.2 AA, as far as a program can check it."""

import pytest
from playwright.sync_api import expect

from test_keys import button


def screens(page, server, sign_in):
    """Yields the name of each screen when it is shown."""
    page.goto(f"{server.url}/console")
    expect(page.get_by_label("API key", exact=True)).to_be_visible()
    yield "sign in"
    sign_in(page)
    expect(page.get_by_role("table")).to_be_visible()
    yield "list"
    page.get_by_label("Search by name").fill("no such key")
    expect(page.get_by_text("No key matches these filters.")).to_be_visible()
    yield "nothing found"
    page.get_by_label("Search by name").fill("Accessible")
    button(page, "Create key").click()
    page.get_by_text("Addresses and metadata").click()
    button(page, "Create key").click()
    expect(page.get_by_text("Choose at least one permission.")).to_be_visible()
    yield "form with an error"
    page.get_by_label("Name").fill("Accessible")
    page.get_by_label("api_keys:read").check()
    button(page, "Create key").click()
    button(page, "Show").click()
    button(page, "Done").click()
    expect(page.get_by_text("You have not copied the key.")).to_be_visible()
    yield "secret"
    button(page, "Close without copying").click()
    button(page, "Accessible").first.click()
    expect(page.locator(".events")).to_be_visible()
    yield "detail"
    for action in ("Pause …", "Rotate …", "Revoke …"):
        button(page, action).click()
        if action == "Revoke …":
            expect(page.get_by_text("has created no other key")).to_be_visible()
        yield f"dialog {action}"
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    button(page, "Edit").click()
    expect(page.get_by_label("Name")).to_be_visible()
    yield "edit"
    button(page, "Activity").click()
    expect(page.locator(".events")).to_be_visible()
    yield "activity"
    button(page, "Review").click()
    page.locator("summary").first.click()
    yield "review"


@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 320)])
def test_axe_finds_no_violation_and_nothing_is_cut_off(new_page, server, sign_in, axe, scheme, width):
    page = new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    problems = []
    for screen in screens(page, server, sign_in):
        problems += [(screen, *problem) for problem in axe(page)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            problems.append((screen, "scrolls sideways"))
    assert problems == []


def test_the_page_works_at_twice_the_size_of_text(new_page, server, sign_in):
    # Zoom by 200 % halves the width of the page in CSS pixels.
    page = new_page(viewport={"width": 640, "height": 450}, device_scale_factor=2)
    for screen in screens(page, server, sign_in):
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), screen
        dialog = page.locator("dialog[open]")
        if dialog.count():
            box = dialog.bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= 450, screen


def test_everything_that_has_the_focus_shows_it(page, server, sign_in):
    sign_in(page)
    expect(page.get_by_role("table")).to_be_visible()
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            """() => {
              const element = document.activeElement.shadowRoot?.activeElement;
              if (!element) return null;
              const { outlineStyle, outlineWidth } = getComputedStyle(element);
              return [element.tagName + element.textContent.slice(0, 20), outlineStyle, outlineWidth];
            }"""
        )
        if outline:
            assert outline[1:] == ["solid", "2px"], outline
            seen.add(outline[0])
    assert len(seen) >= 8
