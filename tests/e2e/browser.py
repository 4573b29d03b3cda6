"""Chromium without a window, and the simulated phone in it, used as a person would: by what is on the page."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from ops.setup import debian
from ops.setup.errors import SetupError

PACKAGES = ["chromium", "chromium-driver", "fonts-dejavu-core"]
PATIENCE_S = 15

T = TypeVar("T")


def ensure_browser() -> None:
    """Install Chromium and its driver where they are missing and can be installed: by root on Debian."""
    if shutil.which("chromium") and shutil.which("chromedriver"):
        return
    try:
        debian.install("browser of the phone page's tests", PACKAGES, "install Chromium and chromedriver by yourself")
    except SetupError as error:
        pytest.fail(str(error))


def start(language: str = "en") -> Chrome:
    """Start a browser with a microphone that beeps."""
    ensure_browser()
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (
        "--headless=new",
        "--disable-dev-shm-usage",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        "--autoplay-policy=no-user-gesture-required",
        "--window-size=1280,860",
        f"--accept-lang={language}",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))


class PhonePage:
    """The page of one simulator in a browser."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self._url = url

    def open(self) -> None:
        self.driver.get(f"{self._url}/simulator")

    def log_in(self, key: str) -> None:
        self.find("#key").clear()
        self.find("#key").send_keys(key, Keys.ENTER)

    def find(self, selector: str) -> WebElement:
        """An element that is seen, once it is."""
        return self.eventually(lambda: self.seen(selector)[0], f"{selector} is seen")

    def seen(self, selector: str) -> list[WebElement]:
        return [each for each in self.driver.find_elements(By.CSS_SELECTOR, selector) if each.is_displayed()]

    def press(self, selector: str) -> None:
        """Press something once it can be pressed."""

        def attempt() -> bool:
            self.find(selector).click()
            return True

        self.eventually(attempt, f"{selector} can be pressed")

    def choose_instance(self, name: str) -> None:
        button = f"//div[@id='instances']/button[text()='{name}']"

        def chosen() -> bool:
            self.driver.find_element(By.XPATH, button).click()
            return self.driver.find_element(By.XPATH, button).get_attribute("aria-pressed") == "true"

        self.eventually(chosen, f"the instance {name} is chosen")

    def choose_chat(self, jid: str) -> None:
        self.press(f'#chats button[data-jid="{jid}"]')
        self.eventually(lambda: self.seen("#chat"), "the chat is open")

    def write(self, words: str) -> None:
        self.find("#text").send_keys(words, Keys.ENTER)

    def message(self, words: str) -> WebElement:
        """The message that says just this."""

        def look() -> WebElement:
            found = [each for each in self.seen("#log .message") if any(part.text == words for part in self._words(each))]
            return found[-1]

        return self.eventually(look, f"a message says {words!r}; there is {self.find('#log').text!r}")

    @staticmethod
    def _words(message: WebElement) -> list[WebElement]:
        return message.find_elements(By.CSS_SELECTOR, ".words")

    def wait_for_mark(self, words: str, mark: str) -> None:
        def marked() -> bool:
            return self.message(words).find_element(By.CSS_SELECTOR, ".mark").get_attribute("aria-label") == mark

        self.eventually(marked, f"{words!r} is marked as {mark}")

    def wait_for_text(self, selector: str, text: str) -> None:
        self.eventually(lambda: text in self.find(selector).text, f"{selector} says {text!r}")

    def run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401  # whatever the script gives
        return self.driver.execute_script(script, *arguments)

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def complaints(self) -> list[str]:
        """What the browser complained of, such as a broken policy or an uncaught error; since the last time it was asked."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def eventually(self, look: Callable[[], T], why: str) -> T:
        """Look again until there is something to see; what isn't there yet, or no longer, is looked for anew."""
        limit = time.monotonic() + PATIENCE_S
        while time.monotonic() < limit:
            with suppress(WebDriverException, IndexError):
                found = look()
                if found:
                    return found
            time.sleep(0.05)
        raise AssertionError(f"not within {PATIENCE_S} s: {why}")
