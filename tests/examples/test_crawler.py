import collections
import functools
import html
import json
import os
import pty
import re
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

import example
from example import TestCase, eventually
from pages import DOCUMENTS, Nginx, Pages, ok


# As Sphinx writes them.
LINK = re.compile(r'<a\s(?:[^>]*\s)?href="([^"]*)"')


@functools.cache
def reachable(root):
    """The paths that links lead to from "/", as a web server has them."""
    todo, paths = ["/"], {"/"}
    while todo:
        path = todo.pop()
        file = Path(f"{root}/{urllib.parse.unquote(path)}")
        file = file / "index.html" if path.endswith("/") else file
        if file.suffix != ".html" or not file.exists():
            continue
        for target in set(LINK.findall(file.read_text())):
            url = urllib.parse.urlsplit(urllib.parse.urljoin(
                f"http://host{path}", html.unescape(target)))
            if (url.scheme, url.netloc) != ("http", "host"):
                continue
            to = (url.path or "/") + (f"?{url.query}" if url.query else "")
            if to not in paths:
                paths.add(to)
                todo.append(to)
    return paths


def page(*targets, head=""):
    """An answer with links."""
    links = "".join(f'<a href="{target}">x</a>\n' for target in targets)
    return ok(f"<html>{head}<body>{links}</body></html>").replace(
        b"\r\n", b"\r\nContent-Type: text/html\r\n", 1)


def tagged(answer, *values):
    """The same answer with fields X-Robots-Tag."""
    fields = "".join(f"\r\nX-Robots-Tag: {value}" for value in values)
    return answer.replace(b"\r\n", f"{fields}\r\n".encode(), 1)


def status(line, *fields):
    head = "".join(f"{field}\r\n" for field in fields)
    return f"HTTP/1.1 {line}\r\n{head}Content-Length: 0\r\n\r\n".encode()


class Site:
    """A server of answers by path; counts the requests. An answer may be a
    list: one after the other, the last again and again."""

    def __init__(self, answers):
        self.answers = answers
        self.requests = collections.Counter()
        self.lock = threading.Lock()
        self.pages = Pages(self.answer)
        self.url = self.pages.url

    def __enter__(self):
        self.pages.__enter__()
        return self

    def __exit__(self, *details):
        self.pages.__exit__(*details)

    def answer(self, path, connection):
        with self.lock:
            count = self.requests[path]
            self.requests[path] += 1
        answer = self.answers.get(path, status("404 Not Found"))
        if isinstance(answer, list):
            answer = answer[min(count, len(answer) - 1)]
        if callable(answer):
            answer(connection)
        else:
            connection.sendall(answer)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))


