"""A host with a session, a strict policy and a look of its own embeds the component."""

import re

from playwright.sync_api import expect

from test_keys import button


def sign_in_to_host(page, example):
    password = re.search(r"password (\w+)", (example.folder / "log").read_text())[1]
    page.goto(example.url)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="API keys")).to_be_visible()


def test_a_member_manages_keys_in_the_session_of_the_host(page, example):
    sign_in_to_host(page, example)
    button(page, "Create key").first.click()
    page.get_by_label("Name").fill("Embedded")
    page.get_by_label("Read calls").check()
    button(page, "Create key").click()
    button(page, "Copy").click()
    button(page, "Done").click()
    button(page, "Embedded").click()
    expect(page.get_by_text("user:ada").first).to_be_visible()
    button(page, "Rotate …").click()
    page.get_by_role("dialog").get_by_role("button", name="Rotate").click()
    page.get_by_role("dialog").get_by_role("button", name="Copy").click()
    button(page, "Done").click()
    expect(page.get_by_text("The previous key Embedded still works until")).to_be_visible()
    button(page, "Revoke …").click()
    page.get_by_label("Type Embedded to confirm").fill("Embedded")
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Revoked Embedded.")).to_be_visible()
    # The host has not asked for it, so the address of its page stays.
    assert page.url.rstrip("/") == example.url


def test_the_look_of_the_host_applies(page, example, axe):
    sign_in_to_host(page, example)
    create = button(page, "Create key").first
    expect(create).to_have_css("background-color", "rgb(154, 52, 18)")
    expect(create).to_have_css("letter-spacing", "0.32px")
    expect(create).to_have_css("border-radius", "2px")
    assert axe(page) == []


def test_the_host_learns_that_its_session_has_ended(page, example):
    sign_in_to_host(page, example)
    button(page, "Create key").first.click()
    page.get_by_label("Name").fill("Kept")
    page.get_by_label("Make calls").check()
    cookies = page.context.cookies()
    page.context.clear_cookies()
    button(page, "Create key").click()
    expect(page.get_by_text("Sign in again", exact=True)).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Kept")
    # The person signs in again in another tab.
    page.context.add_cookies(cookies)
    button(page, "Create key").click()
    expect(page.get_by_role("dialog", name="Copy your new key")).to_be_visible()


def test_a_redirect_to_a_sign_in_page_is_the_end_of_the_session(page, example):
    sign_in_to_host(page, example)
    # The host redirects this path, as many hosts do without a session.
    page.evaluate("document.querySelector('keywright-keys').setAttribute('api', '/settings/old')")
    expect(page.get_by_role("alert").filter(has_text="Your session has ended. Sign in again in")).to_be_visible()


def test_a_host_that_renders_again_keeps_what_was_entered(page, example):
    sign_in_to_host(page, example)
    render = "document.querySelector('keywright-keys').permissions = ['calls:read', 'calls:write']"
    page.evaluate(render)
    button(page, "Create key").first.click()
    page.get_by_label("Name").fill("Kept")
    page.get_by_label("calls:write").check()
    page.evaluate(render)
    page.evaluate("document.querySelector('keywright-keys').setAttribute('api', '/v1/api-keys')")
    button(page, "Create key").click()
    button(page, "Copy").click()
    button(page, "Done").click()
    expect(button(page, "Kept").first).to_be_visible()
    # Removing the element closes a dialog with a secret.
    button(page, "Create key").first.click()
    page.get_by_label("Name").fill("Removed")
    page.get_by_label("calls:write").check()
    button(page, "Create key").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    element = page.locator("keywright-keys").element_handle()
    page.evaluate("(element) => element.remove()", element)
    assert page.evaluate("(element) => element.shadowRoot.querySelector('dialog[open]')", element) is None


def test_another_site_cannot_act_in_the_session(page, example):
    sign_in_to_host(page, example)
    request = {"data": {"name": "Forged"}, "headers": {"Origin": "https://evil.example"}}
    response = page.request.post(f"{example.url}/v1/api-keys", **request)
    assert (response.status, response.json()["code"]) == (403, "cross_origin")
    form = {"form": {"name": "Forged"}, "headers": {"Sec-Fetch-Site": "same-origin"}}
    assert page.request.post(f"{example.url}/v1/api-keys", **form).status == 415
