import re

from example import Client, Server, TestCase


class Select(TestCase):
    def setUp(self):
        # Long enough for a loaded machine, short enough to wait for.
        server = Server("select.lua", "127.0.0.1:0", "3")
        self.server = self.enterContext(server)

    def stop(self):
        self.assertEqual(self.server.stop(), "")
        self.assertEqual(self.server.stderr(), "")

    def connect(self):
        return self.enterContext(Client(self.server.address))

    def solve(self, client, wrong=False):
        line = client.line()
        while line == "still there?":
            line = client.line()
        a, b = re.fullmatch(r"(\d) \+ (\d) = \?", line).groups()
        client.send(f"{int(a) + int(b) + wrong}\n")

    def test_each_arm_is_chosen(self):
        silent, solver = self.connect(), self.connect()
        for _ in range(20):
            self.solve(solver)
        self.solve(solver, wrong=True)

        said = solver.expect("time is up: 20 solved")
        self.assertEqual(said[0], "no, try again")
        self.assertEqual(set(said[1:]), {"still there?"})
        self.assertIsNone(solver.line())
        said = silent.expect("time is up: 0 solved")
        self.assertGreaterEqual(said.count("still there?"), 1)
        self.stop()

    def test_clients_that_leave_end_no_other(self):
        other = self.connect()
        for i in range(20):
            client = self.connect()
            self.solve(client)
            client.reset() if i % 2 else client.close()
        self.solve(other)
        self.assertRegex(other.line(), "=")
        self.stop()
