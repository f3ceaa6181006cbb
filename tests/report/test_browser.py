"""The page of a report in a real browser, at the width of a desktop and of a phone."""

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

# Reports on the page, once it has loaded, to the frame around it, which has the width of a screen.
PROBE = """
<script>
addEventListener("load", () => {
  const images = [...document.images].map(image => {
    const box = image.getBoundingClientRect();
    return {drawn: image.complete && image.naturalWidth > 0 && box.width > 50 && box.height > 20,
            inside: box.left >= 0 && box.right <= innerWidth + 0.5, alt: image.alt};
  });
  parent.postMessage(JSON.stringify({
    images, width: innerWidth, overflow: document.documentElement.scrollWidth - innerWidth,
    requests: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !/^data:/.test(name)),
    heading: document.querySelector("h1").getBoundingClientRect().bottom,
    answer: document.images[0].getBoundingClientRect().bottom,
  }), "*");
});
</script>
"""
FRAME = """<!doctype html><meta charset="utf-8">
<iframe src="page.html" width="{width}" height="{height}" style="border:0"></iframe>
<script>
addEventListener("message", event => document.documentElement.dataset.probe = btoa(event.data));
</script>
"""


def look(folder: Path, html: str, *, width: int, height: int) -> tuple[dict, str]:
    """Return (what the probe found, what the browser wrote to its log)."""
    (folder / "page.html").write_text(html.replace("</main>", "</main>" + PROBE))
    (folder / "frame.html").write_text(FRAME.format(width=width, height=height))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1600,1200", "--enable-logging=stderr"]
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
    return files(panels(read_runs(made)), [], mixed_code=False)["report.html"].decode()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_page_in_a_browser(tmp_path, html, width, height):
    found, log = look(tmp_path, html, width=width, height=height)
    assert found["width"] == width
    assert len(found["images"]) == 1 + 2 * 3
    assert all(image["drawn"] and image["inside"] and image["alt"] for image in found["images"]), found["images"]
    assert found["overflow"] <= 0  # the page does not scroll sideways; wide tables do, within themselves
    assert found["requests"] == []
    assert "CONSOLE" not in log
    assert found["heading"] < height
    assert found["answer"] < height  # the answer is in the first screen


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_the_probe_sees_what_is_wrong(tmp_path, html):
    wrong = '<img src="http://nosuch.invalid/x.png" alt=""><p style="width:3000px">.</p><script>nosuch()</script>'
    broken = html.replace("</main>", f"{wrong}</main>")
    found, log = look(tmp_path, broken, width=390, height=844)
    assert not found["images"][-1]["drawn"]
    assert found["overflow"] > 0
    assert found["requests"]
    assert "CONSOLE" in log
