"""A workspace with 100,000 keys."""

from playwright.sync_api import expect

from test_keys import button

KEYS = 100_000


def test_a_list_of_100000_keys_shows_one_page_at_a_time(page, own_server, sign_in):
    server = own_server(bulk=KEYS)
    sign_in(page, on=server)
    total = server.call("GET", "?limit=1")[1]["meta"]["total"]
    assert total >= KEYS
    expect(page.get_by_text(f"{total:,} keys")).to_be_visible()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    first = rows.first.inner_text()
    button(page, "Older").click()
    expect(page.get_by_text("Page 2")).to_be_visible()
    expect(rows).to_have_count(50)
    assert rows.first.inner_text() != first
    # The total of the first page stays.
    expect(page.get_by_text(f"{total:,} keys")).to_be_visible()
    button(page, "Newer").click()
    expect(page.get_by_text("Page 1")).to_be_visible()
    expect(rows.first).to_have_text(first, use_inner_text=True)
    page.get_by_label("Search by name").fill("Robot 4711")
    expect(page.get_by_text("11 keys", exact=True)).to_be_visible()
    # A report of so many keys ends early, and continues.
    button(page, "Review").click()
    button(page, "Check older keys").click()
    expect(page.get_by_text("keys checked.")).to_be_visible()
