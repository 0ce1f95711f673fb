"""The real server, and a browser that fails a test if its policy is violated."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

KEYWRIGHT = os.environ["CONSOLE_KEYWRIGHT"]
EXAMPLE = os.environ["CONSOLE_EXAMPLE"]
CHROMIUM = os.environ["CONSOLE_CHROMIUM"]
FAILURES = Path(os.environ["CONSOLE_FAILURES"])
AXE = Path(os.environ["CONSOLE_AXE"]).read_text(encoding="utf-8")

# A machine under load may take long. No test waits for this time to pass.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)

# Reports a violation even where a script catches the error.
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Program:
    """A server that logs its address."""

    def __init__(self, command, environment, folder):
        self.folder = folder
        log = folder / "log"
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, cwd=folder
            )
        for _ in range(1200):
            found = re.search(r"on (http://[0-9.:]+)", log.read_text())
            if found:
                self.url = found[1]
                return
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start: {log.read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        shutil.rmtree(self.folder)


class Server(Program):
    """`keywright serve` on an SQLite file."""

    def __init__(self, *options, bulk=0, rate_limit=0):
        folder = Path(tempfile.mkdtemp())
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KEYWRIGHT_")},
            "KEYWRIGHT_STORE": f"sqlite:{folder}/keywright.db",
            "KEYWRIGHT_HASH": "hmac-sha256",
            "KEYWRIGHT_RATE_LIMIT": str(rate_limit),
        }
        self.token = self.create_key("Operator", "*")
        if bulk:
            copy_keys(folder / "keywright.db", bulk)
        command = [KEYWRIGHT, "serve", "--listen", "127.0.0.1:0", "--first-key", "none", *options]
        super().__init__(command, self.environment, folder)

    def create_key(self, name, permissions, *options):
        """Creates a key on the command line. Returns its token."""
        command = [KEYWRIGHT, "keys", "create", "--name", name, "--permissions", permissions, *options]
        run = subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True)
        return run.stdout.strip()

    def call(self, method, path, body=None, token=None):
        """Calls the API. Returns the status and the body."""
        request = urllib.request.Request(
            f"{self.url}/v1/api-keys{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {token or self.token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def create(self, name, **fields):
        status, key = self.call("POST", "", {"name": name, "permissions": ["calls:read"], **fields})
        assert status == 201, key
        return key


def copy_keys(path, count):
    """Copies the only key of a store, under other names and ids. No one has their secrets."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    def tail(number):
        text = ""
        for _ in range(5):
            number, digit = divmod(number, 62)
            text = digits[digit] + text
        return text.encode()

    with sqlite3.connect(path) as store:
        names = [name for (_, name, *_) in store.execute("PRAGMA table_info(keywright_keys)")]
        (row,) = store.execute("SELECT * FROM keywright_keys")
        key = dict(zip(names, row))
        rows = (
            {**key, "id": key["id"][:11] + tail(number), "name": f"Robot {number}"}
            for number in range(count)
        )
        marks = ", ".join(f":{name}" for name in names)
        store.executemany(f"INSERT OR IGNORE INTO keywright_keys VALUES ({marks})", rows)
    store.close()


@pytest.fixture(scope="session")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def own_server():
    """Starts servers with other options, and stops them."""
    servers = []

    def start(*options, **settings):
        servers.append(Server(*options, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def example():
    folder = Path(tempfile.mkdtemp())
    program = Program([EXAMPLE, "127.0.0.1:0"], dict(os.environ), folder)
    yield program
    program.stop()


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser, request):
    """Opens pages in one context. A message in the console or an error fails the test at its end."""
    contexts, errors = [], request.node.stash.setdefault(ERRORS, [])

    def open_page(other_context=False, **options):
        if other_context or not contexts:
            options = {"locale": "en", "permissions": ["clipboard-read", "clipboard-write"], **options}
            contexts.append(browser.new_context(**options))
            contexts[-1].add_init_script(REPORT_VIOLATIONS)
            contexts[-1].set_default_timeout(PATIENCE)
        page = contexts[-1].new_page()

        def on_message(message):
            # A test of an error causes this message.
            if message.type == "error" and not message.text.startswith("Failed to load resource"):
                errors.append(message.text)

        page.on("console", on_message)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield open_page
    if request.node.stash.get(FAILED, False) or errors:
        FAILURES.mkdir(parents=True, exist_ok=True)
        pages = [page for context in contexts for page in context.pages]
        for number, page in enumerate(pages):
            page.screenshot(path=FAILURES / f"{request.node.name}-{number}.png", full_page=True)
    for context in contexts:
        context.close()
    assert errors == []


FAILED = pytest.StashKey()
ERRORS = pytest.StashKey()


@pytest.fixture
def axe(request):
    """Returns what axe-core finds on a page: the rule, the elements and the reason of each problem."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

    def check(page):
        errors = request.node.stash[ERRORS]
        before = len(errors)
        page.evaluate(AXE)
        options = {"runOnly": {"type": "tag", "values": tags}}
        result = page.evaluate("(options) => axe.run(document, options)", options)
        # axe-core applies inline styles itself, which the policy of the page blocks.
        errors[before:] = [error for error in errors[before:] if "style" not in error]
        assert len(result["passes"]) > 5
        return [
            (violation["id"], [node["target"] for node in violation["nodes"]], violation["nodes"][0]["failureSummary"])
            for violation in result["violations"]
        ]

    return check


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
def page(new_page):
    return new_page()


@pytest.fixture
def sign_in(server):
    def sign_in(page, token=None, on=None, to=""):
        on = on or server
        # Another fragment alone would not load the page again.
        page.goto("about:blank")
        page.goto(f"{on.url}/console{to}")
        page.get_by_label("API key", exact=True).fill(token or on.token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("navigation", name="API keys")).to_be_visible()

    return sign_in
