"""TLS as other programs see it: openssl, gnutls-cli, curl and Python."""

import contextlib
import re
import socket
import ssl
import subprocess
import threading
import unittest
from pathlib import Path

import example
from example import ROOT, Server, TestCase, command, eventually, require

SCRIPT = str(ROOT / "tests/examples/tls.lua")


def setUpModule():
    require("openssl")
    example.require_module("asyncrt.tls", "built without TLS")
    global folder
    folder = example.certificates()


def path(name):
    return str(Path(folder.name) / name)


def own(name="server"):
    return [f"cert={path(name)}.pem", f"key={path(name)}.key"]


def serve(*arguments, name="server"):
    return Server(SCRIPT, *own(name), *arguments)


def s_client(server, *options, data="", ca="ca"):
    """What openssl s_client prints; it sends `data` and waits for the end."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}",
         "-CAfile", path(f"{ca}.pem"), "-ign_eof", *options],
        input=data, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


class Talk:
    """openssl with commands: a line is one only where it comes alone."""

    def __init__(self, *arguments):
        # Line by line, though it is no terminal.
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "openssl", *arguments], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def say(self, line, answer=None):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        if answer:
            self.expect(answer)

    def expect(self, answer):
        while answer not in (line := self.process.stdout.readline()):
            if line == "":
                raise AssertionError(f"no {answer!r}")

    def rest(self):
        self.process.stdin.close()
        return self.process.stdout.read()


def connect(server, name="localhost", client=None, **settings):
    """A connection of Python's."""
    context = ssl.create_default_context(cafile=path("ca.pem"))
    for key, value in settings.items():
        setattr(context, key, value)
    if client:
        context.load_cert_chain(path(f"{client}.pem"), path(f"{client}.key"))
    plain = socket.create_connection(server.address, timeout=60)
    return context.wrap_socket(plain, server_hostname=name,
                               suppress_ragged_eofs=False)


