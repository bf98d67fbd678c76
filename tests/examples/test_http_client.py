"""The HTTP client beside real servers: nginx, with HTTP/2, and Python's TLS."""

import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest
from pathlib import Path

import example
import pages
from example import TestCase, require

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format each "$connection $status $server_protocol $request_uri";
  access_log {folder}/access.log each;
""" + pages.TEMPORARY + """  client_max_body_size 100m;
  types {{ text/html html; text/plain txt; }}
  gzip_types text/plain;
  gzip_min_length 1;
  ssl_certificate {folder}/server.pem;
  ssl_certificate_key {folder}/server.key;
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{secure} ssl http2;
    listen 127.0.0.1:{prior} http2;
    root {folder}/root;
    location /put/ {{
      dav_methods PUT;
      create_full_put_path on;
    }}
    location /packed/ {{ gzip on; alias {folder}/root/; }}
    location /html/ {{ alias {documents}/; }}
  }}
}}
"""

# What the scripts begin with: `url(kind, path)`, and options that trust.
PRELUDE = """
local http = require("asyncrt.http")
local rt = require("asyncrt")
local folder, plain, secure, prior = table.unpack(arg)
local ports = { plain = plain, secure = secure, prior = prior }
local tls = { ca = folder .. "/ca.pem" }
local function url(kind, path)
  local scheme = kind == "secure" and "https" or "http"
  return ("%s://127.0.0.1:%s%s"):format(scheme, ports[kind], path)
end
local function file(path)
  local opened <close> = assert(io.open(folder .. path, "rb"))
  return opened:read("a")
