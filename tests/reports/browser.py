"""A real browser without a screen: Debian's Chromium, spoken to by its DevTools protocol."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

NAME = "chromium"
_PATIENCE_SECONDS = 60


@dataclass
class Browser:
    """One page of a browser, and what it did on its own: `events` as DevTools tells them."""

    socket: Connection
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something; what happens until it is answered is kept in `events`."""
        self.asked += 1
        message: dict[str, Any] = {"id": self.asked, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            told = json.loads(self.socket.recv(_PATIENCE_SECONDS))
            if told.get("id") == self.asked:
                assert "error" not in told, told
                return dict(told["result"])
            self.events.append(told)

    def open(self, page: Path, width: int, scheme: str) -> None:
        """Load a page into a window of `width` CSS pixels that prefers `scheme`, dark or light."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,  # a telephone makes room for what does not fit, and so hides it
        )
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while self.ask("document.readyState") != "complete":
            time.sleep(0.05)

    def ask(self, script: str) -> Any:
        """Evaluate JavaScript in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"]
        return result.get("value")

    def picture(self) -> bytes:
        """Take a picture of the whole page, as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])


@contextmanager
def started(profile: Path) -> Iterator[Browser]:
    """Start the browser with an empty profile, which may reach nothing but files."""
    command = [shutil.which(NAME) or NAME, "--headless=new", "--no-sandbox", "--disable-gpu"]
    command += [f"--user-data-dir={profile}", "--remote-debugging-port=0", "--no-first-run"]
    with subprocess.Popen(
        [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            with connect(_address(profile), max_size=None) as socket:
                browser = Browser(socket)
                target = browser.call("Target.createTarget", url="about:blank")["targetId"]
                attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
                browser.session = attached["sessionId"]
                for domain in ("Page", "Network", "Log", "Runtime"):
                    browser.call(f"{domain}.enable")
                yield browser
        finally:
            process.terminate()


def _address(profile: Path) -> str:
    """Wait until the browser has written where it listens."""
    told = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if told.exists() and len(lines := told.read_text().split()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.1)
    raise TimeoutError(f"{NAME} did not say where it listens")
