"""Hostile names, the policy of the page, and where the key of the caller is."""

from playwright.sync_api import expect

from test_keys import button

IMAGE = "<img src=x onerror=alert(1)>"
BIDI = "Invoice \u202egnp.exe\u202c\u200b"


def test_hostile_text_is_shown_as_text_everywhere(page, server, sign_in):
    alerts = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    for name in (IMAGE, BIDI):
        key = server.create(name, metadata={IMAGE: BIDI})
        server.call("PATCH", f"/{key['id']}", {"name": f"{name} {{bound}}"})
        server.call("PATCH", f"/{key['id']}", {"name": name})
        sign_in(page)
        page.get_by_label("Search by name").fill(name[:6])
        shown = IMAGE if name == IMAGE else "Invoice U+202Egnp.exeU+202CU+200B"
        row = page.get_by_role("row").filter(has_text=shown)
        expect(row).to_have_count(1)
        row.get_by_role("button").click()
        expect(page.get_by_role("heading", name=shown)).to_be_visible()
        expect(page.locator("pre")).to_contain_text(IMAGE)
        expect(page.locator("pre")).to_contain_text("U+202E")
        expect(page.locator(".events")).to_contain_text(f"{shown} {{bound}}")
        for action in ("Pause …", "Rotate …", "Revoke …"):
            button(page, action).click()
            expect(page.get_by_role("dialog")).to_contain_text(shown)
            page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        button(page, "Edit").click()
        expect(page.get_by_role("heading", name=f"Edit {shown}")).to_be_visible()
        button(page, "Activity").click()
        expect(page.locator(".events")).to_contain_text(shown)
    assert page.locator("img").count() == 0
    assert alerts == []


def test_a_name_that_cannot_be_typed_is_confirmed_by_its_id(page, server, sign_in):
    key = server.create(BIDI)
    sign_in(page, to=f"#{key['id']}")
    button(page, "Revoke …").click()
    page.get_by_label(f"Type the ID {key['id']} to confirm").fill(key["id"])
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Revoked Invoice [U+202E]gnp.exe[U+202C][U+200B].")).to_be_visible()


def test_emoji_and_other_scripts_stay_as_they_are(page, server, sign_in):
    for name in ("Team 👩‍💻 ❤️ 🇩🇪", "مفتاح الإنتاج", "本番サーバー", "Zoë"):
        key = server.create(name)
        sign_in(page, to=f"#{key['id']}")
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        expect(page.get_by_role("heading").locator(".hidden-character")).to_have_count(0)


def test_the_key_of_the_caller_is_only_in_memory(page, server, sign_in):
    sign_in(page)
    expect(page.get_by_role("table")).to_be_visible()
    secret = server.token
    state = page.evaluate(
        """() => JSON.stringify([
          {...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state,
          document.documentElement.outerHTML,
          document.querySelector("keywright-keys").shadowRoot.innerHTML,
          performance.getEntriesByType("resource").map((entry) => entry.name),
        ])"""
    )
    assert secret not in state and secret.rsplit("_", 1)[1] not in state
    page.reload()
    expect(page.get_by_label("API key", exact=True)).to_have_value("")


def test_requests_carry_the_key_and_no_cookie(page, server, sign_in):
    page.context.add_cookies([{"name": "session", "value": "host", "url": server.url}])
    requests = []
    page.on("request", lambda request: requests.append(request))
    sign_in(page)
    expect(page.get_by_role("table")).to_be_visible()
    calls = [request.all_headers() for request in requests if "/v1/" in request.url]
    assert calls and all(call["authorization"] == f"Bearer {server.token}" for call in calls)
    assert not any("cookie" in call for call in calls)
    origins = {request.url.split("/")[2] for request in requests}
    assert origins == {server.url.split("/")[2]}




def test_metrics_name_the_template_of_a_file_and_not_its_version(page, server):
    page.goto(f"{server.url}/console")
    expect(page.get_by_label("API key", exact=True)).to_be_visible()
    page.goto(f"{server.url}/metrics")
    metrics = page.locator("body").inner_text()
    assert 'route="/console"' in metrics
    assert 'route="/console/{version}/{file}"' in metrics
    assert metrics.count("/console/") == metrics.count("/console/{version}/{file}")


def test_a_server_without_a_console_has_none(page, own_server):
    server = own_server("--no-console")
    assert page.goto(f"{server.url}/console").status == 404
    assert page.goto(f"{server.url}/healthz").status == 200


def test_readers_of_german_get_german(new_page, server):
    page = new_page(locale="de-DE")
    page.goto(f"{server.url}/console")
    page.get_by_label("API-Schlüssel", exact=True).fill(server.token)
    button(page, "Anmelden").click()
    expect(page.get_by_role("heading", name="Schlüssel", exact=True)).to_be_visible()
    expect(page.get_by_text("Zuletzt benutzt").first).to_be_visible()
    assert page.title() == "API-Schlüssel"
    assert page.locator("html").get_attribute("lang") == "de-DE"
