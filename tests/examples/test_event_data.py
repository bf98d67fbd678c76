import random
import subprocess

import example
from example import Client, Server, TestCase


class EventData(TestCase):
    def setUp(self):
        self.server = self.enterContext(Server(
            "event_data.lua", "127.0.0.1:0", cut_off=True))

    def stop(self):
        self.assertEqual(self.server.stop(), "")
        self.assertEqual(self.server.stderr(), "")

    def connect(self, **options):
        return self.enterContext(Client(self.server.address, **options))

    def test_a_hundred_clients_take_turns(self):
        clients = [self.connect() for _ in range(100)]
        chance = random.Random(1)
        for turn in range(1000):
            client = chance.choice(clients)
            client.send(f"turn {turn}\n")
            self.assertEqual(client.line(), f"TURN {turn}")
        for client in clients:
            client.reset() if client is clients[0] else client.close()
        with Client(self.server.address) as client:
            client.send("one more\n")
            self.assertEqual(client.line(), "ONE MORE")
        self.stop()

    def test_a_client_that_does_not_read_is_dropped(self):
        other = self.connect()
        deaf = self.connect(receive_buffer=4096)
        lines = ("x" * 990 + "\n") * 20
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):
            for i in range(2000):
                deaf.send(lines)
                other.send(f"{i} other\n")
                self.assertEqual(other.line(), f"{i} OTHER")
        other.send("still here\n")
        self.assertEqual(other.line(), "STILL HERE")
        self.stop()

    def test_socat_gets_the_answer_after_its_end(self):
        example.require("socat")
        answer = subprocess.run(
            ["socat", "-t", "60", "-", f"TCP:127.0.0.1:{self.server.port}"],
            input=b"one\r\ntwo", check=True, stdout=subprocess.PIPE).stdout
        self.assertEqual(answer, b"ONE\nTWO\n")
        self.stop()
