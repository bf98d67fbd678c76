import http.client
import subprocess
import threading
import unittest

from example import Server, TestCase, eventually, require


class Longpoll(TestCase):
    def serve(self, seconds=60):
        return Server("longpoll.lua", "127.0.0.1:0", seconds)

    def ask(self, server, method, path, body=None):
        client = http.client.HTTPConnection(*server.address, timeout=60)
        client.request(method, path, body=body)
        response = client.getresponse()
        text = response.read().decode()
        client.close()
        return response.status, text

    def waiting(self, server):
        return int(self.ask(server, "GET", "/waiting")[1])

    def say(self, server, line):
        return self.ask(server, "POST", "/lines", line.encode())

    def test_lines_that_are_there(self):
        with self.serve() as server:
            self.assertEqual(self.say(server, "one"), (200, "1\n"))
            self.assertEqual(self.say(server, "two\x1b[2J\nlines"), (200, "2\n"))
            self.assertEqual(self.ask(server, "GET", "/lines?after=0"),
                             (200, "1 one\n2 two [2J lines\n"))
            self.assertEqual(self.ask(server, "GET", "/lines?after=1"),
                             (200, "2 two [2J lines\n"))
            server.stop()

    def test_all_who_wait_get_the_next_line(self):
        answers = []

        def wait(server, path):
            answers.append(self.ask(server, "GET", path))

        with self.serve() as server:
            threads = [threading.Thread(target=wait, args=(server, path))
                       for path in ["/lines", "/lines?after=0"] * 5]
            for thread in threads:
                thread.start()
            eventually(lambda: self.waiting(server) == 10)
            self.say(server, "hello")
            for thread in threads:
                thread.join()
            self.assertEqual(answers, [(200, "1 hello\n")] * 10)
            server.stop()

    def test_nothing_comes(self):
        with self.serve(seconds=0.1) as server:
            self.assertEqual(self.ask(server, "GET", "/lines"), (204, ""))
            server.stop()

    def test_a_client_that_goes_away_waits_no_longer(self):
        require("curl")
        with self.serve() as server:
            host, port = server.address
            curl = subprocess.Popen(
                ["curl", "--silent", f"http://{host}:{port}/lines"],
                stdout=subprocess.DEVNULL)
            try:
                eventually(lambda: self.waiting(server) == 1)
            finally:
                curl.kill()
                curl.wait()
            eventually(lambda: self.waiting(server) == 0)
            server.stop()

    def test_old_lines_are_forgotten(self):
        with self.serve() as server:
            client = http.client.HTTPConnection(*server.address, timeout=60)
            for i in range(1, 151):
                client.request("POST", "/lines", body=str(i).encode())
                client.getresponse().read()
            client.close()
            _, text = self.ask(server, "GET", "/lines?after=0")
            self.assertEqual(text.splitlines(),
                             [f"{i} {i}" for i in range(51, 151)])
            server.stop()


if __name__ == "__main__":
    unittest.main()
