"""A headless Chromium for tests of the page: it fails a test for errors in its console and for requests off loopback.

Needs selenium and Debian's packages chromium and chromium-driver; the tests are skipped where one of them is missing.
"""

import json
import os
import shutil
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rlgen.ui.server import Server

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
)
SECONDS = 15  # to wait for anything, at most: the machine may be busy
NETWORK = ("http", "https", "ws", "wss", "ftp")
LOCAL = ("127.0.0.1", "localhost")


def program(variable: str, *names: str) -> str | None:
    """The path in an environment variable, or of the first of `names` that is installed."""
    return os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)


class Page:
    """The page in Chromium, by CSS selectors."""

    def __init__(self, driver):
        self.driver = driver
        self.expected = []  # texts of console errors that a test causes on purpose

    def open(self, address):
        """Load an address, and wait until everything is drawn for the first time."""
        self.driver.get(address)
        self.wait(lambda: self.js("return document.body.classList.contains('ready')"), "the page")

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition, what="the condition"):
        """The first true value of `condition`, which is called again and again."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.05)
        pytest.fail(f"waited {SECONDS} s in vain for {what}; console: {self.errors()}")

    def all(self, selector):
        """The elements that can be seen."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.common.by import By

        try:
            return [e for e in self.driver.find_elements(By.CSS_SELECTOR, selector) if e.is_displayed()]
        except StaleElementReferenceException:  # drawn anew meanwhile
            return self.all(selector)

    def find(self, selector):
        """The first such element, once it can be seen."""
        return self.wait(lambda: self.all(selector), selector)[0]

    def use(self, selector, action):
        """What `action` returns for the first element; for its successor where the element is drawn anew meanwhile."""
        from selenium.common.exceptions import StaleElementReferenceException

        try:
            return action(self.find(selector))
        except StaleElementReferenceException:
            return self.use(selector, action)

    def text(self, selector):
        return self.use(selector, lambda element: element.text)

    def texts(self, selector):
        return self.js("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)

    def click(self, selector):
        def scroll_and_click(element):
            self.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
            element.click()

        self.use(selector, scroll_and_click)

    def press(self, *keys):
        """Press keys where the focus is."""
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.driver, duration=0).send_keys(key).perform()

    def focus(self):
        """What has the focus: its id, its label for screen readers or its text."""
        return self.js(
            "const e = document.activeElement; return e.id || e.getAttribute('aria-label') || e.textContent.trim()"
        )

    def size(self, width, height):
        """Set the size of the window in CSS pixels; below 600 of width it is a phone."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def theme(self, name):
        """The preference of the system, light or dark."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def errors(self):
        """Errors and warnings in the console since the last call."""
        lines = [line["message"] for line in self.driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]
        return [line for line in lines if not any(text in line for text in self.expected)]

    def requests(self):
        """Addresses that were requested since the last call, by the log of the network."""
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        sent = ("Network.requestWillBeSent", "Network.webSocketCreated")
        found = [event["params"] for event in events if event["method"] in sent]
        return [event["request"]["url"] if "request" in event else event["url"] for event in found]

    def check(self):
        """Fail for an error in the console, or for a request to anywhere but this machine."""
        assert not (errors := self.errors()), errors
        addresses = map(urlsplit, self.requests())
        elsewhere = [a.geturl() for a in addresses if a.scheme in NETWORK and a.hostname not in LOCAL]
        assert not elsewhere, elsewhere


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """One Chromium for all tests of a file."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install 'rlgen[test]'")
    from selenium.webdriver.chrome.service import Service

    binary = program("RLGEN_CHROMIUM", "chromium", "chromium-browser", "google-chrome")
    driver = program("RLGEN_CHROMEDRIVER", "chromedriver")
    if not binary or not driver:
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}", "about:blank"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()


@pytest.fixture
def browser(chromium):
    """The page of a window of 1280 x 900, light, without anything stored; checked at the end of the test."""
    page = Page(chromium)
    page.size(1280, 900)
    page.theme("light")
    yield page
    page.check()
    chromium.get("about:blank")
    chromium.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})


@pytest.fixture
def open_page(browser):
    """A function that serves a folder of runs and opens the page at a fragment of its address: the page."""
    servers = []

    def opened(runs: Path, fragment: str = "") -> Page:
        server = Server(runs, 0)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        servers.append((server, thread))
        browser.driver.get(server.address)  # exchanges the token for the cookie
        browser.driver.get("about:blank")
        browser.open(f"http://127.0.0.1:{server.server_address[1]}/{fragment and '#'}{fragment}")
        return browser

    yield opened
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()