def ask(conn, line):
    conn.sendall(line.encode() + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        answer += conn.recv(65536) or exit_early()
    return answer.decode().strip()


def exit_early():
    raise AssertionError("the connection has ended")


class OpensslClient(TestCase):
    def test_both_versions(self):
        with serve("alpn=one,two") as server:
            for version in ("-tls1_2", "-tls1_3"):
                out = s_client(server, version, "-servername", "localhost",
                               "-alpn", "two,none", "-verify_return_error",
                               "-verify_hostname", "localhost",
                               data="info\nshutdown\n")
                name = version[1:].upper().replace("TLS1_", "TLSv1.")
                self.assertIn(f"{name}|two|localhost|false|false|nil", out)
                self.assertIn("Verify return code: 0 (ok)", out)
            out = s_client(server, "-tls1_1", "-cipher", "ALL@SECLEVEL=0")
            self.assertRegex(out, "alert protocol version|no protocols")
            server.stop()
            self.assertIn("handshake", server.stderr())

    def test_keys_are_renewed(self):
        # K asks the server to renew its keys too, k does not.
        lines = ["echo plum", "K", "echo pear", "k", "echo fig", "K",
                 "echo kiwi"]
        with serve() as server:
            with Talk("s_client", "-connect", f"127.0.0.1:{server.port}",
                      "-tls1_3") as client:
                for line in lines:
                    is_key = line in "Kk"
                    client.say(line, "KEYUPDATE" if is_key else line[5:])
                client.say("Q")
                client.rest()
            self.assertIn("end", server.stop())

    def test_no_renegotiation(self):
        with serve() as server:
            with Talk("s_client", "-connect", f"127.0.0.1:{server.port}",
                      "-tls1_2") as client:
                client.say("echo marmalade", "marmalade")
                client.say("R", "RENEGOTIATING")
                self.assertIn("no renegotiation", client.rest())
            with connect(server) as conn:
                self.assertEqual(ask(conn, "echo on"), "on")
            server.stop()

    def test_sessions_go_on(self):
        with serve() as server:
            for version in ("-tls1_2", "-tls1_3"):
                session = path("session" + version)
                s_client(server, version, "-sess_out", session,
                         data="echo x\nshutdown\n")
                out = s_client(server, version, "-sess_in", session,
                               data="info\nshutdown\n")
                self.assertIn("Reused, ", out)
                self.assertRegex(out, r"TLSv1..\|nil\|.*\|false\|true\|nil")
            server.stop()

    def test_sessions_of_clients_with_certificates(self):
        with serve("client_ca=" + path("ca.pem")) as server:
            session = path("session-client")
            mine = ("-cert", path("client.pem"), "-key", path("client.key"))
            s_client(server, *mine, "-sess_out", session,
                     data="echo x\nshutdown\n")
            out = s_client(server, *mine, "-sess_in", session,
                           data="info\nshutdown\n")
            self.assertIn("|true|true|CN=A Client", out)
            server.stop()

    def test_names(self):
        with serve(f"sni=*.wild.test={path('wild')}",
                   f"sni=named.test={path('named')}") as server:
            for name, subject in [("a.wild.test", "wild"),
                                  ("named.test", "named"),
                                  ("other.test", "server")]:
                out = s_client(server, "-servername", name,
                               data="shutdown\n")
                self.assertIn(f"subject=CN = {subject}", out)
            server.stop()

    def test_certificates_of_clients(self):
        mine = ("-cert", path("client.pem"), "-key", path("client.key"))
        with serve("client_ca=" + path("ca.pem")) as server:
            out = s_client(server, *mine, data="info\nshutdown\n")
            self.assertIn("|true|false|CN=A Client", out)
            self.assertIn("CN = Test Authority", out)
            self.assertRegex(s_client(server), "alert certificate required|"
                                               "alert number 116")
            server.stop()

    def test_an_intermediate_authority(self):
        with serve(name="chain") as server:
            out = s_client(server, "-verify_return_error", data="shutdown\n")
            self.assertIn("Verify return code: 0 (ok)", out)
            server.stop()

    def test_starttls(self):
        with serve("smtp") as server:
            out = s_client(server, "-starttls", "smtp", "-crlf",
                           data="echo private\nshutdown\n")
            self.assertIn("\nprivate\n", out)
            server.stop()

    def test_a_session_of_another_certificate_is_not_taken(self):
        session = path("session-other")
        with serve() as server:
            s_client(server, "-sess_out", session, data="shutdown\n")
            server.stop()
        with serve(name="renewed") as server:
            out = s_client(server, "-sess_in", session, data="shutdown\n")
            self.assertIn("New, TLS", out)
            server.stop()


class GnutlsClient(TestCase):
    def test_both_versions(self):
        require("gnutls-cli")
        with serve("alpn=one,two") as server:
            for version in ("1.2", "1.3"):
                done = subprocess.run(
                    ["gnutls-cli", "--x509cafile", path("ca.pem"), "--alpn",
                     "two", "--sni-hostname", "server.test",
                     "--verify-hostname", "server.test", "--priority",
                     f"NORMAL:-VERS-ALL:+VERS-TLS{version}", "-p", server.port,
                     "127.0.0.1"], input="info\nshutdown\n",
                    capture_output=True, text=True, timeout=60)
                self.assertIn(f"TLSv{version}|two|server.test|", done.stdout)
            done = subprocess.run(
                ["gnutls-cli", "--x509cafile", path("ca.pem"), "--priority",
                 "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:"
                 "-CIPHER-ALL:+CHACHA20-POLY1305", "-p", server.port,
                 "localhost"], input="echo fine\nshutdown\n",
                capture_output=True, text=True, timeout=60)
            self.assertIn("fine", done.stdout)
            server.stop()


class PythonClient(TestCase):
    def test_both_ends_of_a_connection_may_end_first(self):
        with serve() as server:
            conn = connect(server)
            self.assertEqual(ask(conn, "echo x"), "x")
            conn.unwrap().close()
            conn = connect(server)
            conn.sendall(b"shutdown\n")
            self.assertEqual(conn.recv(10), b"")
            # It still listens.
            conn.sendall(b"shutdown\n")
            conn.unwrap().close()
            conn = connect(server)
            self.assertEqual(ask(conn, "echo x"), "x")
            conn.close()  # without a word
            eventually(lambda: server.open_files() < 12)
            self.assertEqual(
                re.sub(r"\d+", "N", server.stop()),
                "end\tnil\nend\tnil\nETRUNCATED\tread_line N.N.N.N:N: "
                "cut off without close_notify\n")

    def test_much_in_both_directions(self):
        size = 20_000_000
        with serve() as server, connect(server) as conn:
            conn.sendall(b"send %d\n" % size)
            got = 0
            while got < size:
                got += len(conn.recv(1 << 16))
            conn.sendall(b"take %d\n" % size)
            for _ in range(size // 1_000_000):
                conn.sendall(b"y" * 1_000_000)
            self.assertEqual(conn.recv(100), b"taken\n")
            server.stop()

    def test_who_does_not_read_holds_up_its_server_only(self):
        with serve() as server:
            with connect(server) as slow:
                slow.sendall(b"send 50000000\n")
                with connect(server) as conn:
                    self.assertEqual(ask(conn, "echo on"), "on")
                before = server.resident()
                slow.recv(1)
                with connect(server) as conn:
                    self.assertEqual(ask(conn, "echo on"), "on")
                if not example.sanitized:
                    self.assertLess(server.resident() - before, 5 << 20)
            server.process.kill()

    def test_what_is_no_tls(self):
        with serve("handshake_timeout=2") as server:
            for data in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\0" * 99,
                         b"SSH-2.0-x\r\n", b"\x16\x03\x01\x00\x05\x01AAAA",
                         b"\x80\x2e\x01\x00\x02"):
                with socket.create_connection(server.address, 60) as plain:
                    plain.sendall(data)
                    while plain.recv(1000):
                        pass
            with connect(server) as conn:
                self.assertEqual(ask(conn, "echo on"), "on")
            server.stop()
            errors = server.stderr()
            self.assertIn("the peer speaks HTTP without TLS", errors)
            self.assertNotIn("traceback", errors)

    def test_stalled_handshakes_hold_up_nobody(self):
        with serve("handshake_timeout=1", "max_handshakes=50") as server:
            stalled = [socket.create_connection(server.address, 60)
                       for _ in range(100)]
            for one in stalled[::2]:
                one.sendall(b"\x16\x03\x01\x02")
            for _ in range(5):
                with connect(server) as conn:
                    self.assertEqual(ask(conn, "echo on"), "on")
            for one in stalled:
                with contextlib.suppress(ConnectionResetError):
                    self.assertEqual(one.recv(1), b"")
                one.close()
            server.stop()
            errors = server.stderr()
            self.assertIn("too many unfinished handshakes", errors)
            self.assertIn("connection timed out", errors)

    def test_an_error_of_a_handler_ends_with_a_notice(self):
        with serve() as server:
            with connect(server) as conn:
                conn.sendall(b"crash\n")
                self.assertEqual(conn.recv(10), b"")
            server.stop()
            self.assertIn("as asked", server.stderr())

    def test_many_clients_at_once(self):
        failures = []

        def talk(server, number):
            try:
                for _ in range(5):
                    with connect(server) as conn:
                        answer = ask(conn, f"echo {number}")
                        if answer != str(number):
                            failures.append(answer)
                        conn.unwrap()
            except (OSError, AssertionError) as problem:
                failures.append(problem)

        with serve() as server:
            threads = [threading.Thread(target=talk, args=(server, i))
                       for i in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])
            self.assertEqual(server.stop().count("end"), 100)

    def test_memory_of_an_idle_connection(self):
        if example.sanitized:
            self.skipTest("no measure of memory")
        example.allow_files(2000)
        count = 400
        with serve() as server:
            first = [connect(server) for _ in range(100)]
            for conn in first:
                self.assertEqual(ask(conn, "echo x"), "x")
            before = server.resident()
            more = [connect(server) for _ in range(count)]
            for conn in more:
                self.assertEqual(ask(conn, "echo x"), "x")
            each = (server.resident() - before) / count
            print(f"{each:.0f} bytes an idle connection")
            self.assertLess(each, 30_000)
            for conn in first + more:
                conn.close()
            server.stop()


