import http.client
import subprocess
import unittest

from example import Client, Server, TestCase, require

GET = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n"


class Listener(Client):
    """Reads the chunks of a response: one is what was written at once."""

    def __init__(self, address):
        super().__init__(address)
        self.send(GET)
        self.head = self.file.readline()
        while line := self.file.readline().strip():
            self.head += line + b"\n"

    def chunk(self):
        size = int(self.file.readline(), 16)
        data = self.file.read(size)
        self.file.readline()
        return data.decode()


def post(server, text):
    client = http.client.HTTPConnection(*server.address, timeout=60)
    client.request("POST", "/events", body=text.encode())
    status = client.getresponse().status
    client.close()
    return status


class Events(TestCase):
    def serve(self, seconds=60):
        return Server("events.lua", "127.0.0.1:0", seconds)

    def expect(self, server, line):
        self.assertEqual(server.process.stdout.readline(), line + "\n")

    def test_events_reach_all_listeners(self):
        with self.serve() as server:
            with Listener(server.address) as a, Listener(server.address) as b:
                self.assertIn(b"Content-Type: text/event-stream", a.head)
                for listener in (a, b):
                    self.assertEqual(listener.chunk(), ": welcome\n\n")
                self.assertEqual(post(server, "one"), 204)
                self.assertEqual(post(server, "two\r\nlines"), 204)
                for listener in (a, b):
                    self.assertEqual(listener.chunk(), "data: one\n\n")
                    self.assertEqual(listener.chunk(),
                                     "data: two\ndata: lines\n\n")
            server.stop()

    def test_comments_in_a_silence(self):
        with self.serve(0.05) as server:
            with Listener(server.address) as listener:
                self.assertEqual(listener.chunk(), ": welcome\n\n")
                for _ in range(3):
                    self.assertEqual(listener.chunk(), ": still here\n\n")
            server.stop()

    def test_a_listener_that_leaves_is_noticed(self):
        with self.serve() as server:
            for leave in ("close", "reset"):
                listener = Listener(server.address)
                self.assertEqual(listener.chunk(), ": welcome\n\n")
                self.expect(server, "a listener has come")
                getattr(listener, leave)()
                self.expect(server, "a listener has left")
            server.stop()

    def test_curl(self):
        require("curl")
        with self.serve() as server:
            host, port = server.address
            curl = subprocess.Popen(
                ["curl", "--silent", "--no-buffer",
                 f"http://{host}:{port}/events"],
                stdout=subprocess.PIPE, text=True)
            try:
                self.assertEqual(curl.stdout.readline(), ": welcome\n")
                self.expect(server, "a listener has come")
                post(server, "hello")
                self.assertEqual(curl.stdout.readline(), "\n")
                self.assertEqual(curl.stdout.readline(), "data: hello\n")
            finally:
                curl.kill()
                curl.wait()
                curl.stdout.close()
            self.expect(server, "a listener has left")
            server.stop()

    def test_the_page(self):
        with self.serve() as server:
            client = http.client.HTTPConnection(*server.address, timeout=60)
            client.request("GET", "/")
            self.assertIn(b"EventSource", client.getresponse().read())
            client.close()
            server.stop()


if __name__ == "__main__":
    unittest.main()
