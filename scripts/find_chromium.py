"""Find a Chromium that starts, or install one, and write its path where the tests look for it.

In this order: what SESSIONLAB_CHROMIUM names; one that is there; Playwright's own, inside the virtual environment; the
system's package, where one may install it. Each is started once: one that does not start counts as missing.
"""

from __future__ import annotations

import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOTE = "chromium-path"  # in the virtual environment, as is Playwright's own browser
BROWSERS = "browsers"
VARIABLE = "SESSIONLAB_CHROMIUM"
NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
    "msedge",
)
MAC = ("Google Chrome", "Chromium", "Microsoft Edge")
WINDOWS = (r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe")
PACKAGES = (
    (("apt-get", "update", "-q"), ("apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium")),
    (("dnf", "install", "-y", "chromium"),),
    (("apk", "add", "chromium"),),
)
# A process of its own, since what hangs or crashes must not take this one with it.
_START = """
import sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[1])
    assert browser.new_page().evaluate("1 + 1") == 2
    browser.close()
"""


def starts(path: str) -> bool:
    """Start it without a window and let it count; say why where it cannot."""
    with tempfile.TemporaryDirectory() as home:  # it writes nothing beside the user's own settings
        try:
            done = subprocess.run(
                [sys.executable, "-c", _START, path],
                env={**os.environ, "HOME": home},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            say(f"{path} is there, but did not start within a minute.")
            return False
    if done.returncode:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason given")
        say(f"{path} is there, but does not start: {reason.strip()}")
    return done.returncode == 0


def places(venv: str) -> Iterator[str]:
    """Yield where a browser may be, the likeliest first."""
    yield from (path for name in NAMES if (path := shutil.which(name)))
    for folder in ("/Applications", os.path.expanduser("~/Applications")):
        yield from (f"{folder}/{name}.app/Contents/MacOS/{name}" for name in MAC)
    for folder in (os.environ.get(name, "") for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")):
        yield from (os.path.join(folder, rest) for rest in WINDOWS if folder)
    yield from playwrights_own(venv)


def playwrights_own(venv: str) -> list[str]:
    """Return the browsers that Playwright has put into the virtual environment, the newest first."""
    found = []
    for pattern in ("chrome*/chrome", "chrome*/chrome.exe", "chrome*/*.app/Contents/MacOS/*"):
        found += glob.glob(os.path.join(venv, BROWSERS, "chromium-*", pattern))
    return sorted(found, reverse=True)


def first(paths: Iterable[str]) -> str | None:
    """Return the first that is there and starts."""
    there = dict.fromkeys(path for path in paths if path and os.path.isfile(path))
    return next((path for path in there if starts(path)), None)


def install_playwrights(venv: str) -> str | None:
    """Let Playwright install its Chromium into the virtual environment, with what it needs where that may be had."""
    folder = os.path.join(venv, BROWSERS)
    say(f"There is no Chromium that starts; asking Playwright for its own, into {folder}.")
    playwright = (sys.executable, "-m", "playwright")
    if not worked((*playwright, "install", "--no-shell", "chromium"), PLAYWRIGHT_BROWSERS_PATH=folder):
        return None
    found = first(playwrights_own(venv))
    if found is None and is_root() and worked((*playwright, "install-deps", "chromium")):
        found = first(playwrights_own(venv))
    return found


def install_package(venv: str) -> str | None:
    """Install the system's package, where one is root."""
    if not is_root():
        return None
    for commands in PACKAGES:
        if shutil.which(commands[0][0]):
            say(f"Installing the system's package by {commands[0][0]}.")
            for command in commands:  # after an update that failed the old lists may do
                worked(command, DEBIAN_FRONTEND="noninteractive")
            return first(places(venv))
    return None


def worked(command: tuple[str, ...], **variables: str) -> bool:
    """Run a command, with what it says for all to see on standard error."""
    try:
        return (
            subprocess.run(
                command, env={**os.environ, **variables}, stdout=sys.stderr, timeout=900, check=False
            ).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        say(f"{' '.join(command)} took more than 15 minutes and was stopped.")
        return False


def is_root() -> bool:
    """Return whether one may install packages of the system."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def say(text: str) -> None:
    """Print to standard error; standard output is for the path."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Print the path and note it down; return 1 where there is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-install", action="store_true", help="only look for one that is there")
    parser.add_argument("--venv", default=sys.prefix, metavar="FOLDER", help="where to note it (%(default)s)")
    arguments = parser.parse_args()
    named = os.environ.get(VARIABLE)
    if named:
        found = first([named])
        missing = f"{VARIABLE} names {named!r}, which is no Chromium that starts. Correct or unset it."
    else:
        found = first(places(arguments.venv))
        if found is None and not arguments.no_install:
            found = install_playwrights(arguments.venv) or install_package(arguments.venv)
        missing = (
            "There is no Chromium that starts. Install Chromium, Chrome or Edge in your system's own way "
            f"(on Debian: apt-get install chromium), or name one in {VARIABLE}, then run make again."
        )
    if found is None:
        say(missing)
        return 1
    with open(os.path.join(arguments.venv, NOTE), "w", encoding="utf-8") as file:
        file.write(found)
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
