"""Take a picture of the top of a report, with Debian's or any other Chromium.

Usage: python docs/tools/screenshot.py runs/compare/report.html docs/assets/compare.png [--height 900]
"""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    """Open the page from disk, without a network, and write what is seen of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--height", type=int, default=900)
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("error: chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": options.width, "height": options.height}, color_scheme="light")
        page.goto(options.page.resolve().as_uri())
        page.screenshot(path=options.picture)
        browser.close()


if __name__ == "__main__":
    main()
