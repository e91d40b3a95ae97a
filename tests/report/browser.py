"""A headless Chromium, asked over a pipe by its DevTools protocol: no driver and no port."""

import base64
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import Any

from nbformat.v4 import new_code_cell, new_notebook, new_output

from p2s.report import pages
from p2s.report.menu import Entry
from p2s.report.printing import chromium

# Chromium reads commands at descriptor 3 and answers at 4.
MOVED = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
PHONE, DESKTOP = 390, 1400  # pixels


class Browser:
    """One tab; `told` are the events that its domains have sent since the last page."""

    def __init__(self, write, read):
        self._write, self._read, self._count, self.told = write, read, 0, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": session["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    _session: dict[str, str] = {}

    def ask(self, method: str, **parameters) -> dict[str, Any]:
        """The result of a command."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters}
        self._write.write(json.dumps(command | self._session).encode() + b"\0")
        self._write.flush()
        while (message := self._message()).get("id") != self._count:
            self.told.append(message)
        if "error" in message:
            raise ValueError(f"{method}: {message['error']}")
        return message["result"]

    def open(self, url: str, width: int = DESKTOP, scheme: str = "light") -> None:
        """Load a page in a window of a width, in a colour scheme, and wait until all is there."""
        self.told.clear()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", features=features)
        self.ask("Page.navigate", url=url)
        while not self.events("Page.loadEventFired"):
            self.told.append(self._message())

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def events(self, method: str) -> list[dict]:
        """What has been told by a name since the page began to load."""
        return [event["params"] for event in self.told if event.get("method") == method]

    def picture(self, whole: bool = True) -> bytes:
        """The page, or what the window shows of it, as PNG."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def _message(self) -> dict:
        read = bytearray()
        while (byte := self._read.read(1)) != b"\0":
            if not byte:
                raise EOFError("Chromium has ended")
            read += byte
        return json.loads(read)


@contextmanager
def browser(folder):
    """A Browser with a new profile in a folder; it ends with the block."""
    (theirs, write), (read, back) = os.pipe(), os.pipe()
    command = [*chromium(), f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"]
    command = [sys.executable, "-c", MOVED, str(theirs), str(back), *command]
    process = subprocess.Popen(command, pass_fds=(theirs, back), stderr=subprocess.DEVNULL)
    for mine in (theirs, back):
        os.close(mine)
    try:
        with os.fdopen(write, "wb") as commands, os.fdopen(read, "rb") as answers:
            yield Browser(commands, answers)
    finally:
        process.terminate()
        process.wait()


def page_of(content, folder):
    """The file of a page, in a folder, that holds what has been displayed as HTML."""
    this, cell = Entry("a.html", "A", "A"), new_code_cell("1")
    cell.outputs = [new_output("display_data", {"text/html": content._repr_html_()})]
    path = folder / "a.html"
    path.write_text(pages.html(new_notebook(cells=[cell]), this, [this]), encoding="utf-8")
    return path
