import shutil
import signal
import socket
import ssl
import subprocess
import threading
import unittest
from pathlib import Path

import example
from example import Server, TestCase, eventually, require


def curl(server, *options, path="/hello/joe"):
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "60", *options,
         f"https://localhost:{server.port}{path}"],
        capture_output=True, text=True)
    return done.stdout + done.stderr


def setUpModule():
    require("openssl", "curl")
    example.require_module("asyncrt.tls", "built without TLS")
    global folder
    folder = example.certificates()


class HttpsHello(TestCase):
    def setUp(self):
        self.folder = Path(folder.name)
        self.trusted = ("--cacert", str(self.folder / "ca.pem"))
        for end in ("pem", "key"):
            shutil.copy(self.folder / f"server.{end}",
                        self.folder / f"current.{end}")

    def serve(self):
        return Server("https_hello.lua", "127.0.0.1:0",
                      self.folder / "current.pem", self.folder / "current.key")

    def test_curl(self):
        with self.serve() as server:
            self.assertEqual(curl(server, *self.trusted),
                             "Hello, joe, by TLSv1.3!\n")
            self.assertEqual(curl(server, *self.trusted, "--tls-max", "1.2"),
                             "Hello, joe, by TLSv1.2!\n")
            self.assertEqual(curl(server, *self.trusted, path="/x"),
                             "no such page\n")
            verbose = curl(server, *self.trusted, "--verbose", "--http2")
            self.assertIn("ALPN: server accepted http/1.1", verbose)
            # The system does not know the authority.
            self.assertIn("SSL certificate problem", curl(server))
            server.stop()

    def test_a_certificate_of_its_own(self):
        with Server("https_hello.lua", "127.0.0.1:0") as server:
            self.assertEqual(curl(server, "--insecure"),
                             "Hello, joe, by TLSv1.3!\n")
            server.stop()

    def test_a_plain_request_is_no_harm(self):
        with self.serve() as server:
            with socket.create_connection(server.address, 60) as plain:
                plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                while plain.recv(1000):
                    pass
            self.assertEqual(curl(server, *self.trusted),
                             "Hello, joe, by TLSv1.3!\n")
            server.stop()
            self.assertIn("speaks HTTP without TLS", server.stderr())

    def subject(self, server):
        context = ssl.create_default_context(
            cafile=str(self.folder / "ca.pem"))
        with socket.create_connection(server.address, 60) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as conn:
            return conn.getpeercert()["subject"][0][0][1]

    def test_a_new_certificate_while_requests_go_on(self):
        failures, stop = [], threading.Event()

        def ask(server):
            while not stop.is_set():
                answer = curl(server, *self.trusted)
                if answer != "Hello, joe, by TLSv1.3!\n":
                    failures.append(answer)

        with self.serve() as server:
            self.assertEqual(self.subject(server), "server")
            threads = [threading.Thread(target=ask, args=(server,))
                       for _ in range(3)]
            for thread in threads:
                thread.start()
            for name in ("renewed", "server", "renewed"):
                for end in ("key", "pem"):
                    shutil.copy(self.folder / f"{name}.{end}",
                                self.folder / f"current.{end}")
                server.process.send_signal(signal.SIGHUP)
                eventually(lambda: self.subject(server) == name)
            (self.folder / "current.pem").write_text("nonsense")
            server.process.send_signal(signal.SIGHUP)
            eventually(lambda: "no certificate in it" in server.stderr())
            self.assertEqual(self.subject(server), "renewed")
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])
            server.stop()


if __name__ == "__main__":
    unittest.main()
