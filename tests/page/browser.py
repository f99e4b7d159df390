#!/usr/bin/env python3
"""Opens pages in headless Chromium, says what is to be read in them, and takes pictures.

Reads a JSON list of views from standard input, writes a list of what was seen. A view:

    {"url": ..., "width": 380, "height": 800, "dark": false, "picture": "FILE" or null, "whole": true, "scale": 1,
     "scripts": false}

No script of a page runs unless a view says so. Chromium is spoken to by its DevTools protocol through two pipes, so no port is opened.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

PROGRAMS = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]
ANSWER_WAIT_MAX = 60

# What a person sees, in figures.
READ = """(() => {
  const page = document.documentElement;
  const text = node => node ? node.innerText.trim() : null;
  const row = node => { const tr = node.closest('tr'); return tr ? tr.dataset.row : null; };
  const table = node => { const section = node.closest('section'); return section ? section.id : null; };
  const wide = [...document.querySelectorAll('body *')].filter(node => {
    const box = node.getBoundingClientRect();
    return !node.closest('.unseen, thead') && box.width > 0 && (box.right > page.clientWidth + 0.5 || box.left < -0.5);
  });
  return {
    title: document.title,
    headline: text(document.querySelector('h1')),
    tone: document.querySelector('h1') && document.querySelector('h1').dataset.tone,
    besides: [...document.querySelectorAll('.besides li')].map(text),
    text: document.body.innerText,
    figures: [...document.querySelectorAll('data[data-figure]')].map(node => ({
      name: node.dataset.figure, value: node.value, text: text(node), table: table(node), row: row(node)})),
    rows: [...document.querySelectorAll('tbody tr')].map(node => ({table: table(node), about: node.dataset.row})),
    captions: [...document.querySelectorAll('table')].map(node => text(node.caption && node.caption.querySelector('h2'))),
    unnamed: [...document.querySelectorAll('svg')].filter(node => !node.getAttribute('aria-label')).length,
    unscoped: [...document.querySelectorAll('th')].filter(node => !node.scope).length,
    scripts: document.scripts.length,
    ran: window.ran === true,
    forms: document.forms.length,
    links: [...document.querySelectorAll('a')].map(node => node.getAttribute('href')),
    refresh: (document.querySelector('meta[http-equiv=refresh]') || {content: null}).content,
    scroll_width: page.scrollWidth,
    client_width: page.clientWidth,
    overflowing: wide.slice(0, 5).map(node => node.tagName + '.' + node.className + ': ' + (node.textContent || '').slice(0, 60)),
    height: Math.ceil(Math.max(page.getBoundingClientRect().height, page.scrollHeight)),
    ground: getComputedStyle(page).backgroundColor,
    ink: getComputedStyle(page).color,
    roles: [...new Set([...document.querySelectorAll('td')].map(node => node.getAttribute('role')))],
  };
})()"""

# How much there is in a picture: its mean brightness, how far it strays from that, and how many colours it has.
MEASURE = """(async () => {
  const bitmap = await createImageBitmap(await (await fetch('data:image/png;base64,' + %s)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d');
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  let sum = 0, squares = 0;
  const colours = new Set();
  for (let place = 0; place < pixels.length; place += 4) {
    const light = (2126 * pixels[place] + 7152 * pixels[place + 1] + 722 * pixels[place + 2]) / 10000;
    sum += light;
    squares += light * light;
    colours.add(pixels[place] << 16 | pixels[place + 1] << 8 | pixels[place + 2]);
  }
  const count = pixels.length / 4, mean = sum / count;
  return {width: bitmap.width, height: bitmap.height, brightness: mean, deviation: Math.sqrt(squares / count - mean * mean),
          colours: colours.size};
})()"""


def program():
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        sys.exit("no Chromium: install the Debian package chromium-headless-shell, or run tests/run")
    return found


def out_of_the_way(end):
    """The same end by a number above those two."""
    moved = fcntl.fcntl(end, fcntl.F_DUPFD, 10)
    os.close(end)
    return moved


class Browser:
    """Chromium, and a conversation with it: messages of JSON, each ended by a NUL."""

    def __init__(self, profile):
        to_browser, self.out = os.pipe()
        self.into, from_browser = os.pipe()
        arguments = [
            program(), "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--no-first-run", "--font-render-hinting=none", "--user-data-dir=" + profile, "about:blank",
        ]

        # Chromium reads from 3 and writes to 4; the shell puts both ends there, wherever they are.
        to_browser, from_browser = out_of_the_way(to_browser), out_of_the_way(from_browser)
        shell = 'exec 3<&%d 4>&%d; exec "$@"' % (to_browser, from_browser)
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *arguments],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.number = 0
        self.buffer = b""
        self.events = []

    def close(self):
        self.process.kill()
        self.process.wait()

    def ask(self, method, parameters=None, session=None):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        return self.wait(lambda answer: answer.get("id") == self.number)["result"]

    def wait(self, wanted):
        """The first message that is wanted; others that are no answers are kept."""
        until = time.monotonic() + ANSWER_WAIT_MAX
        while True:
            message = self.message(until)
            if "error" in message:
                sys.exit("Chromium refuses: %s" % message)
            if wanted(message):
                return message
            if "id" not in message:
                self.events.append(message)

    def message(self, until):
        while b"\0" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                sys.exit("Chromium does not answer")
            read = os.read(self.into, 1 << 20)
            if not read:
                sys.exit("Chromium has ended: %s" % self.process.stderr.read().decode(errors="replace")[-2000:])
            self.buffer += read
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def tab(self):
        target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        return self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]


def evaluate(browser, session, expression):
    asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
    answer = browser.ask("Runtime.evaluate", asked, session)
    if "exceptionDetails" in answer:
        sys.exit("a question to the page failed: %s" % answer["exceptionDetails"])
    return answer["result"]["value"]


def look(browser, blank, view):
    """Opens a page in a tab of its own, reads it, and takes its picture."""
    session = browser.tab()
    ask = lambda method, **parameters: browser.ask(method, parameters, session)
    for domain in ["Page", "Network", "Log", "Runtime"]:
        ask(domain + ".enable")
    ask("Emulation.setScriptExecutionDisabled", value=not view.get("scripts", False))
    size = {"width": view["width"], "height": view["height"], "deviceScaleFactor": view.get("scale", 1), "mobile": False}
    ask("Emulation.setDeviceMetricsOverride", **size)
    scheme = "dark" if view["dark"] else "light"
    ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.events.clear()
    ask("Page.navigate", url=view["url"])
    of_tab = lambda event: event.get("sessionId") == session
    if not any(of_tab(event) and event["method"] == "Page.loadEventFired" for event in browser.events):
        browser.wait(lambda event: of_tab(event) and event.get("method") == "Page.loadEventFired")
    seen = evaluate(browser, session, READ)
    if view.get("picture"):
        height = seen["height"] if view.get("whole") else view["height"]
        ask("Emulation.setDeviceMetricsOverride", **{**size, "height": height})
        picture = ask("Page.captureScreenshot", format="png")["data"]
        with open(view["picture"], "wb") as file:
            file.write(base64.b64decode(picture))
        seen["picture"] = evaluate(browser, blank, MEASURE % json.dumps(picture))
    events = [event for event in browser.events if of_tab(event)]
    parameters = lambda method: [event["params"] for event in events if event["method"] == method]
    seen["requests"] = [sent["request"]["url"] for sent in parameters("Network.requestWillBeSent")]
    seen["complaints"] = [entry["entry"]["text"] for entry in parameters("Log.entryAdded")]
    return seen


def main():
    views = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        try:
            blank = browser.tab()
            json.dump([look(browser, blank, view) for view in views], sys.stdout)
        finally:
            browser.close()


if __name__ == "__main__":
    main()
