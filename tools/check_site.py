"""Look at the site as a reader's browser draws it: ``python -m tools.check_site site``.

Every page is opened at the widths of a desk, a tablet and a phone, in light and dark. Reported is what a reader would
stumble over: a page that scrolls sideways, code or a table that is cut at the width of a desk, one that scrolls on
a smaller screen without showing it, a picture that is broken or has no link to its full size, text that is hard to
tell from its background. Sphinx checks the links.

A headless Chromium does it, of any name under which it is installed (``CHROMIUM=path`` names another). It loads
``check_site.html`` from a server on this machine, which opens the pages in a frame and sends back what it saw. Where
there is none this says so.
"""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LOOK = Path(__file__).with_suffix(".html")
BROWSERS = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "chrome", "microsoft-edge")
LIMIT = 600  # seconds for all pages


def main(site: Path) -> int:
    """Print what is wrong with a site; return 1 if there is anything, for the shell."""
    if not (browser := find_browser()):
        print(f"check_site: skipped: no browser looked at the pages, as none of {', '.join(BROWSERS)} is installed")
        return 0
    faults = look(site, pages(site), browser)
    for fault in faults:
        print(f"check_site: {fault}", file=sys.stderr)
    return 1 if faults else 0


def find_browser() -> str | None:
    """Return the path of a Chromium, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def pages(site: Path) -> list[str]:
    """Return the addresses of the pages below a site; not those that Sphinx makes of code, which nobody lays out."""
    generated = ("_modules/", "genindex.html", "py-modindex.html", "search.html", "index.html")
    names = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    return [name for name in names if not name.startswith(generated)]


def look(site: Path, names: list[str], browser: str) -> list[str]:
    """Return what is wrong with some pages of a site, as sentences."""
    report: list[list[str]] = []
    done = threading.Event()  # set once there is a report

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/look":
                return super().do_GET()
            text = LOOK.read_text().replace("PAGES", json.dumps(names)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text)

        def do_POST(self):
            report.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *args):
            pass

    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site))) as server,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # No sandbox: root, as in a container, can't have one; the pages are our own.
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--mute-audio"]
        options += [f"--user-data-dir={profile}", "--window-size=1500,1000"]
        url = f"http://127.0.0.1:{server.server_port}/look"
        process = subprocess.Popen([browser, *options, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + LIMIT
        try:
            while not done.wait(1) and process.poll() is None and time.monotonic() < end:
                pass
        finally:
            process.terminate()
            status = process.wait()
            server.shutdown()
    return report[0] if report else [f"{browser} gave no report within {LIMIT} s, or ended before (status {status})"]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "site")))
