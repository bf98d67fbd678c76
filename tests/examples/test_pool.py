import collections
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

import example
from example import TestCase
from pages import DOCUMENTS, Nginx, Pages, ok

SUMMARY = re.compile(r"(\d+) pages, (\d+) bytes, (\d+) failures\n")
PROGRESS = re.compile(r"pages: (\d+) done, (\d+) active, (\d+) failed, "
                      r"[\d.]+/s(?:, took [\d.]+ s)?")


class Pool(TestCase):
    def run_pool(self, *arguments, paths=""):
        return subprocess.run(example.command("pool.lua", *arguments),
                              input=paths, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)

    def counts(self, line):
        """Pages, active jobs and failures in a line of progress."""
        match = PROGRESS.fullmatch(line)
        self.assertTrue(match, line)
        return tuple(map(int, match.groups()))

    def check_plain(self, done, status=0):
        """Pages, bytes, failures and messages of a run without a terminal."""
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertNotRegex(done.stderr, "[\r\x1b]")
        summary = SUMMARY.fullmatch(done.stdout)
        self.assertTrue(summary, done.stdout)
        pages, size, failures = map(int, summary.groups())
        lines = done.stderr.splitlines()
        if pages + failures > 0:
            self.assertEqual(self.counts(lines[-1]), (pages, 0, failures))
        messages = [line for line in lines if not line.startswith("pages: ")]
        return pages, size, failures, messages

    def documents(self):
        files = sorted(DOCUMENTS.rglob("*.html"))
        self.assertGreater(len(files), 400)
        return {str(file.relative_to(DOCUMENTS)): file for file in files}

    def test_every_page_of_nginx_once_and_unchanged(self):
        with Nginx() as nginx, tempfile.TemporaryDirectory() as folder:
            documents = self.documents()
            done = self.run_pool(nginx.url, folder,
                                 paths="".join(f"{path}\n"
                                               for path in documents))

            size = sum(file.stat().st_size for file in documents.values())
            self.assertEqual(self.check_plain(done),
                             (len(documents), size, 0, []))
            self.assertEqual(sorted(nginx.requests()),
                             sorted(f"200 /{path}" for path in documents))
            self.assertEqual(len(os.listdir(folder)), len(documents))
            for path, file in documents.items():
                saved = Path(folder, path.replace("/", "_"))
                self.assertEqual(saved.read_bytes(), file.read_bytes(), path)

    def test_thousands_of_jobs_from_standard_input(self):
        with Nginx() as nginx:
            paths = list(self.documents())
            paths = [paths[i % len(paths)] for i in range(2000)]
            paths += [f"missing-{i}" for i in range(100)]
            done = self.run_pool("--jobs", "32", nginx.url,
                                 paths="\n".join(paths))
            pages, _, failures, lines = self.check_plain(done)
            self.assertEqual((pages, failures), (2000, 100))
            self.assertEqual(len(lines), 100)
            for line in lines:
                self.assertRegex(
                    line, r"^missing-\d+: .*answered HTTP/1\.1 404 Not Found$")
            self.assertEqual(
                collections.Counter(nginx.requests()),
                collections.Counter(
                    f"{404 if path.startswith('missing') else 200} /{path}"
                    for path in paths))

    def test_a_live_line_on_a_terminal(self):
        output = self.watch_128_workers(terminal=True)
        self.assertTrue(output.endswith("\r\n"))
        first, *updates, last = output[:-2].split("\r")
        self.assertEqual(first, "")
        self.assertGreater(len(updates), 1)
        for line in updates[1:]:
            self.counts(line.rstrip(" "))
        self.assertEqual(self.counts(last.rstrip(" ")), (1000, 0, 0))
        self.assertNotIn("\x1b", output)

    def test_plain_lines_where_there_is_no_terminal(self):
        output = self.watch_128_workers(terminal=False)
        self.assertNotRegex(output, "[\r\x1b]")
        lines = output.splitlines()
        self.assertGreater(len(lines), 1)
        for line in lines[:-1]:
            self.counts(line)
        self.assertEqual(self.counts(lines[-1]), (1000, 0, 0))

    def watch_128_workers(self, terminal):
        """Runs 1000 jobs; the pages come once 128 of them are asked for and
        the line of progress has said so. Returns what it was."""
        full, go = threading.Event(), threading.Event()
        lock, active, most = threading.Lock(), 0, 0
        seen = collections.Counter()

        def answer(path, connection):
            nonlocal active, most
            with lock:
                active += 1
                most = max(most, active)
                seen[path] += 1
            if most >= 128:
                full.set()
            go.wait()
            with lock:
                active -= 1
            connection.sendall(ok("page\n"))

        with Pages(answer) as pages, tempfile.TemporaryFile("w+") as paths:
            paths.writelines(f"{i}\n" for i in range(1000))
            paths.seek(0)
            end, other = pty.openpty() if terminal else os.pipe()
            process = subprocess.Popen(
                example.command("pool.lua", pages.url), stdin=paths,
                stdout=subprocess.PIPE, stderr=other)
            os.close(other)
            output = b""
            try:
                while part := self.read(end):
                    output += part
                    if b" 128 active" in output:
                        full.wait()
                        go.set()
            finally:
                os.close(end)
                process.kill() if not go.is_set() else None
                printed, _ = process.communicate()
        self.assertEqual((process.returncode, printed),
                         (0, b"1000 pages, 5000 bytes, 0 failures\n"))
        self.assertEqual(most, 128)
        self.assertEqual(seen, {f"/{i}": 1 for i in range(1000)})
        return output.decode()

    def read(self, end):
        try:
            return os.read(end, 65536)
        except OSError:  # a terminal that nobody has open any more
            return b""

    def test_what_goes_wrong_is_counted(self):
        def answer(path, connection):
            if path == "/short":
                connection.sendall(ok("half", length=8))
            elif path == "/none":
                pass
            elif path == "/reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack("ii", 1, 0))
            elif path == "/garbage":
                connection.sendall(b"\0garbage\r\n\r\n")
            elif path == "/head":
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            elif path == "/no-length":
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nto the end")
            else:
                connection.sendall(ok("x" * 100_000))

        bad = ["short", "none", "reset", "garbage", "head"]
        with Pages(answer) as pages:
            good = ["no-length"] + [f"good-{i}" for i in range(50)]
            done = self.run_pool("--jobs", "7", pages.url,
                                 paths="\n".join(bad * 4 + good) + "\n")
        *figures, messages = self.check_plain(done)
        self.assertEqual(figures, [51, 5_000_010, 20])
        said = collections.Counter(line.split(":")[0] for line in messages)
        self.assertEqual(said, {path: 4 for path in bad})
        self.assertIn("short: ", done.stderr)
        self.assertIn("the page is cut short", done.stderr)

    def test_a_list_that_comes_slowly_holds_nothing_up(self):
        def answer(path, connection):
            connection.sendall(ok("page\n"))

        with Pages(answer) as pages, subprocess.Popen(
                example.command("pool.lua", pages.url), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE) as process:
            for count in (1, 2):
                process.stdin.write(f"{count}\n")
                process.stdin.flush()
                while self.counts(process.stderr.readline().rstrip("\n")) != (
                        count, 0, 0):
                    pass
            output, _ = process.communicate()
        self.assertEqual(output, "2 pages, 10 bytes, 0 failures\n")
        self.assertEqual(process.returncode, 0)

    def test_it_can_be_interrupted(self):
        asked, end = threading.Semaphore(0), threading.Event()

        def answer(path, connection):
            asked.release()
            end.wait()

        with Pages(answer) as pages:
            process = subprocess.Popen(
                example.command("pool.lua", pages.url), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
            process.stdin.write("".join(f"{i}\n" for i in range(1000)))
            process.stdin.flush()
            for _ in range(128):
                asked.acquire()
            process.terminate()
            output, errors = process.communicate()
            end.set()
        self.assertEqual(process.returncode, -signal.SIGTERM)
        self.counts(errors.splitlines()[-1])
        self.assertNotRegex(output, "1000 pages")

    def test_nobody_listens(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            done = self.run_pool(f"http://127.0.0.1:{port}/", paths="a\nb\n")
        self.assertEqual(self.check_plain(done, status=1)[:3], (0, 0, 2))
        self.assertIn(f"connect 127.0.0.1:{port}: connection refused",
                      done.stderr)

    def test_an_answer_of_http_1_0(self):
        def answer(path, connection):
            status = "200 OK" if path == "/a" else "500 No"
            connection.sendall(f"HTTP/1.0 {status}\r\n\r\npage\n".encode())

        with Pages(answer) as pages:
            done = self.run_pool(pages.url, paths="a\nb\n")
        *figures, messages = self.check_plain(done)
        self.assertEqual(figures, [1, 5, 1])
        self.assertRegex(messages[0], "^b: .*answered HTTP/1.0 500 No$")

    def test_without_a_url_it_tells_the_usage(self):
        self.check_usage("pool.lua")
        self.check_usage("pool.lua", "https://a/")
        self.check_usage("pool.lua", "--jobs", "many", "http://a/")

    def test_no_paths(self):
        done = self.run_pool("http://127.0.0.1:1/")
        self.assertEqual(self.check_plain(done), (0, 0, 0, []))
