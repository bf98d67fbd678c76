import http.client
import json
import subprocess
import unittest

import example
import load
from example import Server, TestCase, require


def setUpModule():
    done = subprocess.run([example.asyncrt, "-e", 'require("asyncrt.json")'],
                          capture_output=True, text=True)
    if "is not part of this build" in done.stderr:
        raise unittest.SkipTest("built without jansson")


def curl(server, path, *options):
    """Status, and what the body stands for."""
    require("curl")
    host, port = server.address
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "60", *options,
         "--write-out", "\n%{http_code}", f"http://{host}:{port}{path}"],
        capture_output=True, text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body else None


class Api(TestCase):
    def serve(self):
        return Server("api.lua", "127.0.0.1:0")

    def test_the_life_of_a_note(self):
        with self.serve() as server:
            self.assertEqual(curl(server, "/notes"), (200, []))
            milk = {"id": 1, "text": "buy milk, \u00e4 \u2028"}
            self.assertEqual(
                curl(server, "/notes", "-d", json.dumps({"text": milk["text"]})),
                (201, milk))
            self.assertEqual(curl(server, "/notes/1"), (200, milk))
            self.assertEqual(curl(server, "/notes"), (200, [milk]))
            self.assertEqual(curl(server, "/notes/1", "-X", "DELETE"),
                             (204, None))
            self.assertEqual(curl(server, "/notes/1")[0], 404)
            self.assertEqual(curl(server, "/notes"), (200, []))
            server.stop()
            self.assertIn('"DELETE /notes/1 HTTP/1.1" 204 0', server.stderr())

    def test_mistakes(self):
        with self.serve() as server:
            for expected, path, *options in [
                    (404, "/notes/1"), (404, "/notes/x"), (404, "/"),
                    (405, "/notes", "-X", "PATCH"), (400, "/%zz"),
                    (400, "/notes", "-d", "{"), (400, "/notes", "-d", "[]"),
                    (400, "/notes", "-d", '{"text": 5}'),
                    (400, "/notes", "-d", '"text"')]:
                status, body = curl(server, path, *options)
                self.assertEqual(status, expected, path)
                self.assertIn("error", body)
            status, _ = curl(server, "/notes", "-X", "OPTIONS")
            self.assertEqual(status, 204)
            server.stop()

    def test_a_body_that_is_too_long(self):
        with self.serve() as server:
            client = http.client.HTTPConnection(*server.address, timeout=60)
            client.request("POST", "/notes", body=b"x" * 2_000_000)
            self.assertEqual(client.getresponse().status, 413)
            client.close()
            server.stop()

    def test_many_clients(self):
        with self.serve() as server:
            load.http(server, "/notes", 2000, 16)
            server.stop()
            self.assertEqual(server.stderr().count('"GET /notes HTTP/1.1" 200'),
                             2000)


if __name__ == "__main__":
    unittest.main()
