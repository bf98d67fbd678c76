import subprocess

import example
from example import Client, Server, TestCase


class Chat(TestCase):
    def setUp(self):
        self.server = self.enterContext(Server("chat.lua", "127.0.0.1:0"))

    def stop(self):
        self.assertEqual(self.server.stop(), "")
        self.assertEqual(self.server.stderr(), "")

    def connect(self, **options):
        client = Client(self.server.address, **options)
        return self.enterContext(client)

    def join(self, name, **options):
        """A client that has said its name and is in."""
        client = self.connect(**options)
        client.prompt("your name? ")
        client.send(name + "\n")
        self.assertEqual(client.line(), f"* {name} is here")
        return client

    def test_members_hear_each_other(self):
        ann, bob = self.join("ann"), self.join("bob")
        self.assertEqual(ann.line(), "* bob is here")

        ann.send("hello\r\n")
        self.assertEqual(bob.line(), "ann: hello")
        bob.send("and hello\n")
        self.assertEqual(ann.line(), "bob: and hello")
        bob.close()
        self.assertEqual(ann.line(), "* bob has left")
        self.stop()

    def test_a_hundred_members_hear_all_others(self):
        members = {}
        for i in range(100):
            members[f"m{i}"] = self.join(f"m{i}")
        members["m0"].expect("* m99 is here")
        for name, member in members.items():
            member.send(f"I am {name}\n")
        for name, member in members.items():
            # A member reads while others join, so what it hears first differs.
            heard = set()
            while len(heard) < 99:
                line = member.line()
                if not line.startswith("*"):
                    heard.add(line)
            self.assertEqual(heard, {f"{other}: I am {other}"
                                     for other in members if other != name})
        self.stop()

    def test_a_member_that_does_not_read_is_dropped(self):
        self.join("slow", receive_buffer=4096)
        ann, bob = self.join("ann"), self.join("bob")
        ann.expect("* bob is here")

        line, left = "x" * 990, False
        for _ in range(2000):
            ann.send((line + "\n") * 20)
            awaited = 20
            while awaited > 0:
                got = bob.line()
                if got == "* slow has left":
                    left = True
                else:
                    self.assertEqual(got, "ann: " + line)
                    awaited -= 1
            if left:
                break
        self.assertTrue(left)
        self.assertEqual(ann.line(), "* slow has left")
        self.stop()

    def test_names_that_cannot_be_had(self):
        ann = self.join("ann")
        for name in ("ann", "", "n" * 40):
            client = self.connect()
            client.prompt("your name? ")
            client.send(name + "\n")
            if len(name) < 40:
                self.assertEqual(client.line(), "this name cannot be had")
                self.assertIsNone(client.line())
        self.join("bob")
        self.assertEqual(ann.line(), "* bob is here")
        self.stop()

    def test_a_line_that_is_too_long_ends_one_member(self):
        ann, bob = self.join("ann"), self.join("bob")
        ann.expect("* bob is here")
        bob.send("x" * 2000)
        self.assertEqual(ann.line(), "* bob has left")
        self.stop()

    def test_a_reset_ends_one_member(self):
        ann, bob = self.join("ann"), self.join("bob")
        ann.expect("* bob is here")
        bob.reset()
        self.assertEqual(ann.line(), "* bob has left")
        self.stop()

    def test_terminals_are_not_controlled(self):
        ann, bob = self.join("ann"), self.join("bob")
        bob.send("\x1b[2J\x07\n")
        self.assertEqual(ann.expect("bob:  [2J "), ["* bob is here"])
        self.stop()

    def test_ncat(self):
        example.require("ncat")
        ann = self.join("ann")
        with subprocess.Popen(
                ["ncat", "127.0.0.1", self.server.port],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ncat:
            ncat.stdin.write(b"nick\n")
            ncat.stdin.flush()
            self.assertEqual(ann.line(), "* nick is here")
            ann.send("hello\n")
            self.assertEqual(ncat.stdout.readline(),
                             b"your name? * nick is here\n")
            self.assertEqual(ncat.stdout.readline(), b"ann: hello\n")
            ncat.stdin.write(b"bye\n")
            ncat.stdin.close()
            self.assertEqual(ann.line(), "nick: bye")
            self.assertEqual(ann.line(), "* nick has left")
        self.stop()
