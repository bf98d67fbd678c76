import http.client
import os
import socket
import subprocess
import threading
import unittest

import load
from example import Server, TestCase, require

GET = b"GET /hello/%d HTTP/1.1\r\nHost: a\r\n\r\n"


def curl(server, path, *options, data=None):
    require("curl")
    host, port = server.address
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "60", *options,
         f"http://{host}:{port}{path}"], input=data, capture_output=True)
    return done.stdout


def raw(server, *pieces):
    """Everything that is answered to these bytes until the end."""
    with socket.create_connection(server.address, timeout=60) as client:
        for piece in pieces:
            client.sendall(piece)
        received = b""
        while True:
            data = client.recv(65536)
            if not data:
                return received
            received += data


class HttpHello(TestCase):
    def serve(self):
        return Server("http_hello.lua", "127.0.0.1:0")

    def test_curl(self):
        with self.serve() as server:
            self.assertEqual(curl(server, "/hello/joe"), b"Hello, joe!\n")
            self.assertEqual(curl(server, "/count/3"), b"1\n2\n3\n")
            self.assertEqual(curl(server, "/count/2", "--http1.0"), b"1\n2\n")
            head = curl(server, "/hello/joe", "--head")
            self.assertIn(b"HTTP/1.1 200 OK\r\n", head)
            self.assertIn(b"Content-Length: 12\r\n", head)
            self.assertRegex(head, rb"Date: \w{3}, \d\d \w{3} \d{4} ")
            self.assertEqual(curl(server, "/x", "-o", "/dev/null",
                                  "-w", "%{http_code}"), b"404")
            server.stop()

    def test_bodies_go_and_come(self):
        data = os.urandom(3_000_000)
        with self.serve() as server:
            self.assertEqual(data, curl(
                server, "/echo", "--data-binary", "@-", data=data))
            self.assertEqual(data, curl(
                server, "/echo", "--data-binary", "@-",
                "-H", "Transfer-Encoding: chunked", data=data))
            server.stop()

    def test_http_client_keeps_one_connection(self):
        with self.serve() as server:
            client = http.client.HTTPConnection(*server.address, timeout=60)
            client.connect()
            kept = client.sock
            for i in range(50):
                client.request("GET", f"/hello/{i}")
                response = client.getresponse()
                self.assertEqual(response.status, 200)
                self.assertEqual(response.read(), b"Hello, %d!\n" % i)
            client.request("POST", "/echo", body=iter([b"a", b"bc"]),
                           encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
            self.assertEqual(client.getresponse().read(), b"abc")
            client.request("HEAD", "/hello/you")
            response = client.getresponse()
            self.assertEqual((response.read(), response.length), (b"", 0))
            self.assertIs(client.sock, kept)
            client.close()
            server.stop()

    def test_pipelined_requests_byte_by_byte(self):
        requests = b"".join(GET % i for i in range(3))
        last = GET.replace(b"Host", b"Connection: close\r\nHost") % 3
        with self.serve() as server:
            whole = raw(server, requests + last)
            split = raw(server, *(bytes([b]) for b in requests + last))
            for answers in (whole, split):
                self.assertEqual(
                    [line for line in answers.split(b"\n") if b"Hello" in line],
                    [b"Hello, %d!" % i for i in range(4)])
            server.stop()

    def test_what_is_not_allowed_is_refused(self):
        with self.serve() as server:
            for status, request in [
                    (400, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
                    (400, b"\x16\x03\x01\x02\x00"),
                    (414, b"GET /" + b"a" * 100_000),
                    (431, b"GET / HTTP/1.1\r\nA: " + b"b" * 100_000),
                    (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                          b"gzip, chunked\r\n\r\n"),
                    (505, b"GET / HTTP/2.0\r\n\r\n")]:
                answer = raw(server, request)
                self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status),
                                answer)
                self.assertIn(b"Connection: close\r\n", answer)
            self.assertEqual(curl(server, "/hello/"), b"Hello, world!\n")
            server.stop()

    def test_many_clients_at_once(self):
        failures = []

        def talk(server, number):
            try:
                client = http.client.HTTPConnection(*server.address, timeout=60)
                for _ in range(20):
                    client.request("GET", f"/hello/{number}")
                    body = client.getresponse().read()
                    if body != b"Hello, %d!\n" % number:
                        failures.append(body)
                client.close()
            except OSError as problem:
                failures.append(problem)

        with self.serve() as server:
            threads = [threading.Thread(target=talk, args=(server, i))
                       for i in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])
            server.stop()

    def test_thousands_of_requests(self):
        with self.serve() as server:
            load.http(server, "/hello/you", 3000, 32)
            load.http(server, "/hello/you", 3000, 8, "-m", "10")  # pipelined
            server.stop()

    def test_it_ends_while_a_connection_is_idle(self):
        with self.serve() as server:
            with socket.create_connection(server.address, timeout=60) as client:
                client.sendall(GET % 1)
                client.recv(65536)
                server.stop()
                self.assertEqual(client.recv(1), b"")


if __name__ == "__main__":
    unittest.main()
