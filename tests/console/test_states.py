"""Empty lists, missing permissions, and everything that can fail."""

import json

from playwright.sync_api import expect

from test_keys import button, open_key


def fail(page, status, code, message="", headers=None, method="GET", path="**/v1/api-keys?*"):
    """Lets the requests of a path fail until it is called again with the result."""
    body = {"statusCode": status, "message": message, "error": "", "code": code, "requestId": "req_test"}

    def respond(route):
        if route.request.method != method:
            return route.fallback()
        route.fulfill(status=status, body=json.dumps(body), headers={"content-type": "application/json", **(headers or {})})

    page.route(path, respond)
    return lambda: page.unroute(path, respond)


def test_an_empty_list_offers_the_first_step(page, own_server, sign_in):
    server = own_server()
    token = server.create_key("Member", "api_keys.own:*", "--owner", "user:1", "--workspace", "empty")
    sign_in(page, token, server)
    page.get_by_label("Search by name").fill("no such key")
    expect(page.get_by_text("No key matches these filters.")).to_be_visible()
    # The caller is a key, so its list is not empty. That of a new person in a session is.
    nothing = {"data": [], "meta": {"limit": 50, "total": 0, "nextCursor": None}}
    page.route("**/v1/api-keys?*", lambda route: route.fulfill(json=nothing))
    button(page, "Clear filters").click()
    expect(page.get_by_text("No keys yet")).to_be_visible()
    page.locator(".empty").get_by_role("button", name="Create key").click()
    expect(page.get_by_label("Name")).to_be_focused()


def test_a_list_shows_its_place_while_it_loads(page, server, sign_in):
    held = []
    page.route("**/v1/api-keys?*", lambda route: held.append(route))
    sign_in(page)
    expect(page.get_by_text("Loading", exact=True)).to_be_attached()
    expect(page.locator(".placeholder")).to_have_count(5)
    held[0].continue_()
    expect(page.get_by_role("table")).to_be_visible()
    expect(page.locator(".placeholder")).to_have_count(0)


def test_a_failure_shows_the_id_of_the_request_and_can_be_repeated(page, server, sign_in):
    works = fail(page, 500, "corrupt", "a stored key cannot be read")
    sign_in(page)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("a stored key cannot be read")
    expect(alert).to_contain_text("req_test")
    works()
    button(page, "Try again").click()
    expect(page.get_by_role("table")).to_be_visible()


