"""Check the built site in a headless browser: ``python -m tools.check_site site``.

This opens every page at the widths of a desktop, a tablet and a phone, in light and dark mode. It reports pages that
scroll sideways, code or tables that are cut off on a desktop or that scroll on a smaller screen without showing it,
broken pictures, pictures without a link to their full size, and text with too little contrast. Sphinx checks the links.

It needs a headless Chromium, which it finds under any of its usual names (``CHROMIUM=path`` names another). The
browser loads ``check_site.html`` from a local server, which opens the pages in a frame and sends back the problems.
Without a browser, the program prints that it skipped the check.
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
    """Print the problems of a site, and return 1 if there are any, as an exit status."""
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
    """Return the addresses of the pages of a site, except the source code pages that Sphinx generates."""
    generated = ("_modules/", "genindex.html", "py-modindex.html", "search.html", "index.html")
    names = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    return [name for name in names if not name.startswith(generated)]


def look(site: Path, names: list[str], browser: str) -> list[str]:
    """Return the problems of some pages of a site, as sentences."""
    report: list[list[str]] = []
    done = threading.Event()  # set when the browser has sent its report

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
        # The sandbox does not work for root, as in a container, and it is not needed for our own pages.
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
