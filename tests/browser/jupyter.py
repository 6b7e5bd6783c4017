"""A real JupyterLab in headless Chromium, for tests that use a notebook as a learner does."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, TimeoutError, sync_playwright

from fargate_lab.cloud import process
from fargate_lab.paths import cache_dir, repo_root
from tests.conftest import chromium

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
BUSY = """() => document.querySelector('.jp-Notebook-ExecutionIndicator')
    ?.getAttribute('data-status') === 'busy'
    || [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
       .some(prompt => prompt.textContent.includes('*'))"""


def settings(folder: Path, theme: str) -> Path:
    """JupyterLab settings: no news, every cell in the page, a theme."""
    shell = folder / "@jupyterlab" / "apputils-extension"
    shell.mkdir(parents=True)
    news = {"fetchNews": "false", "checkForUpdates": False}
    (shell / "notification.jupyterlab-settings").write_text(json.dumps(news))
    (shell / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
    notebook = folder / "@jupyterlab" / "notebook-extension"
    notebook.mkdir(parents=True)
    # Otherwise cells outside the window are not in the page.
    (notebook / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    return folder


@contextlib.contextmanager
def jupyterlab(folder: Path, work: Path, theme: str = "JupyterLab Light") -> Iterator[str]:
    """Serve a folder's notebooks, with a cloud of their own; yields the address with its token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    state = work / "state"
    environment = {**os.environ, "LAB_STATE_DIR": str(state), "LAB_CACHE_DIR": str(cache_dir())}
    environment["PYTHONPATH"] = str(repo_root())
    log = (work / "jupyter.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root",
         f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}",
         f"--LabApp.user_settings_dir={settings(work / 'settings', theme)}",
         f"--LabApp.workspaces_dir={work / 'workspaces'}"],
        stdout=log, stderr=log, env=environment)  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token={token}").close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((work / "jupyter.log").read_text()[-2000:]) from None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/lab/tree/{{notebook}}?token={token}&reset"
    finally:
        server.terminate()
        server.wait(30)
        log.close()
        process.stop(state)


@contextlib.contextmanager
def page(address: str) -> Iterator[Page]:
    """An opened notebook."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=QUIET)
        try:
            view = browser.new_page(viewport={"width": 1280, "height": 1600})
            view.goto(address, timeout=60_000)
            view.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
            with contextlib.suppress(TimeoutError):
                view.locator(".jp-Dialog button.jp-mod-accept").click(timeout=2_000)
            yield view
        finally:
            browser.close()


def run_all(view: Page, seconds: float = 240) -> list[str]:
    """Run every cell; the texts of outputs that are errors."""
    # Cells sent before the kernel has answered are dropped without a word.
    view.get_by_text("(ipykernel) | Idle").wait_for(timeout=60_000)
    view.get_by_role("menuitem", name="Run", exact=True).click()
    view.get_by_text("Run All Cells", exact=True).click()
    view.wait_for_function(BUSY, timeout=30_000)
    view.wait_for_function(f"() => !({BUSY})()", timeout=seconds * 1000)
    errors: list[Any] = view.locator(
        '.jp-RenderedText[data-mime-type="application/vnd.jupyter.error"]'
    ).all_text_contents()
    return [str(e) for e in errors]
