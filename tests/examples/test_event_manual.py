import subprocess

import example
from example import Client, Server, TestCase

WAITING = "waiting: a line starts the race"


class EventManual(TestCase):
    def setUp(self):
        self.server = self.enterContext(Server("event_manual.lua",
                                               "127.0.0.1:0"))

    def stop(self):
        self.assertEqual(self.server.stop(), "")
        self.assertEqual(self.server.stderr(), "")

    def waiting(self, count):
        clients = [self.enterContext(Client(self.server.address))
                   for _ in range(count)]
        for client in clients:
            self.assertEqual(client.line(), WAITING)
        return clients

    def test_the_first_line_starts_all(self):
        for race in range(3):
            clients = self.waiting(50)
            clients[7].send(f"race {race}\n")
            for client in clients:
                self.assertEqual(client.line(), f"go: race {race}")
                self.assertIsNone(client.line())
        self.stop()

    def test_who_leaves_starts_nothing(self):
        stays, leaves, resets = self.waiting(3)
        leaves.end()
        self.assertIsNone(leaves.line())
        resets.reset()
        stays.send("now\n")
        self.assertEqual(stays.line(), "go: now")
        self.stop()

    def test_ncat_starts_all(self):
        example.require("ncat")
        client, = self.waiting(1)
        answer = subprocess.run(
            ["ncat", "127.0.0.1", self.server.port], input=b"from ncat\n",
            check=True, stdout=subprocess.PIPE).stdout
        self.assertEqual(answer, f"{WAITING}\ngo: from ncat\n".encode())
        self.assertEqual(client.line(), "go: from ncat")
        self.stop()
