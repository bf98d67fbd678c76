import subprocess

import example
from example import Client, Server, TestCase


class EventConnection(TestCase):
    def run_client(self, *command):
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=True,
                              stdout=subprocess.PIPE, text=True).stdout

    def test_every_client_is_greeted(self):
        example.require("curl", "ncat", "socat")
        with Server("event_connection.lua", "127.0.0.1:0",
                    cut_off=True) as server:
            port = server.port
            greetings = [
                self.run_client("curl", "-s", f"telnet://127.0.0.1:{port}"),
                self.run_client("ncat", "--recv-only", "127.0.0.1", port),
                self.run_client("socat", "-u", f"TCP:127.0.0.1:{port}", "-"),
            ]
            for number, greeting in enumerate(greetings, 1):
                self.assertRegex(
                    greeting, r"^hello 127\.0\.0\.1:\d+, "
                    rf"you are number {number}\n$")
            for _ in range(100):
                Client(server.address).reset()
            with Client(server.address) as client:
                port = client.socket.getsockname()[1]
                client.expect(f"hello 127.0.0.1:{port}, you are number 104")
            server.stop()
            self.assertEqual(server.stderr(), "")

    def test_it_ends_after_a_silence(self):
        with Server("event_connection.lua", "127.0.0.1:0", "0.1") as server:
            self.assertEqual(server.ended(),
                             "0 connections, then none for 0.1 seconds\n")
            self.assertEqual(server.stderr(), "")
