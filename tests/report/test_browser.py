"""The page of a report in a real browser, at the width of a desktop, of a tablet and of a phone, light and dark.

`pytest -m slow tests/report/test_browser.py`, with chromium (`apt-get install chromium`).
"""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.made_runs import make_study

from resgan.report.page import files
from resgan.report.panels import panels
from resgan.report.records import read_runs

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)

# Reports on the page, once it has loaded and after its controls were used, to the frame around it.
PROBE = """
<script>
function colourOf(text) {  // as [r, g, b, a] from 0 to 1
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  canvas.fillStyle = text;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].map(value => value / 255);
}
function groundOf(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (colourOf(colour)[3] === 1) return colour;
  }
  return "white";
}
function contrastOf(element) {
  const luminance = colour => colourOf(colour).slice(0, 3)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const [low, high] = [getComputedStyle(element).color, groundOf(element)].map(luminance).sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
function sorted(table, column) {
  const button = table.tHead.rows[0].cells[column].querySelector("button");
  const seen = [];
  for (let k = 0; k < 3; ++k) {
    button.focus();
    button.click();
    seen.push([table.tHead.rows[0].cells[column].getAttribute("aria-sort"),
               [...table.tBodies[0].rows].map(row => row.cells[column].textContent)]);
  }
  return seen;
}
addEventListener("load", async () => {
  const images = [...document.images].map(image => {
    const box = image.getBoundingClientRect();
    return {drawn: image.complete && image.naturalWidth > 0 && box.width > 50 && box.height > 20,
            inside: box.left >= 0 && box.right <= innerWidth + 0.5, alt: image.alt};
  });
  const texts = [...document.querySelectorAll("main *")].filter(element => element.getClientRects().length
    && [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim()));
  const seen = {
    images, width: innerWidth, overflow: document.documentElement.scrollWidth - innerWidth,
    requests: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !/^data:/.test(name)),
    heading: document.querySelector("h1").getBoundingClientRect().bottom,
    answer: document.images[0].getBoundingClientRect().bottom,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    contrast: Math.min(...texts.map(contrastOf)), texts: texts.length,
    unnamed: [...document.querySelectorAll("button, a, summary, [tabindex]")]
      .filter(control => !(control.getAttribute("aria-label") ?? control.textContent).trim()).length,
    cut: [...document.querySelectorAll(".scroll")].map(scroll => [scroll.scrollWidth > scroll.clientWidth + 1,
      getComputedStyle(scroll.nextElementSibling).display !== "none", scroll.tabIndex === 0]),
    buttons: document.querySelectorAll("thead button").length,
  };
  const table = document.querySelector("table.sortable");
  if (table?.querySelector("button")) seen.sorted = sorted(table, 1);
  const button = document.querySelector("button.copy");
  if (button) {
    let copied = null;
    Object.defineProperty(navigator, "clipboard", {value: {writeText: async text => { copied = text; }}});
    button.click();
    await new Promise(done => setTimeout(done, 50));
    Object.assign(seen, {copied, said: document.getElementById("said").textContent});
  }
  parent.postMessage(JSON.stringify(seen), "*");
});
</script>
"""
FRAME = """<!doctype html><meta charset="utf-8">
<iframe src="page.html" width="{width}" height="{height}" style="border:0"></iframe>
<script>
const encoded = text => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
addEventListener("message", event => document.documentElement.dataset.probe = encoded(event.data));
</script>
"""


def look(folder: Path, html: str, *, width: int, height: int, dark: bool = False) -> tuple[dict, str]:
    """Return (what the probe found, what the browser wrote to its log)."""
    (folder / "page.html").write_text(html.replace("</main>", "</main>" + PROBE))
    (folder / "frame.html").write_text(FRAME.format(width=width, height=height))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1600,1200", "--enable-logging=stderr"]
    flags.append(f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    command = [str(BROWSER), *flags, "--virtual-time-budget=20000", "--dump-dom", str(folder / "frame.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-probe="([^"]+)"', done.stdout)
    assert found, done.stderr
    return json.loads(base64.b64decode(found[1])), done.stderr


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("study")
    forms = [("generator.join=sum", "disc.join=sum"), ()]
    made = [make_study(folder / str(k), seeds=4, g=0.5, picture=True, overrides=form) for k, form in enumerate(forms)]
    command = "python -m resgan.report runs/s"
    return files(panels(read_runs(made)), [], mixed_code=False, command=command)["report.html"].decode()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1400, 900), (800, 1000), (390, 844)])
def test_the_page_in_a_browser(tmp_path, html, width, height, dark):
    found, log = look(tmp_path, html, width=width, height=height, dark=dark)
    assert (found["width"], found["dark"]) == (width, dark)
    assert len(found["images"]) == 1 + 2 * 3
    assert all(image["drawn"] and image["inside"] and image["alt"] for image in found["images"]), found["images"]
    assert found["overflow"] <= 0  # the page does not scroll sideways; wide tables do, within themselves
    assert found["requests"] == []
    assert "CONSOLE" not in log
    assert found["heading"] < height
    assert found["answer"] < height  # the answer is in the first screen
    assert found["texts"] > 100
    assert found["contrast"] >= 4.5
    assert found["unnamed"] == 0
    # A table that is cut says so, and can be scrolled by keys; others do neither.
    assert all(cut == hint == reached for cut, hint, reached in found["cut"]), found["cut"]
    assert width > 390 or any(cut for cut, *_ in found["cut"])


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_the_controls_in_a_browser(tmp_path, html):
    """A column is sorted upwards, downwards, and as it was; a button copies the commands, and says so."""
    found, _ = look(tmp_path, html, width=1400, height=900)
    assert [order for order, _ in found["sorted"]] == ["ascending", "descending", None]
    up, down, before = ([float(cell) for cell in cells] for _, cells in found["sorted"])
    assert up == sorted(before) != before
    assert down == up[::-1]
    assert found["copied"].splitlines()[0].startswith("# 32 runs, at commit")
    assert found["copied"].splitlines()[-1] == "python -m resgan.report runs/s"
    assert found["said"] == "The commands are copied."


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_the_page_without_its_script(tmp_path, html):
    """All of it can be read, nothing is there to press, and a phone is told that tables scroll."""
    start, rest = html.split("<script>")
    found, _ = look(tmp_path, start + rest.split("</script>")[1], width=390, height=844)
    assert found["buttons"] == 0
    assert found["overflow"] <= 0
    assert all(hint and reached for _, hint, reached in found["cut"])
    assert "copied" not in found


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_the_probe_sees_what_is_wrong(tmp_path, html):
    wrong = '<img src="http://nosuch.invalid/x.png" alt=""><p style="width:3000px">.</p><script>nosuch()</script>'
    wrong += '<p style="color: #999; background: #fff">pale</p><button></button>'
    broken = html.replace("</main>", f"{wrong}</main>")
    found, log = look(tmp_path, broken, width=390, height=844)
    assert not found["images"][-1]["drawn"]
    assert found["overflow"] > 0
    assert found["requests"]
    assert "CONSOLE" in log
    assert found["contrast"] == pytest.approx(2.85, abs=0.01)
    assert found["unnamed"] == 1