class Crawler(TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name, "crawl.jsonl")

    def command(self, url, *options):
        return example.command("crawler.lua", "--out", self.out, *options, url)

    def crawl(self, url, *options):
        done = subprocess.run(self.command(url, *options), text=True,
                              capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def written(self):
        """The pages of the journal by their paths; each is there once."""
        pages = {}
        for line in self.out.read_text().splitlines():
            record = json.loads(line)
            url = urllib.parse.urlsplit(record["url"])
            path = url.path + (f"?{url.query}" if url.query else "")
            self.assertNotIn(path, pages)
            pages[path] = record
        return pages

    def test_every_page_of_nginx_once(self):
        with Nginx() as nginx:
            expected = reachable(DOCUMENTS)
            self.assertGreater(len(expected), 400)
            done = self.crawl(nginx.url)

            requests = collections.Counter(
                line.split()[1] for line in nginx.requests())
        self.assertEqual(requests.pop("/robots.txt"), 1)
        self.assertEqual(set(requests), expected)
        self.assertEqual(set(requests.values()), {1})
        pages = self.written()
        self.assertEqual(set(pages), expected)
        for path, record in pages.items():
            file = Path(f"{DOCUMENTS}/{urllib.parse.unquote(path)}")
            file = file / "index.html" if path.endswith("/") else file
            if file.exists():
                self.assertEqual((record["status"], record["bytes"]),
                                 (200, file.stat().st_size), path)
            else:
                self.assertEqual(record["status"], 404, path)
        lines = done.stdout.splitlines()
        counts = json.loads(lines[0].removeprefix("status\t"))
        self.assertEqual(sum(counts.values()), len(expected))
        self.assertEqual(len(lines), 1 + 5)
        total = f"pages: {len(expected)}/{len(expected)} done, 0 active"
        self.assertIn(total, done.stderr.splitlines()[-1])

    def test_killed_again_and_again_it_goes_on(self):
        with Nginx() as nginx:
            expected = reachable(DOCUMENTS)
            kept = set()
            for count in (1, 150, 151):
                process = subprocess.Popen(
                    self.command(nginx.url, "--delay", "0.003"),
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                eventually(lambda: self.out.exists() and
                           self.out.read_bytes().count(b"\n") >= count)
                process.kill()
                self.assertEqual(process.wait(), -9)
                with open(self.out, "rb+") as file:  # as if the power had gone
                    file.truncate(self.out.stat().st_size - 5)
                whole = self.out.read_bytes().rpartition(b"\n")[0]
                urls = {json.loads(line)["url"] for line in whole.splitlines()}
                self.assertLessEqual(kept, urls)
                kept = urls
            paths = {urllib.parse.urlsplit(url).path for url in kept}
            eventually(lambda: paths <= {line.split()[1]
                                         for line in nginx.log()})
            after = len(nginx.log())
            self.crawl(nginx.url)
            requests = nginx.requests()

        self.assertEqual(set(self.written()), expected)
        seen = {line.split()[1] for line in requests} - {"/robots.txt"}
        self.assertEqual(seen, expected)
        later = [line.split()[1] for line in requests[after:]]
        self.assertEqual(paths & set(later), set())

    def test_started_again_it_says_so_and_has_nothing_to_do(self):
        with Site({"/": page("a"), "/a": page("/")}) as site:
            first = self.crawl(site.url)
            self.assertNotIn("resuming", first.stderr)
            again = self.crawl(site.url)
            self.assertEqual(again.stdout, first.stdout)
            self.assertEqual(again.stderr.splitlines()[0],
                             f"resuming from {self.out} (2 pages)")
            self.assertEqual(site.requests, {"/robots.txt": 2, "/": 1, "/a": 1})

    def test_what_robots_txt_forbids_is_left(self):
        rules = ok("User-agent: *\nDisallow: /private\n")
        with Site({"/robots.txt": rules,
                   "/": page("/private/a", "/public")}) as site:
            self.crawl(site.url)
            self.assertEqual(site.requests,
                             {"/robots.txt": 1, "/": 1, "/public": 1})

    def test_nothing_is_crawled_while_robots_txt_cannot_be_had(self):
        for answer in (status("503 Wait"), reset):
            with Site({"/robots.txt": answer}) as site:
                done = subprocess.run(self.command(site.url), text=True,
                                      capture_output=True)
                self.assertEqual(done.returncode, 1)
                self.assertIn("robots.txt", done.stderr)
                self.assertEqual(set(site.requests), {"/robots.txt"})

    def test_one_name_for_one_page(self):
        with Site({"/": page("/a#one", "a", "./x/../a", "/%61", "//127.0.0.1:1",
                             "https://127.0.0.1/", "mailto:a@b", "/a?q=1&amp;r",
                             "/b c", "http://[bad", "../../a")}) as site:
            self.crawl(site.url)
            self.assertEqual(site.requests, {
                "/robots.txt": 1, "/": 1, "/a": 1, "/a?q=1&r": 1, "/b%20c": 1})
        self.assertEqual(self.written()["/a"]["depth"], 1)

    def test_a_redirect_is_a_link(self):
        with Site({"/": page("/old", "/away"),
                   "/old": status("301 Moved", "Location: /new"),
                   "/away": status("302 Found", "Location: http://a.example/"),
                   "/new": page()}) as site:
            self.crawl(site.url)
            self.assertEqual(set(site.requests),
                             {"/robots.txt", "/", "/old", "/away", "/new"})
        pages = self.written()
        self.assertEqual([pages[path]["status"] for path in ("/old", "/new")],
                         [301, 200])

    def test_depth_is_that_of_the_shortest_path(self):
        deeper = threading.Event()

        def slow(connection):
            deeper.wait(1)  # what goes on meanwhile would be at /deep first
            connection.sendall(page("/deep"))

        def deep(connection):
            deeper.set()
            connection.sendall(page("/end"))

        with Site({"/": page("/slow", "/a"), "/slow": slow, "/a": page("/b"),
                   "/b": page("/deep"), "/deep": deep, "/end": page("/no"),
                   }) as site:
            self.crawl(site.url, "--depth", "3")
            self.assertEqual(set(site.requests), {
                "/robots.txt", "/", "/slow", "/a", "/b", "/deep", "/end"})
        depths = {path: each["depth"] for path, each in self.written().items()}
        self.assertEqual(depths, {"/": 0, "/slow": 1, "/a": 1, "/b": 2,
                                  "/deep": 2, "/end": 3})

    def test_a_crawl_that_ended_amid_a_depth_goes_on_by_depth(self):
        lines = [{"url": "/", "depth": 0, "found": ["/a", "/b"]},
                 {"url": "/a", "depth": 1, "found": ["/c"]}]
        with Site({"/b": page("/c", "/d"), "/c": page("/e"),
                   "/d": page("/e")}) as site:
            whole = site.url.rstrip("/")
            self.out.write_text("".join(json.dumps(dict(
                line, url=whole + line["url"], seconds=0, status=200,
                found=[whole + path for path in line["found"]])) + "\n"
                for line in lines))
            self.crawl(site.url)
            self.assertEqual(site.requests, {
                "/robots.txt": 1, "/b": 1, "/c": 1, "/d": 1, "/e": 1})
        depths = {path: each["depth"] for path, each in self.written().items()}
        self.assertEqual(depths, {"/": 0, "/a": 1, "/b": 1, "/c": 2, "/d": 2,
                                  "/e": 3})

    def test_what_is_not_to_be_followed_is_left(self):
        meta = '<meta name="%s" content="nofollow">'
        with Site({"/": page('/a" rel="ugc nofollow', "/b", "/c", "/d"),
                   "/b": page("/x", head=meta % "robots"),
                   "/c": page("/x", head=meta % "asyncrt"),
                   "/d": page("/e", head=meta % "another")}) as site:
            self.crawl(site.url)
            self.assertEqual(set(site.requests), {
                "/robots.txt", "/", "/b", "/c", "/d", "/e"})

    def test_the_head_of_a_page_may_say_so_too(self):
        date = "unavailable_after: Fri, 1 Jan 2100 10:00:00 UTC"
        x = page("/x")
        with Site({"/": page("/a", "/b", "/c", "/d", "/e", "/f", "/old"),
                   "/a": tagged(x, "NoFollow"),
                   "/b": tagged(x, "none"),
                   "/c": tagged(x, "asyncrt: noindex, nofollow"),
                   "/d": tagged(x, f"{date}, nofollow"),
                   "/e": tagged(x, "noindex", "nofollow"),
                   "/f": tagged(page("/g"), f"noindex, {date}",
                                "another: nofollow"),
                   "/old": tagged(status("301 Moved", "Location: /new"),
                                  "nofollow")}) as site:
            self.crawl(site.url)
            self.assertEqual(set(site.requests), {
                "/robots.txt", "/", "/a", "/b", "/c", "/d", "/e", "/f", "/old",
                "/g", "/new"})

    def test_what_fails_for_a_time_is_tried_again(self):
        with Site({"/": page("/busy", "/reset", "/broken", "/short"),
                   "/busy": [status("503 Busy"), status("429 Slow"), page()],
                   "/reset": [reset, page("/found")],
                   "/short": [ok("half", length=8), page()],
                   "/broken": status("500 Broken")}) as site:
            done = self.crawl(site.url, "--retries", "2")
            self.assertEqual(site.requests, {
                "/robots.txt": 1, "/": 1, "/busy": 3, "/reset": 2, "/short": 2,
                "/broken": 3, "/found": 1})
        pages = self.written()
        self.assertEqual(pages["/broken"]["status"], 500)
        self.assertRegex(pages["/broken"]["error"], "Broken")
        self.assertIn('{"200":4,"404":1,"failed":1}', done.stdout)
        self.assertRegex(done.stderr, "/broken: .*Broken")

    def test_a_page_that_does_not_come_is_asked_for_again(self):
        stop = threading.Event()
        with Site({"/": page("/slow"),
                   "/slow": [lambda connection: stop.wait(100),
                             page()]}) as site:
            self.crawl(site.url, "--timeout", "2", "--retries", "9")
            stop.set()
            self.assertGreater(site.requests["/slow"], 1)
        self.assertEqual(self.written()["/slow"]["status"], 200)

    def test_how_deep_and_how_many_at_once(self):
        active, most, lock = 0, 0, threading.Lock()
        three = threading.Barrier(3, timeout=60)

        def count(connection):
            nonlocal active, most
            with lock:
                active += 1
                most = max(most, active)
            three.wait()
            time.sleep(0.2)  # a fourth would come now
            with lock:
                active -= 1
            connection.sendall(page("/deep"))

        site = {f"/{i}": count for i in range(9)}
        site["/"] = page(*site)
        with Site(site) as site:
            self.crawl(site.url, "--per_host", "3", "--depth", "1")
            self.assertEqual(len(site.requests), 2 + 9)
        self.assertEqual(most, 3)

    def test_a_live_line_on_a_terminal(self):
        with Site({"/": page("/a"), "/a": page()}) as site:
            end, other = pty.openpty()
            process = subprocess.Popen(self.command(site.url), stderr=other,
                                       stdout=subprocess.DEVNULL)
            os.close(other)
            output = b""
            try:
                while part := os.read(end, 65536):
                    output += part
            except OSError:  # nobody has it open any more
                pass
            os.close(end)
            self.assertEqual(process.wait(), 0)
        *_, last = output.split(b"\r")[:-1]
        self.assertRegex(last, rb"pages: 2/2 done, 0 active, 0 failed, ")

    def test_misuse(self):
        for arguments, message in [
                (["--jbos", "3"], "unknown option"),
                (["--jobs", "x"], "--jobs wants a number, not x"),
                (["--out", "/nonexistent/x"], "no such file")]:
            with Site({}) as site:
                done = subprocess.run(
                    example.command("crawler.lua", *arguments, site.url),
                    text=True, capture_output=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn(message, done.stderr)

    def test_without_a_url_it_tells_the_usage(self):
        self.check_usage("crawler.lua")
        self.check_usage("crawler.lua", "ftp://a/")
