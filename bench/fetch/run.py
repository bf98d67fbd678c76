#!/usr/bin/env python3
"""Pages a CPU second: asyncrt's HTTP client beside a loop of libcurl in C.

A real nginx serves python3-doc over loopback, on the last CPU; the clients have
the first one, and take turns. Prints, for each number of connections, the CPU
time of a page and the median of the ratios of each round.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGES = Path("/usr/share/doc/python3/html")
CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 2048; }}
http {{
  types {{ text/html html; }}
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/a;
  proxy_temp_path {folder}/b;
  fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d;
  scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; root {pages}; }}
}}
"""


def serve(folder, port, cpu):
    configuration = Path(folder, "nginx.conf")
    configuration.write_text(CONFIGURATION.format(
        folder=folder, port=port, pages=PAGES.resolve()))
    server = subprocess.Popen(["taskset", "-c", str(cpu), "nginx", "-c",
                               configuration], stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html")
            return server
        except OSError:
            time.sleep(0.05)
    server.kill()
    sys.exit("nginx does not answer")


def measure(command, cpu):
    """CPU microseconds of a page, and pages a second."""
    done = subprocess.run(["taskset", "-c", str(cpu), *map(str, command)],
                          check=True, text=True, capture_output=True)
    pages, size, clock, used = map(float, done.stdout.split())
    return used / pages * 1e6, pages / clock, size


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asyncrt", type=Path,
                        default=ROOT / "build/release/asyncrt")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--jobs", type=int, nargs="*", default=[1, 16, 128])
    parser.add_argument("--repeat", type=int, default=4,
                        help="how often a round fetches all pages")
    options = parser.parse_args()
    if not shutil.which("nginx") or not PAGES.exists():
        sys.exit("it needs nginx-light and python3-doc")

    cpus = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        peer = Path(folder, "curl")
        subprocess.run(["cc", "-O2", "-o", peer, HERE / "curl.c", "-lcurl"],
                       check=True)
        port = 8000 + os.getpid() % 20000
        listing = Path(folder, "urls")
        listing.write_text("".join(
            f"http://127.0.0.1:{port}/{path.relative_to(PAGES.resolve())}\n"
            for path in sorted(PAGES.resolve().rglob("*.html"))))
        server = serve(folder, port, cpus[-1])
        try:
            for jobs in options.jobs:
                arguments = [listing, jobs, options.repeat]
                commands = {
                    "libcurl": [peer, *arguments],
                    "asyncrt": [options.asyncrt, "--watch-ms=0",
                                HERE / "asyncrt.lua", *arguments],
                }
                rounds = []
                for _ in range(options.rounds):
                    rounds.append({name: measure(command, cpus[0])
                                   for name, command in commands.items()})
                sizes = {r[name][2] for r in rounds for name in r}
                assert len(sizes) == 1, sizes
                ratios = [r["libcurl"][0] / r["asyncrt"][0] for r in rounds]
                for name in commands:
                    print(f"{jobs:4} at once  {name:8}"
                          f"{statistics.median(r[name][0] for r in rounds):8.1f}"
                          " us of CPU a page,"
                          f"{statistics.median(r[name][1] for r in rounds):8.0f}"
                          " pages a second")
                print(f"{jobs:4} at once  pages a CPU second, asyncrt to "
                      f"libcurl: {statistics.median(ratios):.2f} "
                      f"({min(ratios):.2f} to {max(ratios):.2f})")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
