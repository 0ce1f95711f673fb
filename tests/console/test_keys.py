"""What people do with keys."""

from playwright.sync_api import expect


def open_key(page, name):
    page.get_by_label("Search by name").fill(name)
    page.get_by_role("table").get_by_role("button", name=name, exact=True).first.click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def tab_to(page, locator):
    """Presses Tab until the element has the focus."""
    for _ in range(60):
        if locator.evaluate("(element) => element.matches(':focus')"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {locator}")


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def test_a_key_is_created_and_revoked_with_the_keyboard_alone(page, server):
    page.goto(f"{server.url}/console")
    tab_to(page, page.get_by_label("API key", exact=True))
    page.keyboard.type(server.token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Keys", exact=True)).to_be_focused()
    tab_to(page, page.get_by_label("Search by name"))
    page.keyboard.press("Shift+Tab")
    expect(button(page, "Create key")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("Keyboard only")
    tab_to(page, page.get_by_label("api_keys:read"))
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Copy your new key")).to_be_focused()
    tab_to(page, button(page, "Copy"))
    page.keyboard.press("Enter")
    expect(button(page, "Copied")).to_be_focused()
    token = page.evaluate("navigator.clipboard.readText()")
    assert server.call("GET", "/self", token=token)[0] == 200
    tab_to(page, button(page, "Done"))
    page.keyboard.press("Enter")
    tab_to(page, button(page, "Keyboard only"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Keyboard only")).to_be_focused()
    tab_to(page, button(page, "Revoke …"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("Type Keyboard only to confirm")).to_be_focused()
    page.keyboard.type("Keyboard only")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Revoked Keyboard only.")).to_be_visible()
    assert server.call("GET", "/self", token=token)[0] == 401


def test_a_secret_is_masked_until_it_is_shown_and_gone_after_the_dialog(page, server, sign_in):
    sign_in(page)
    button(page, "Create key").click()
    page.get_by_label("Name").fill("Secret")
    page.get_by_label("Other permissions").fill("calls:read calls:write")
    button(page, "Create key").click()
    dialog = page.get_by_role("dialog", name="Copy your new key")
    expect(dialog.get_by_text("••••")).to_be_visible()
    dialog.get_by_role("button", name="Show").click()
    token = dialog.locator(".secret-text").inner_text()
    assert server.call("GET", "/self", token=token)[1]["permissions"] == ["calls:read", "calls:write"]
    dialog.get_by_role("button", name="Hide").click()
    expect(dialog.locator(".secret-text")).not_to_contain_text(token)

    # Nothing closes the dialog by mistake while the key is not copied.
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(dialog.get_by_text("You have not copied the key.")).to_be_visible()
    page.mouse.click(2, 2)
    dialog.get_by_role("button", name="Done").dblclick()
    expect(dialog).to_be_visible()
    page.once("dialog", lambda question: question.dismiss())
    page.close(run_before_unload=True)
    expect(dialog).to_be_visible()

    dialog.get_by_role("button", name="Copy", exact=True).click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == token
    dialog.get_by_role("button", name="Done").click()
    expect(dialog).to_have_count(0)
    expect(button(page, "Secret")).to_be_visible()
    assert token not in page.evaluate("document.querySelector('keywright-keys').shadowRoot.innerHTML")


def test_the_form_shows_each_error_at_its_field(page, sign_in):
    sign_in(page)
    button(page, "Create key").click()
    page.get_by_text("Addresses and metadata").click()
    button(page, "Create key").click()
    expect(page.get_by_text("Choose at least one permission.")).to_be_visible()
    page.get_by_label("api_keys:verify").check()
    page.get_by_label("Metadata").fill("[1]")
    button(page, "Create key").click()
    expect(page.get_by_label("Metadata")).to_be_focused()
    expect(page.get_by_label("Metadata")).to_have_accessible_description(
        "This is not a JSON object. Your notes as a JSON object. Optional."
    )
    page.get_by_label("Metadata").fill('{"team": "platform"}')
    page.get_by_label("Allowed addresses").fill("192.0.2.0/24\nnowhere")
    page.get_by_label("Expires").select_option("On a date …")
    button(page, "Create key").click()
    expect(page.get_by_text("Choose a day that has not ended.")).to_be_visible()
    page.get_by_label("Last day").fill("2035-01-31")
    expect(page.get_by_text("Stops working on Jan 31, 2035")).to_be_visible()
    button(page, "Create key").click()
    # These come from the server.
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Allowed addresses")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name")).to_be_focused()


def test_everything_means_all_permissions_of_the_caller(page, server, sign_in):
    token = server.create_key("Narrow", "api_keys:read,api_keys:write,calls:read")
    sign_in(page, token)
    button(page, "Create key").click()
    page.get_by_label("Name").fill("Twin")
    page.get_by_label("Everything that I may do").check()
    expect(page.get_by_label("api_keys:read")).to_be_hidden()
    page.get_by_label("Expires").select_option("Never")
    page.get_by_label("Test").check()
    button(page, "Create key").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    key = next(key for key in server.call("GET", "?search=Twin")[1]["data"])
    assert key["permissions"] == ["api_keys:read", "api_keys:write", "calls:read"]
    assert (key["environment"], key["expires_at"]) == ("test", None)


def test_two_tabs_cannot_overwrite_each_other(new_page, server, sign_in):
    key = server.create("Shared", metadata={"a": 1})
    first, second = new_page(), new_page()
    for page in (first, second):
        sign_in(page, to=f"#{key['id']}/edit")
        expect(page.get_by_label("Name")).to_have_value("Shared")
    first.get_by_label("Name").fill("Renamed")
    button(first, "Save changes").click()
    expect(first.get_by_role("heading", name="Renamed")).to_be_visible()

    second.get_by_label("Other permissions").fill("calls:write")
    button(second, "Save changes").click()
    expect(second.get_by_text("Someone else changed this key")).to_be_visible()
    assert server.call("GET", f"/{key['id']}")[1]["permissions"] == ["calls:read"]
    button(second, "Load the current values").click()
    expect(second.get_by_label("Name")).to_have_value("Renamed")
    second.get_by_label("Other permissions").fill("calls:write")
    button(second, "Save changes").click()
    expect(second.get_by_role("heading", name="Renamed")).to_be_visible()
    saved = server.call("GET", f"/{key['id']}")[1]
    assert (saved["name"], saved["permissions"], saved["metadata"]) == ("Renamed", ["calls:write"], {"a": 1})


def test_another_tab_changes_nothing_until_the_person_wants_it(new_page, server, sign_in):
    first, second = new_page(), new_page()
    key = server.create("Watched")
    sign_in(first)
    first.get_by_label("Search by name").fill("Watched")
    expect(first.get_by_text("1 key")).to_be_visible()
    sign_in(second, to=f"#{key['id']}")
    button(second, "Pause …").click()
    second.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(second.get_by_text("Paused Watched.")).to_be_visible()
    expect(first.get_by_text("Another tab changed the keys.")).to_be_visible()
    expect(first.get_by_role("cell", name="Active")).to_be_visible()
    button(first, "Reload").click()
    expect(first.get_by_role("cell", name="Paused")).to_be_visible()


def test_a_key_is_paused_and_resumed(page, server, sign_in):
    key = server.create("Pausable")
    sign_in(page)
    open_key(page, "Pausable")
    button(page, "Pause …").click()
    dialog = page.get_by_role("dialog", name="Pause Pausable?")
    expect(dialog).to_contain_text("Programs that use it stop working within 100 milliseconds.")
    dialog.get_by_role("button", name="Cancel").click()
    assert server.call("GET", f"/{key['id']}")[1]["enabled"]
    button(page, "Pause …").click()
    dialog.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("This key is paused.")).to_be_visible()
    assert not server.call("GET", f"/{key['id']}")[1]["enabled"]
    button(page, "Resume").click()
    expect(page.get_by_text("This key is paused.")).to_be_hidden()
    assert server.call("GET", f"/{key['id']}")[1]["enabled"]


def test_a_rotation_shows_the_overlap_and_ends_it(page, server, sign_in):
    key = server.create("Rotating", expires_at="2035-01-01T00:00:00Z")
    sign_in(page)
    open_key(page, "Rotating")
    button(page, "Rotate …").click()
    dialog = page.get_by_role("dialog", name="Rotate Rotating")
    dialog.get_by_label("The old key stops working").select_option("in 7 days")
    expect(dialog.get_by_text("Both keys work until")).to_be_visible()
    dialog.get_by_label("The new key expires").select_option("On a date …")
    dialog.get_by_role("button", name="Rotate").click()
    expect(dialog.get_by_text("Choose a day that has not ended.")).to_be_visible()
    dialog.get_by_label("The new key expires").select_option("1 year")
    dialog.get_by_role("button", name="Rotate").click()
    page.get_by_role("dialog").get_by_role("button", name="Copy").click()
    button(page, "Done").click()
    expect(page.get_by_text("The previous key Rotating still works until")).to_be_visible()
    expect(page.get_by_text("Last used: Not used yet.")).to_be_visible()
    old = server.call("GET", f"/{key['id']}")[1]
    assert old["status"] == "active" and old["successor_id"]
    button(page, "End the overlap now …").click()
    button(page, "Revoke the previous key").click()
    expect(page.get_by_text("The previous key Rotating still works until")).to_have_count(0)
    assert server.call("GET", f"/{key['id']}")[1]["status"] == "revoked"
    assert server.call("GET", f"/{old['successor_id']}")[1]["status"] == "active"


def test_a_key_is_revoked_with_its_descendants_after_its_name_is_typed(page, server, sign_in):
    parent = server.create("Family", permissions=["api_keys:write", "calls:read"])
    _, child = server.call("POST", "", {"name": "Child", "permissions": ["api_keys:write"]}, parent["secret"])
    server.call("POST", "", {"name": "Grandchild", "permissions": []}, child["secret"])
    server.create("Stranger")
    sign_in(page)
    open_key(page, "Family")
    button(page, "Revoke …").click()
    dialog = page.get_by_role("dialog", name="Revoke Family?")
    cascade = dialog.get_by_label("Also revoke 2 keys that it created or obtained by rotation")
    expect(cascade).not_to_be_checked()
    confirm = dialog.get_by_role("button", name="Revoke")
    for wrong in ("", "Famil", "family", "Family 2"):
        dialog.get_by_label("Type Family to confirm").fill(wrong)
        expect(confirm).to_be_disabled()
        page.keyboard.press("Enter")
    cascade.check()
    dialog.get_by_label("Type Family to confirm").fill("Family")
    confirm.click()
    expect(page.get_by_text("Revoked 3 keys: Family and its descendants.")).to_be_visible()
    expect(page.get_by_role("heading", name="Family")).to_be_visible()
    expect(button(page, "Edit")).to_have_count(0)
    statuses = {key["name"]: key["status"] for key in server.call("GET", "?limit=100")[1]["data"]}
    assert [statuses[name] for name in ("Family", "Child", "Grandchild")] == ["revoked"] * 3
    assert statuses["Stranger"] == "active"


def test_a_list_is_searched_and_filtered(page, server, sign_in):
    server.create("Needle alpha")
    server.create_key("Needle beta", "calls:read", "--owner", "user:42")
    revoked = server.create("Needle gamma")
    server.call("DELETE", f"/{revoked['id']}")
    sign_in(page)
    page.get_by_label("Search by name").fill("needle")
    expect(page.get_by_text("3 keys")).to_be_visible()
    page.get_by_label("Status").select_option("Revoked")
    expect(page.get_by_text("1 key", exact=True)).to_be_visible()
    expect(button(page, "Needle gamma")).to_be_visible()
    page.get_by_label("Status").select_option("Any status")
    page.get_by_label("Owner").fill("user:42")
    expect(page.get_by_text("1 key", exact=True)).to_be_visible()
    # The filters stay while a key is open.
    button(page, "Needle beta").click()
    expect(page.get_by_role("heading", name="Needle beta")).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Owner")).to_have_value("user:42")
    page.get_by_label("Owner").fill("user:43")
    button(page, "Clear filters").click()
    expect(page.get_by_label("Search by name")).to_have_value("")
    expect(page.get_by_label("Search by name")).to_be_focused()


def test_activity_and_review_name_the_keys_and_changes(page, server, sign_in):
    key = server.create("Audited", expires_at="2035-01-01T00:00:00Z")
    server.call("PATCH", f"/{key['id']}", {"name": "Audited twice", "permissions": []})
    sign_in(page, to="#activity")
    change = page.get_by_role("listitem").filter(has_text="updated the key").first
    expect(change).to_contain_text("Name: Audited → Audited twice")
    expect(change).to_contain_text("Permissions: calls:read → –")
    expect(change).to_contain_text("from 127.0.0.1")
    change.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Audited twice")).to_be_visible()
    button(page, "Review").click()
    section = page.get_by_role("group").filter(has_text="All permissions")
    section.get_by_text("All permissions").click()
    section.get_by_role("button", name="Operator").click()
    expect(page.get_by_role("heading", name="Operator")).to_be_visible()


def test_unsaved_input_is_not_lost_by_mistake(page, sign_in):
    sign_in(page)
    button(page, "Create key").click()
    page.get_by_label("Name").fill("Half done")
    button(page, "Activity").click()
    dialog = page.get_by_role("dialog", name="Discard what you entered?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Name")).to_have_value("Half done")
    page.go_back()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Name")).to_have_value("Half done")
    button(page, "Cancel").click()
    dialog.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("heading", name="Keys", exact=True)).to_be_visible()
