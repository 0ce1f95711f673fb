"""Two quick clicks, odd responses, and settings that change while the page is in use."""

from playwright.sync_api import expect

from test_keys import button


def fill_in(page, name):
    button(page, "Create key").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("api_keys:verify").check()


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


def test_a_created_key_of_another_form_is_an_error_and_its_secret_can_be_obtained(page, sign_in):
    def respond(route):
        if route.request.method != "POST":
            return route.fallback()
        route.fulfill(status=201, json={"id": 1, "errors": {"a": [None]}})

    page.route("**/v1/api-keys", respond)
    sign_in(page)
    fill_in(page, "Odd")
    button(page, "Create key").click()
    expect(page.get_by_role("alert")).to_contain_text("a response that this page does not understand")
    page.unroute("**/v1/api-keys", respond)
    button(page, "Create key").click()
    expect(page.get_by_role("dialog", name="Copy your new key")).to_be_visible()


def test_an_error_of_another_form_is_an_error(page, sign_in):
    body = {"code": 1, "message": None, "requestId": 7, "errors": {"field": "name"}}
    page.route("**/v1/api-keys?*", lambda route: route.fulfill(status=400, json=body))
    sign_in(page)
    expect(page.get_by_role("alert")).to_contain_text("Request ID 7")


def test_a_date_that_cannot_be_read_is_an_error(page, server, sign_in):
    key = {**server.create("Date"), "created_at": "soon", "last_used_at": "soon"}
    page.route("**/v1/api-keys?*", lambda route: route.fulfill(json={"data": [key], "meta": {"nextCursor": None}}))
    sign_in(page)
    expect(page.get_by_role("alert")).to_contain_text("a response that this page does not understand")


def test_a_wait_that_cannot_be_read_is_none_and_no_wait_is_longer_than_an_hour(page, sign_in):
    sign_in(page)
    for header, is_enabled in [("Infinity", True), ("-1", True), ("99999", False), ("Fri, 31 Dec 2100 00:00:00 GMT", False)]:
        headers = {"Retry-After": header}
        page.unroute("**/v1/api-keys/events?*")
        page.route("**/v1/api-keys/events?*", lambda route: route.fulfill(status=429, json={}, headers=headers))
        button(page, "Keys").click()
        button(page, "Activity").click()
        expect(page.get_by_role("alert")).to_contain_text(" now." if is_enabled else " in 3,")
        assert button(page, "Try again").is_enabled() == is_enabled, header


def test_two_clicks_count_older_keys_once(page, sign_in):
    held = []

    def respond(route):
        if "cursor" in route.request.url:
            held.append(route)
        else:
            route.fulfill(json={"sections": {}, "meta": {"keysRead": 10, "nextCursor": "next"}})

    page.route("**/v1/api-keys/report*", respond)
    sign_in(page, to="#report")
    older = button(page, "Check older keys")
    older.click()
    older.click()
    while len(held) < 2:
        page.wait_for_timeout(50)
    for route in held:
        route.fulfill(json={"sections": {}, "meta": {"keysRead": 10, "nextCursor": None}})
    expect(older).to_have_count(0)
    expect(page.get_by_text("20 keys checked.")).to_be_visible()


def test_a_form_that_is_filled_in_outlives_changes_of_the_page(page, sign_in):
    sign_in(page)
    fill_in(page, "Kept")
    element = page.locator("keywright-keys")
    for change in (
        "element.setAttribute('revocation-bound', '5')",
        "element.permissions = ['calls:write']",
        "element.refresh()",
        "document.body.append(element)",
    ):
        element.evaluate(f"async (element) => {{ {change}; }}")
        expect(page.get_by_label("Name")).to_have_value("Kept")
    # A later view has the settings. Removing the element discards the form.
    element.evaluate("async (element) => { element.remove(); await null; document.body.append(element); }")
    expect(page.get_by_label("calls:write")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("")
    button(page, "Activity").click()
    expect(page.get_by_role("heading", name="Activity", exact=True)).to_be_visible()


def test_a_secret_outlives_another_view_and_a_move_of_the_element(page, sign_in):
    sign_in(page)
    fill_in(page, "Moved")
    button(page, "Create key").click()
    dialog = page.get_by_role("dialog", name="Copy your new key")
    expect(dialog).to_be_visible()
    page.evaluate("location.hash = '#activity'")
    expect(page.locator("h2").filter(has_text="Activity")).to_be_visible()
    page.locator("keywright-keys").evaluate("(element) => document.body.append(element)")
    assert dialog.evaluate("(dialog) => dialog.matches(':modal')")
    dialog.get_by_role("button", name="Show").click()
    expect(dialog.locator(".secret-text")).not_to_contain_text("•")
    dialog.get_by_role("button", name="Copy").click()
    button(page, "Done").click()
    expect(dialog).to_have_count(0)


def test_an_element_that_is_removed_during_a_create_shows_nothing_more(page, sign_in):
    held = []

    def hold(route):
        if route.request.method != "POST":
            return route.fallback()
        held.append(route)

    page.route("**/v1/api-keys", hold)
    sign_in(page)
    fill_in(page, "Alone")
    with page.expect_request(lambda request: request.method == "POST"):
        button(page, "Create key").click()
    element = page.locator("keywright-keys").element_handle()
    page.evaluate("(element) => element.remove()", element)
    with page.expect_response(lambda response: response.request.method == "POST"):
        held[0].continue_()
    page.evaluate("(element) => document.body.append(element)", element)
    expect(page.get_by_label("Name")).to_have_value("")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_malformed_settings_offer_nothing(page, sign_in):
    sign_in(page)
    element = page.locator("keywright-keys")
    for permissions in ("[null]", "{}", '[{"value": 1}]', '["calls:read", ["*"]]'):
        element.evaluate("(element, text) => element.setAttribute('permissions', text)", permissions)
        element.evaluate("(element) => element.setAttribute('strings', '{\"Name\": 1, \"Keys\": null}')")
        button(page, "Create key").click()
        expect(page.get_by_label("Permissions")).to_be_visible()
        expect(page.get_by_label("api_keys:write")).to_have_count(0)
        expect(page.get_by_label("Name")).to_be_visible()
        button(page, "Cancel").click()
        expect(page.get_by_role("heading", name="Keys", exact=True)).to_be_visible()


def test_the_new_key_of_a_rotation_cannot_be_endless(page, server, sign_in):
    key = server.create("Ends", expires_at="2035-01-01T00:00:00Z")
    sign_in(page, to=f"#{key['id']}")
    button(page, "Rotate …").click()
    expiry = page.get_by_label("The new key expires")
    expect(expiry.get_by_role("option", name="Same lifetime")).to_have_count(1)
    expect(expiry.get_by_role("option", name="Never")).to_have_count(0)


def test_a_number_that_javascript_cannot_hold_stays_as_it_is(page, server, sign_in):
    key = server.create("Number", metadata={"id": 9007199254740993, "note": "old"})
    sign_in(page, to=f"#{key['id']}")
    expect(page.locator("pre")).to_contain_text("9007199254740993")
    button(page, "Edit").click()
    metadata = page.get_by_label("Metadata")
    metadata.fill(metadata.input_value().replace('"old"', "12345678901234567890"))
    button(page, "Save changes").click()
    expect(page.get_by_role("heading", name="Number", exact=True)).to_be_visible()
    saved = server.call("GET", f"/{key['id']}")[1]["metadata"]
    assert saved == {"id": 9007199254740993, "note": 12345678901234567890}
