"""What every echo server must do."""

import re
import subprocess

import example
import load
from example import Client, Server

LOST = re.compile(r"asyncrt: .*(connection reset by peer|broken pipe)$")


class EchoTests:
    script = None
    cut_off = False  # by a signal

    def setUp(self):
        server = Server(self.script, "127.0.0.1:0", cut_off=self.cut_off)
        self.server = self.enterContext(server)

    def stop(self):
        self.server.stop()
        self.assertEqual(self.server.stderr(), "")

    def pipe(self, data, *command):
        return subprocess.run(command, input=data, stdout=subprocess.PIPE,
                              check=True).stdout

    def test_ncat(self):
        example.require("ncat")
        answer = self.pipe(b"hello\nworld", "ncat", "127.0.0.1",
                           self.server.port)
        self.assertEqual(answer, b"hello\nworld")
        self.stop()

    def test_socat_with_eight_megabytes(self):
        example.require("socat")
        data = bytes(range(256)) * 32768
        answer = self.pipe(data, "socat", "-t", "60", "-",
                           f"TCP:127.0.0.1:{self.server.port}")
        self.assertEqual(answer, data)
        self.stop()

    def test_a_thousand_connections_at_once(self):
        example.allow_files(2048)
        count = load.echo(self.server.address, 1000, 65536)
        self.assertGreater(count, 20_000_000)
        self.stop()

    def test_resets_end_no_other_connection(self):
        with Client(self.server.address) as other:
            for i in range(50):
                client = Client(self.server.address)
                client.send("x" * 100_000 if i % 2 else "x")
                client.reset()
            other.send("still here\n")
            self.assertEqual(other.line(), "still here")
        self.server.stop()
        for line in self.server.stderr().splitlines():
            self.assertRegex(line, self.reset_line)

    def test_it_ends_with_idle_connections(self):
        with Client(self.server.address) as client:
            client.send("one\n")
            self.assertEqual(client.line(), "one")
            self.stop()
            self.assertIsNone(client.line())
