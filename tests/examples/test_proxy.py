import hashlib
import http.server
import os
import socket
import subprocess
import tempfile
import threading
import time

import example
import load
from example import Server, TestCase, eventually

LARGE = 64 * 1024 * 1024  # bytes; more than all buffers on the way


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers by the path, and writes down what it sees."""

    protocol_version = "HTTP/1.1"
    seen = []
    sent = 0
    failure = None

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def answer(self):
        Backend.seen.append((self.command, self.path, self.headers))
        body = self.body()
        if self.path == "/large":
            self.large()
        elif self.path == "/moved":
            self.reply(302, b"", ("Location", "/elsewhere"))
        elif self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        elif self.path == "/chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (b"one ", b"two ", b"three"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        else:
            status = 404 if self.path == "/missing" else 200
            self.reply(status, body or b"hello\n", ("Set-Cookie", "a=1"),
                       ("Set-Cookie", "b=2"), ("X-Own", "1"),
                       ("Connection", "keep-alive, x-own"))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def reply(self, status, body, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def large(self):
        self.send_response(200)
        self.send_header("Content-Length", str(LARGE))
        self.end_headers()
        block = bytes(range(256)) * 256
        try:
            for _ in range(LARGE // len(block)):
                self.wfile.write(block)
                Backend.sent += len(block)
        except OSError as failure:
            Backend.failure = failure
            self.close_connection = True


def curl(server, path, *options):
    """What curl prints, with the status behind it."""
    return subprocess.run(
        ["curl", "-sS", "--max-time", "60", "-w", " %{http_code}", *options,
         f"http://127.0.0.1:{server.port}{path}"],
        stdout=subprocess.PIPE, check=True).stdout


class Proxy(TestCase):
    def setUp(self):
        example.require("curl")
        Backend.seen, Backend.sent, Backend.failure = [], 0, None
        self.backend = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Backend)
        self.backend.daemon_threads = True
        threading.Thread(target=self.backend.serve_forever,
                         daemon=True).start()

    def tearDown(self):
        self.backend.shutdown()
        self.backend.server_close()

    def serve(self):
        port = self.backend.server_address[1]
        return Server("proxy.lua", f"http://127.0.0.1:{port}/", "127.0.0.1:0")

    def test_requests_pass_with_their_parts(self):
        with self.serve() as server:
            self.assertEqual(curl(server, "/a?b=c%20d"), b"hello\n 200")
            self.assertEqual(curl(server, "/missing"), b"hello\n 404")
            self.assertEqual(curl(server, "/moved"), b" 302")
            self.assertEqual(curl(server, "/chunks"), b"one two three 200")
            self.assertEqual(curl(server, "/x", "-X", "DELETE"), b"hello\n 200")
            self.assertEqual(curl(server, "/p", "-d", "some=data"),
                             b"some=data 200")
            head = curl(server, "/head", "--head").decode()
            self.assertIn("Content-Length: 6\r\n", head.title())
            self.assertEqual([(method, path) for method, path, _ in Backend.seen],
                             [("GET", "/a?b=c%20d"), ("GET", "/missing"),
                              ("GET", "/moved"), ("GET", "/chunks"),
                              ("DELETE", "/x"), ("POST", "/p"),
                              ("HEAD", "/head")])
            server.stop()

    def test_headers_of_a_connection_do_not_pass(self):
        with self.serve() as server:
            answer = curl(server, "/", "--include", "-H", "X-Kept: yes",
                          "-H", "Connection: X-Dropped", "-H", "X-Dropped: 1",
                          "-H", "Te: trailers").decode().lower()
            headers = Backend.seen[0][2]
            self.assertEqual(headers["X-Kept"], "yes")
            self.assertEqual(headers["Via"], "1.1 asyncrt")
            self.assertIsNone(headers["X-Dropped"])
            self.assertIsNone(headers["Te"])
            self.assertIn("set-cookie: a=1\r\nset-cookie: b=2\r\n", answer)
            self.assertIn("via: 1.1 asyncrt\r\n", answer)
            self.assertNotIn("x-own", answer)
            server.stop()

    def test_large_bodies_in_both_directions(self):
        data = os.urandom(5_000_000)
        with self.serve() as server, tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            for options in ([], ["-H", "Transfer-Encoding: chunked"]):
                answer = curl(server, "/echo", "-T", file.name, *options)
                self.assertEqual(digest(answer), digest(data + b" 200"))
            block = bytes(range(256)) * 256
            whole = digest(block * (LARGE // len(block)) + b" 200")
            self.assertEqual(digest(curl(server, "/large")), whole)
            server.stop()

    def test_thousands_of_requests(self):
        with Server("http_hello.lua", "127.0.0.1:0") as backend:
            with Server("proxy.lua", f"http://127.0.0.1:{backend.port}",
                        "127.0.0.1:0") as server:
                load.http(server, "/hello/you", 2000, 16)
                server.stop()
            backend.stop()

    def get_large(self, server):
        client = socket.create_connection(server.address, timeout=60)
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        return client

    def test_a_slow_client_holds_the_server_back(self):
        with self.serve() as server, self.get_large(server) as client:
            def stands_still():
                before = Backend.sent
                time.sleep(0.5)
                return before > 0 and Backend.sent == before

            eventually(stands_still)
            self.assertLess(Backend.sent, LARGE // 2)
            data = b""
            while b"\r\n\r\n" not in data:
                data += client.recv(65536)
            left = LARGE - len(data.split(b"\r\n\r\n", 1)[1])
            while left > 0:
                left -= len(client.recv(1 << 20))
            self.assertEqual((left, Backend.sent), (0, LARGE))
            if not example.sanitized:
                self.assertLess(server.status("VmHWM") * 1024, LARGE // 2)
            server.stop()

    def test_a_client_that_goes_away_ends_its_request(self):
        with self.serve() as server:
            with self.get_large(server) as client:
                client.recv(1000)
            eventually(lambda: Backend.failure is not None)
            self.assertEqual(curl(server, "/"), b"hello\n 200")
            server.stop()

    def test_what_the_server_breaks_off_is_broken_off(self):
        with self.serve() as server:
            done = subprocess.run(
                ["curl", "-sS", "--max-time", "60",
                 f"http://127.0.0.1:{server.port}/cut"], capture_output=True)
            self.assertNotEqual(done.returncode, 0)
            self.assertNotEqual(done.returncode, 28)
            self.assertEqual(curl(server, "/"), b"hello\n 200")
            server.stop()

    def test_without_a_url_it_tells_the_usage(self):
        self.check_usage("proxy.lua")

    def test_nobody_is_there(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            with Server("proxy.lua", f"http://127.0.0.1:{port}",
                        "127.0.0.1:0") as server:
                self.assertEqual(
                    curl(server, "/a"),
                    b"get http://127.0.0.1:%d/a: connection refused\n 502"
                    % port)
                server.stop()
