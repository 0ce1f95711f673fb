"""Two quick clicks, odd responses, and settings that change while the page is in use."""

from playwright.sync_api import expect

from test_keys import button


def test_the_message_after_a_change_names_the_key_as_it_is_now(page, server, sign_in):
    key = server.create("Before")
    sign_in(page, to=f"#{key['id']}/edit")
    page.get_by_label("Name").fill("Pay \u202egnp.exe")
    button(page, "Save changes").click()
    expect(page.get_by_text("Saved Pay [U+202E]gnp.exe.")).to_be_visible()


def test_two_clicks_on_a_page_button_show_one_other_page(page, own_server, sign_in):
    sign_in(page, on=own_server(bulk=160))
    page.get_by_role("table").wait_for()
    button(page, "Older").evaluate("(older) => { older.click(); older.click(); }")
    expect(page.get_by_text("Page 2", exact=True)).to_be_visible()


def test_json_of_another_form_is_an_error(page, server, sign_in):
    page.route("**/v1/api-keys?*", lambda route: route.fulfill(json={}))
    sign_in(page)
    expect(page.get_by_role("alert")).to_contain_text("a response that this page does not understand")


def test_an_attribute_that_changes_keeps_what_was_entered(page, server, sign_in):
    sign_in(page)
    button(page, "Create key").click()
    page.get_by_label("Name").fill("Kept")
    page.locator("keywright-keys").evaluate("(element) => element.setAttribute('revocation-bound', '5')")
    # The element applies its attributes in a microtask, before this call.
    expect(page.get_by_label("Name")).to_have_value("Kept")


def test_a_number_that_javascript_cannot_hold_stays_as_it_is(page, server, sign_in):
    key = server.create("Number", metadata={"id": 9007199254740993, "note": "old"})
    sign_in(page, to=f"#{key['id']}/edit")
    metadata = page.get_by_label("Metadata")
    metadata.fill(metadata.input_value().replace("old", "new"))
    button(page, "Save changes").click()
    expect(page.get_by_role("heading", name="Number", exact=True).or_(page.get_by_role("alert"))).to_be_visible()
    assert server.call("GET", f"/{key['id']}")[1]["metadata"]["id"] == 9007199254740993