end
"""


def setUpModule():
    require("openssl")
    example.require_module("asyncrt.http.client", "built without libcurl")
    global folder
    folder = example.certificates()
    # Where nginx was started by root, its worker is another user.
    os.chmod(folder.name, 0o755)
    root = Path(folder.name, "root")
    (root / "put").mkdir(parents=True)
    os.chmod(root / "put", 0o777)
    (root / "small.txt").write_text("hello")
    (root / "large.txt").write_bytes(os.urandom(1 << 20).hex().encode() * 2)


def command(script, *arguments):
    """Runs a script after the prelude."""
    path = Path(folder.name, "script.lua")
    path.write_text(PRELUDE + script)
    return [example.asyncrt, "--watch-ms=0", str(path), folder.name,
            *map(str, arguments)]


def run(script, *arguments):
    """What a script prints that is run after the prelude."""
    done = subprocess.run(command(script, *arguments), capture_output=True,
                          text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout.splitlines()


class Nginx(TestCase):
    def setUp(self):
        os.environ["PATH"] += os.pathsep + "/usr/sbin"
        require("nginx")
        self.log = Path(folder.name, "access.log")
        self.log.unlink(missing_ok=True)
        # It inherits what it listens on, and so is ready at once.
        listeners = [pages.listen() for _ in range(3)]
        self.ports = [each.getsockname()[1] for each in listeners]
        fds = [each.fileno() for each in listeners]
        configuration = Path(folder.name, "nginx.conf")
        configuration.write_text(CONFIGURATION.format(
            folder=folder.name, documents=pages.DOCUMENTS.resolve(),
            plain=self.ports[0], secure=self.ports[1], prior=self.ports[2]))
        nginx = subprocess.Popen(
            ["nginx", "-c", configuration, "-p", folder.name], pass_fds=fds,
            env={**os.environ, "NGINX": "".join(f"{fd};" for fd in fds)},
            stderr=subprocess.DEVNULL)
        for each in listeners:
            each.close()
        self.addCleanup(nginx.wait)
        self.addCleanup(nginx.terminate)

    def run_script(self, script):
        return run(script, *self.ports)

    def logged(self, count):
        """The lines of the log, once there are so many."""
        example.eventually(
            lambda: self.log.read_text().count("\n") >= count)
        return [line.split() for line in self.log.read_text().splitlines()]

    def test_one_connection_is_kept(self):
        self.run_script("""
            for _ = 1, 50 do
              assert(http.get(url("plain", "/small.txt")):read_all() == "hello")
            end
        """)
        lines = self.logged(50)
        self.assertEqual(len(lines), 50)
        self.assertEqual(len({line[0] for line in lines}), 1)

    def test_ranges(self):
        self.run_script("""
            local whole = file("/root/large.txt")
            local res = assert(http.get(url("plain", "/large.txt"), {
              headers = { Range = "bytes=1000-1999" },
            }))
            assert(res.status == 206)
            assert(res.headers["content-range"] == "bytes 1000-1999/" .. #whole)
            assert(res:read_all() == whole:sub(1001, 2000))
        """)

    def test_compressed_on_the_way(self):
        self.run_script("""
            local res = assert(http.get(url("plain", "/packed/large.txt")))
            assert(res.headers["content-encoding"] == "gzip")
            assert(res:read_all() == file("/root/large.txt"))
        """)

    def test_http2_shares_a_connection(self):
        self.run_script("""
            local whole = file("/root/large.txt")
            rt.group(function(group)
              for i = 1, 20 do
                group:spawn(function()
                  local path = i % 2 == 0 and "/large.txt" or "/small.txt"
                  local res = assert(http.get(url("secure", path), {
                    tls = tls,
                  }))
                  assert(res.version == "2" and res.reason == "")
                  assert(res:read_all() == (i % 2 == 0 and whole or "hello"))
                end)
              end
            end)
        """)
        lines = self.logged(20)
        self.assertEqual(len({line[0] for line in lines}), 1, lines)
        self.assertEqual({line[2] for line in lines}, {"HTTP/2.0"})

    def test_http2_where_it_is_known(self):
        self.run_script("""
            local given = { http2 = "prior" }
            for _ = 1, 3 do
              local res = assert(http.get(url("prior", "/small.txt"), given))
              assert(res.version == "2" and res:read_all() == "hello")
            end
        """)
        self.assertEqual({line[2] for line in self.logged(3)}, {"HTTP/2.0"})

    def test_http2_where_it_is_not_wanted(self):
        self.run_script("""
            local res = assert(http.get(url("secure", "/small.txt"), {
              http2 = false, tls = tls,
            }))
            assert(res.version == "1.1" and res:read_all() == "hello")
        """)

    def test_http2_with_a_slow_reader_beside_a_fast_one(self):
        self.run_script("""
            local whole = file("/root/large.txt")
            local slow = assert(http.get(url("secure", "/large.txt"), {
              tls = tls,
            }))
            local first = slow:read(1)
            for _ = 1, 5 do
              local fast = assert(http.get(url("secure", "/small.txt"), {
                tls = tls,
              }))
              assert(fast:read_all() == "hello")
            end
            assert(first .. slow:read_all() == whole)
        """)

    def test_http2_closing_one_leaves_the_others(self):
        self.run_script("""
            local client <close> = http.client({ tls = tls })
            local whole = file("/root/large.txt")
            local one = assert(client:get(url("secure", "/large.txt")))
            local other = assert(client:get(url("secure", "/large.txt")))
            one:read(1)
            one:close()
            assert(other:read_all() == whole)
            assert(client:get(url("secure", "/small.txt")):read_all() == "hello")
            assert(client:stats().requests == 0)
        """)

    def test_bodies_are_sent(self):
        for kind, version in [("plain", "1.1"), ("secure", "2")]:
            self.run_script(f"""
                local whole = file("/root/large.txt")
                local at = 1
                local res = assert(http.request({{
                  url = url("{kind}", "/put/{kind}"), method = "PUT", tls = tls,
                  body = function()
                    local piece = whole:sub(at, at + 9999)
                    at = at + #piece
                    return piece ~= "" and piece or nil
                  end,
                }}))
                assert(res.status == 201 and res.version == "{version}")
                res:read_all()
                assert(file("/root/put/{kind}") == whole)
            """)

    def test_every_page_of_a_real_site(self):
        documents = pages.DOCUMENTS.resolve()
        if not documents.exists():
            raise unittest.SkipTest(f"there is no {documents}")
        Path(folder.name, "pages").write_text("".join(
            f"{page.relative_to(documents)} {page.stat().st_size}\n"
            for page in sorted(documents.rglob("*.html"))))
        for kind in "plain", "secure":
            self.run_script(f"""
                local pages = rt.channel(1000)
                for line in io.lines(folder .. "/pages") do pages:send(line) end
                pages:close()
                local client <close> = http.client({{ tls = tls }})
                rt.group(function(group)
                  for _ = 1, 32 do
                    group:spawn(function()
                      for line in pages:iter() do
                        local path, size = line:match("(.*) (.*)")
                        local res = assert(
                          client:get(url("{kind}", "/html/" .. path)))
                        assert(res.status == 200, path)
                        assert(#assert(res:read_all()) == tonumber(size), path)
                      end
                    end)
                  end
                end)
            """)


class CutOff(TestCase):
    """A body whose end nothing tells but the end of the connection."""

    def serve(self, says_so):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(Path(folder.name, "server.pem"),
                                Path(folder.name, "server.key"))
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def answer():
            connection = context.wrap_socket(listener.accept()[0],
                                             server_side=True)
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
            if says_so:
                connection = connection.unwrap()
            connection.close()  # Python sends no notice of the end by itself

        threading.Thread(target=answer, daemon=True).start()
        return listener.getsockname()[1]

    def read(self, says_so):
        return run("""
            local res = assert(http.get(url("secure", "/"), { tls = tls }))
            local body, message, code = res:read_all()
            print(body or code)
        """, 0, self.serve(says_so), 0)

    def test_an_end_that_is_told(self):
        self.assertEqual(self.read(True), ["hello"])

    def test_an_end_that_is_not(self):
        self.assertEqual(self.read(False), ["ETRUNCATED"])


class Leaving(TestCase):
    """A run that ends, or is stopped, while requests are under way."""

    def setUp(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]

    def start(self, script):
        return subprocess.Popen(
            command(script, self.port, self.port, 0), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_requests_are_left_at_the_end(self):
        process = self.start("""
            for _, kind in ipairs({ "plain", "secure" }) do
              rt.group():spawn_with({ daemon = true }, http.get, url(kind, "/"))
            end
            rt.sleep(0.05)
            os.exit(0)
        """)
        self.assertEqual(process.communicate(timeout=60)[1], "")
        self.assertEqual(process.returncode, 0)

    def test_a_signal(self):
        process = self.start("""
            print("ready")
            http.get(url("plain", "/"))
        """)
        self.assertEqual(process.stdout.readline(), "ready\n")
        connection = self.listener.accept()[0]
        self.assertIn(b"GET / HTTP/1.1\r\n", connection.recv(65536))
        began = time.monotonic()
        process.terminate()
        self.assertEqual(connection.recv(1), b"")
        self.assertEqual(process.communicate(timeout=60), ("", ""))
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(process.returncode, -signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
