"""What sockets promise, seen from outside the process."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import example
from example import Client, Server, TestCase, eventually

STATES = Path(__file__).with_name("states.lua")


def echo(**options):
    return Server("echo.lua", "127.0.0.1:0", **options)


class Descriptors(TestCase):
    """More clients than there are file descriptors for."""

    def serve_two_hundred(self, server):
        async def exchange(index):
            reader, writer = await asyncio.open_connection(*server.address)
            data = f"client {index}\n".encode() * 1000
            writer.write(data)
            writer.write_eof()
            served = await reader.read() == data
            writer.close()
            return served

        async def exchange_all():
            return await asyncio.gather(*map(exchange, range(200)))

        self.assertEqual(sum(asyncio.run(exchange_all())), 200)
        server.stop()
        errors = server.stderr().splitlines()
        for line in errors:
            self.assertRegex(line, "waiting until a connection is closed$")
        return errors

    def test_two_hundred_clients_are_served_with_64_files(self):
        with echo(files=64) as server:
            self.serve_two_hundred(server)

    def test_two_hundred_clients_are_served_when_no_file_can_be_opened(self):
        # The script itself has taken nearly all.
        take = ("files = {} for i = 1, 100 do files[i] = io.open('/dev/null') "
                "end for i = 1, 12 do files[i]:close() end")
        with echo(files=64, options=["-e", take]) as server:
            errors = self.serve_two_hundred(server)
            self.assertNotEqual(errors, [])

    def test_waiting_for_a_descriptor_costs_nothing(self):
        with echo(files=64) as server:
            clients = [Client(server.address) for _ in range(64)]
            eventually(lambda: "waiting until" in server.stderr())
            switches = server.status("voluntary_ctxt_switches")
            start = time.monotonic()
            time.sleep(1)
            switches = server.status("voluntary_ctxt_switches") - switches
            self.assertLess(switches / (time.monotonic() - start), 20)
            for client in clients:
                client.close()
            with Client(server.address) as client:
                client.send("served\n")
                self.assertEqual(client.line(), "served")
            server.stop()


class Memory(TestCase):
    def setUp(self):
        if example.sanitized:
            self.skipTest("a sanitizer needs memory of its own")

    def test_a_client_that_never_reads_costs_less_than_a_mebibyte(self):
        with echo() as server, Client(server.address) as client:
            client.send("x")
            self.assertEqual(client.file.read(1), b"x")
            before = server.resident()
            sent = self.fill(client.socket)
            growth = server.resident() - before
            self.assertGreater(sent, 2**20)
            self.assertLess(growth, 2**20)
            print(f"{sent} bytes unread: {growth} bytes", end=" ... ")

            # It was only late: nothing is lost.
            client.socket.settimeout(None)
            received = 0
            client.end()
            while part := client.file.read(65536):
                received += len(part)
            self.assertEqual(received, sent)
            server.stop()

    def fill(self, connection):
        """Sends until nothing more is taken; returns how much it was."""
        connection.settimeout(0.5)
        sent = 0
        try:
            while True:
                sent += connection.send(b"x" * 65536)
        except TimeoutError:
            return sent

    def test_an_idle_connection_costs_less_than_8_kB(self):
        count = 10_000
        example.allow_files(count + 100)
        with echo() as server:
            before = server.resident()
            clients = []
            for i in range(count):
                client = socket.create_connection(server.address)
                client.send(b"hello")
                clients.append(client)
            for client in clients:
                self.assertEqual(client.recv(10), b"hello")
            cost = (server.resident() - before) / count
            print(f"{cost:.0f} bytes", end=" ... ")
            self.assertLess(cost, 8000)

            # All of them, once more.
            for client in clients:
                client.send(b"still here")
            for client in clients:
                self.assertEqual(client.recv(20), b"still here")
            for client in clients:
                client.close()
            eventually(lambda: server.open_files() < 20)
            server.stop()

    def test_what_connections_leave_behind_is_nothing(self):
        with echo() as server:
            self.churn(server, 2000)
            memory, files = server.resident(), server.open_files()
            self.churn(server, 10_000)
            growth = server.resident() - memory
            print(f"{growth} bytes", end=" ... ")
            self.assertLess(growth, 2**19)
            eventually(lambda: server.open_files() <= files)
            server.stop()

    def churn(self, server, count):
        for i in range(count):
            with socket.create_connection(server.address) as client:
                client.send(b"x")
                self.assertEqual(client.recv(10), b"x")
                if i % 3 == 0:
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(client.recv(10), b"")


class Resets(TestCase):
    """A client that goes away by a reset, whatever the server waits for."""

    def setUp(self):
        self.server = self.enterContext(Server(STATES))
        self.files = self.server.open_files()

    def check(self):
        """All is as before, and new clients are served."""
        eventually(lambda: self.server.open_files() == self.files)
        self.assertEqual(self.outcome("shut", lambda client: client.close()),
                         "shut\tnil")
        self.assertEqual(self.server.stop(), "")
        self.assertEqual(self.server.stderr(), "")

    def outcome(self, state, leave):
        with Client(self.server.address, receive_buffer=4096) as client:
            client.send(state + "\n")
            self.assertEqual(client.line(), "ready")
            leave(client)
        return self.server.process.stdout.readline().strip()

    def test_while_something_waits(self):
        for state in ("read", "read_exact", "select", "write", "write_select",
                      "flush", "shutdown", "shut", "both"):
            with self.subTest(state):
                self.assertRegex(
                    self.outcome(state, lambda client: client.reset()),
                    rf"^{state}\t(ECONNRESET|EPIPE)$")
        self.check()

    def test_while_nothing_waits(self):
        def leave(client):
            client.send("gone\n")
            client.reset()

        self.assertRegex(self.outcome("elsewhere", leave),
                         r"^elsewhere\t(ECONNRESET|EPIPE)$")
        self.check()

    def test_while_the_rest_is_sent(self):
        def leave(client):
            self.assertEqual(client.file.read(5), b"xxxxx")
            client.reset()

        self.assertEqual(self.outcome("closed", leave), "closed\tclosed")
        self.check()

    def test_before_it_is_accepted(self):
        self.server.process.send_signal(signal.SIGSTOP)
        for i in range(50):
            client = Client(self.server.address)
            if i % 2:
                client.send("x")
            client.reset()
        self.server.process.send_signal(signal.SIGCONT)
        self.check()


class Start(TestCase):
    def test_closed_standard_streams(self):
        example.require("socat")
        for closed in itertools.product((False, True), repeat=3):
            with (self.subTest(closed=closed),
                  tempfile.TemporaryDirectory() as folder):
                path = os.path.join(folder, "socket")
                redirections = " ".join(
                    f"{fd}>&-" if shut else f"{fd}<>/dev/null"
                    for fd, shut in enumerate(closed))
                process = subprocess.Popen(
                    ["sh", "-c", f'exec "$@" {redirections}', "sh",
                     *example.command("echo.lua", "unix:" + path)])
                try:
                    eventually(lambda: os.path.exists(path)
                               or process.poll() is not None)
                    answer = subprocess.run(
                        ["socat", "-t", "60", "-", f"UNIX-CONNECT:{path}"],
                        input=b"only this", check=True,
                        stdout=subprocess.PIPE).stdout
                    self.assertEqual(answer, b"only this")
                    process.terminate()
                    self.assertEqual(process.wait(), 0)
                    self.assertFalse(os.path.exists(path))
                finally:
                    process.kill()
                    process.wait()

    def test_a_killed_server_can_be_started_again_at_once(self):
        with echo() as server:
            port = server.port
            clients = [Client(server.address) for _ in range(50)]
            for client in clients:
                client.send("x\n")
                self.assertEqual(client.line(), "x")
            server.process.kill()
            server.process.wait()
            with Server("echo.lua", f"127.0.0.1:{port}") as again:
                with Client(again.address) as client:
                    client.send("back\n")
                    self.assertEqual(client.line(), "back")
                again.stop()
            for client in clients:
                client.close()
