"""Headless Chromium: Debian's, with its driver; for the tests of the report's page and for the pictures of it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
MISSING = "no Chromium here (Debian: apt-get install chromium chromium-driver)"
Browser = webdriver.Chrome


@contextmanager
def chromium() -> Iterator[Browser | None]:
    """A browser that logs its console and its requests; None where Chromium or its driver is missing."""
    binary, service = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or service is None:
        yield None
        return
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(service)) as browser:
        yield browser


def visit(driver: Browser, page: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
    """Open the page afresh and wait until all is drawn."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.get(page.as_uri())
    WebDriverWait(driver, 60).until(lambda browser: browser.execute_script("return document.body.dataset.ready"))