CLIENT = """
local net = require("asyncrt.net")
local options = { ca = arg[2], server_name = arg[3] ~= "" and arg[3] or nil }
for i = 4, #arg do
  local name, value = arg[i]:match("^(.-)=(.*)$")
  options[name] = name == "alpn" and { value } or value
end
local conn, message, code = net.connect(arg[1], { tls = options })
if not conn then print(code, message) return end
local info = conn:tls_info()
print(info.version, info.alpn, info.verified, info.peer.subject)
conn:write("hello\\n")
repeat
  local line, why, name = conn:read_line()
  print(line or name or "end", why)
until not line
conn:close()
"""


class OpensslServer(TestCase):
    """The client, and openssl s_server: -rev sends lines back reversed."""

    running = None

    def end_client(self):
        if self.running:
            self.running.kill()
            self.running.wait()
            self.running.stdout.close()
        self.running = None

    def tearDown(self):
        self.end_client()

    def start(self, *options, name="server"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.server = self.enterContext(Talk(
            "s_server", "-accept", f"127.0.0.1:{self.port}",
            "-cert", path(f"{name}.pem"), "-key", path(f"{name}.key"),
            *options))
        self.server.expect("ACCEPT")

    def client(self, *options, name="localhost", ca="ca", host="127.0.0.1"):
        script = path("client.lua")
        Path(script).write_text(CLIENT)
        self.end_client() # s_server serves one at a time
        self.running = subprocess.Popen(
            command(script, f"{host}:{self.port}", path(f"{ca}.pem"), name,
                    *options), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return self.running.stdout

    def test_both_versions(self):
        self.start("-rev", "-alpn", "two")
        for version in ("1.2", "1.3"):
            out = self.client(f"max_version={version}", "alpn=two")
            self.assertEqual(out.readline(),
                             f"TLSv{version}\ttwo\ttrue\tCN=server\n")
            self.assertEqual(out.readline(), "olleh\tnil\n")

    def test_whom_it_refuses(self):
        for name, code, words in [
                ("expired", "ECERT_EXPIRED", "has expired"),
                ("self", "ECERT_SELF_SIGNED", "self-signed"),
                ("stranger", "ECERT_UNKNOWN_CA", "unknown authority"),
                ("wild", "ECERT_HOST", "not for 'localhost' but for "
                                       "DNS:*.wild.test")]:
            self.start("-rev", name=name)
            line = self.client().readline()
            start = f"{code}\tconnect 127.0.0.1:{self.port}: the certificate "
            self.assertEqual(line[:len(start)], start)
            self.assertIn(words, line)

    def test_the_host_of_the_address(self):
        self.start("-rev")
        self.assertIn("true", self.client(name="").readline())
        self.assertIn("true", self.client(name="", host="localhost").readline())

    def test_it_has_a_certificate(self):
        self.start("-rev", "-Verify", "1", "-CAfile", path("ca.pem"),
                   "-verify_return_error")
        out = self.client(f"cert={path('client.pem')}",
                          f"key={path('client.key')}")
        self.assertIn("true", out.readline())
        self.assertIn("olleh", out.readline())

    def test_it_lacks_a_certificate(self):
        self.start("-rev", "-Verify", "1")
        out = self.client()
        self.assertIn("true", out.readline())
        self.assertRegex(out.readline(), "^ETLS_ALERT\tread_line .*: refused "
                                         "by the peer: certificate required")

    def test_keys_are_renewed(self):
        self.start()
        out = self.client()
        self.assertIn("TLSv1.3", out.readline())
        for line in ("one", "K", "two", "k", "three", "K"):
            if line in "Kk":
                self.server.say(line, "SSL_do_handshake")
                continue
            self.server.say(line)
            self.assertEqual(out.readline(), f"{line}\tnil\n")
        self.server.say("Q") # it says nothing to its client
        self.assertRegex(out.readline(), "^(ETRUNCATED|ECONNRESET)\t")

    def test_a_server_that_wants_to_renegotiate(self):
        self.start("-tls1_2")
        out = self.client()
        self.assertIn("TLSv1.2", out.readline())
        self.server.say("before")
        self.assertEqual(out.readline(), "before\tnil\n")
        self.server.say("r", "SSL_do_handshake")
        # It is refused, and gives up.
        self.assertRegex(out.readline(), "^(end|E[A-Z_]+)\t")


if __name__ == "__main__":
    unittest.main()