def test_a_response_that_is_not_json_is_an_error(page, server, sign_in):
    page.route("**/v1/api-keys?*", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    sign_in(page)
    expect(page.get_by_role("alert")).to_contain_text("a response that this page does not understand")


def test_a_caller_that_may_only_read_sees_no_controls(page, server, sign_in):
    key = server.create("Read only")
    reader = server.create_key("Reader", "api_keys:read")
    sign_in(page, reader)
    expect(page.get_by_role("table")).to_be_visible()
    expect(button(page, "Create key")).to_have_count(0)
    open_key(page, "Read only")
    for name in ("Edit", "Rotate …", "Pause …", "Revoke …"):
        expect(button(page, name)).to_have_count(0)
    # Nor with a link to a form.
    sign_in(page, reader, to=f"#{key['id']}/edit")
    expect(page.get_by_role("heading", name="Read only", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Save changes")).to_have_count(0)


def test_a_key_with_more_permissions_than_the_caller_has_cannot_be_changed(page, server, sign_in):
    server.create("Stronger", permissions=["*"])
    sign_in(page, server.create_key("Weaker", "api_keys:*"))
    open_key(page, "Stronger")
    expect(page.get_by_text("it has permissions that you do not have")).to_be_visible()
    expect(button(page, "Revoke …")).to_have_count(0)


def test_a_caller_that_may_see_no_keys_learns_which_permission_it_needs(page, server, sign_in):
    sign_in(page, server.create_key("Nothing", "calls:read"))
    expect(page.get_by_text("You may not see API keys here.")).to_be_visible()
    expect(page.get_by_text("api_keys:read")).to_be_visible()


def test_too_many_requests_count_down(page, own_server, sign_in):
    server = own_server(rate_limit=20)
    sign_in(page, on=server)
    expect(page.get_by_role("table")).to_be_visible()
    while server.call("GET", "?limit=1")[0] == 200:
        pass
    alert = page.get_by_role("alert")
    button(page, "Activity").click()
    expect(alert).to_contain_text("Too many requests. You can try again in")
    expect(button(page, "Try again")).to_be_disabled()
    expect(button(page, "Try again")).to_be_enabled()
    button(page, "Try again").click()
    expect(alert).to_have_count(0)


def test_a_lost_connection_is_named_and_the_page_continues_when_it_is_back(page, server, sign_in):
    sign_in(page)
    expect(page.get_by_role("table")).to_be_visible()
    page.context.set_offline(True)
    button(page, "Activity").click()
    expect(page.get_by_role("alert")).to_contain_text("You are offline.")
    page.context.set_offline(False)
    expect(page.get_by_text("created the key").first).to_be_visible()
    page.route("**/v1/api-keys?*", lambda route: route.abort())
    button(page, "Keys").click()
    expect(page.get_by_role("alert")).to_contain_text("This page cannot reach the server.")


def test_a_lost_response_creates_no_second_key(page, server, sign_in):
    def lose(route):
        if route.request.method == "POST":
            route.fetch()
            route.abort()
        else:
            route.fallback()

    sign_in(page)
    page.route("**/v1/api-keys", lose)
    button(page, "Create key").click()
    page.get_by_label("Name").fill("Once only")
    page.get_by_label("api_keys:read").check()
    button(page, "Create key").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This page cannot reach the server. The change may have been made.")
    page.unroute("**/v1/api-keys", lose)
    button(page, "Create key").click()
    expect(page.get_by_text("the response with its secret did not arrive")).to_be_visible()
    button(page, "Close").click()
    assert server.call("GET", "?search=Once%20only")[1]["meta"]["total"] == 1


def test_a_key_that_is_rejected_while_a_form_is_filled_in_can_be_replaced(page, server, sign_in):
    token = server.create_key("Short session", "*")
    sign_in(page, token)
    button(page, "Create key").click()
    page.get_by_label("Name").fill("Kept")
    page.get_by_label("api_keys:read").check()
    server.call("DELETE", "/self", token=token)
    button(page, "Create key").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The server no longer accepts the key")
    button(page, "Sign in").click()
    dialog = page.get_by_role("dialog", name="Sign in with an API key")
    dialog.get_by_label("API key", exact=True).fill(server.token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)
    expect(alert).to_have_count(0)
    expect(page.get_by_label("Name")).to_have_value("Kept")
    button(page, "Create key").click()
    expect(page.get_by_role("dialog", name="Copy your new key")).to_be_visible()


def test_a_rejected_key_is_asked_for_again(page, server, sign_in):
    token = server.create_key("Leaves", "*")
    page.goto(f"{server.url}/console")
    page.get_by_label("API key", exact=True).fill("sk_live_wrong")
    button(page, "Sign in").click()
    expect(page.get_by_text("The server does not accept this key.")).to_be_visible()
    page.get_by_label("API key", exact=True).fill("")
    button(page, "Sign in").click()
    expect(page.get_by_text("Enter an API key.")).to_be_visible()
    sign_in(page, token)
    server.call("DELETE", "/self", token=token)
    button(page, "Activity").click()
    expect(page.get_by_text("The server no longer accepts the key")).to_be_visible()
    expect(page.get_by_label("API key", exact=True)).to_be_focused()


def test_revoking_the_calling_key_signs_out(page, server, sign_in):
    sign_in(page, server.create_key("Myself", "*"))
    open_key(page, "Myself")
    button(page, "Revoke …").click()
    expect(page.get_by_text("You will be signed out.")).to_be_visible()
    page.get_by_label("Type Myself to confirm").fill("Myself")
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("heading", name="Sign in with an API key")).to_be_visible()


def test_a_server_without_events_says_so(page, own_server, sign_in):
    server = own_server("--keep-events", "0")
    sign_in(page, on=server, to="#activity")
    expect(page.get_by_text("This server does not record changes.")).to_be_visible()


def test_an_unknown_key_is_named_as_missing(page, sign_in):
    sign_in(page, to="#key_0000000000000000")
    expect(page.get_by_role("alert")).to_contain_text("This key does not exist, or you may not see it.")


def create_one(page):
    button(page, "Create key").click()
    page.get_by_label("Name").fill("One more")
    page.get_by_label("api_keys:verify").check()
    button(page, "Create key").click()


def test_without_a_clipboard_the_secret_is_selected(page, sign_in):
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    sign_in(page)
    create_one(page)
    dialog = page.get_by_role("dialog", name="Copy your new key")
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog).to_contain_text("The key is selected: copy it with the keyboard.")
    assert page.evaluate("getSelection().toString()") == dialog.locator(".secret-text").inner_text()
    button(page, "Done").click()
    expect(dialog).to_have_count(0)


def test_a_key_that_too_few_replicas_confirmed_is_shown_with_a_warning(page, sign_in):
    def respond(route):
        if route.request.method != "POST":
            return route.fallback()
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "confirmed": False})

    page.route("**/v1/api-keys", respond)
    sign_in(page)
    create_one(page)
    expect(page.get_by_role("dialog")).to_contain_text("too few replicas of the store have confirmed it")
    page.get_by_role("dialog").get_by_role("button", name="Copy").click()
    button(page, "Done").click()
