"""The io families: one load on the server of each peer, of echoes or HTTP."""

import json
import os
import socket
import subprocess
import time
from dataclasses import dataclass

from . import machine, peers, results

START_LIMIT = 15  # seconds until a server listens


@dataclass
class Load:
    connections: int
    bytes: int
    depth: int = 1
    mode: str = "echo"
    title: str = ""
    slow: int = 0  # further clients, that send a byte a second

    @property
    def saturates(self):
        """Whether one of the two CPUs must be busy all the time."""
        return self.connections > 1


def _works():
    works = {}
    for connections in (1, 64, 1000, 10000):
        for size, name in ((16, "16"), (128, "128"), (4096, "4k"), (65536, "64k")):
            works[f"echo-{name}x{connections}"] = Load(
                connections,
                size,
                title=f"{size:,} bytes × {connections:,} connections",
            )
    works["pipelined"] = Load(
        64, 128, depth=16, title="128 bytes × 64 connections, 16 on their way"
    )
    works["storm"] = Load(
        64, 128, mode="storm", title="connect, echo 128 bytes, close; 64 at once"
    )
    return works


ECHO = _works()
HTTP = {
    "http-64": Load(64, 1, mode="http", title="hello world × 64 connections"),
    "http-1000": Load(
        1000, 1, mode="http", title="hello world × 1,000 connections"
    ),
    "http-browser-64": Load(
        64, 1, mode="browser", title="… with a browser's request × 64"
    ),
    "http-slow": Load(
        1, 1, mode="http", slow=5000,
        title="hello world × 1 connection, beside 5,000 slow ones",
    ),
}
WORKS = ECHO | HTTP
QUICK = [
    "echo-128x1", "echo-128x64", "echo-4kx64", "echo-64kx64", "echo-128x1000",
    "echo-128x10000", "pipelined", "storm", "http-64",
]  # fmt: skip


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server, pinned."""

    def __init__(self, peer, command):
        self.peer, self.port = peer, free_port()
        command = [str(part).format(port=self.port) for part in command]
        self.process = machine.pinned(
            command,
            machine.SERVER_CPU,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def listens(self):
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                time.sleep(0.05)
        return False

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def load(server, mode, connections, size, depth, seconds, warm_up=0.2):
    """One run of the load generator: its figures, or {"error": …}."""
    options = {
        "-p": server.port, "-m": mode, "-c": connections, "-b": size,
        "-d": depth, "-s": seconds, "-w": warm_up, "-P": server.process.pid,
    }  # fmt: skip
    command = [str(peers.BUILD / "load")]
    for option, value in options.items():
        command += [option, str(value)]
    out, error = machine.output(command, machine.LOAD_CPU, 60 + seconds)
    return {"error": error} if error else json.loads(out)


class SlowClients:
    """Clients of a server that come while the block begins, and stay."""

    def __init__(self, server, count):
        command = [peers.BUILD / "slow", str(server.port), str(count)]
        self.process = machine.pinned(
            command, machine.LOAD_CPU, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        # The measured one goes first.
        os.setpriority(os.PRIO_PROCESS, self.process.pid, 19)
        self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


def load_beside_slow(server, work, seconds):
    """A run beside slow clients, after one without them to compare it with."""
    arguments = (server, work.mode, work.connections, work.bytes, work.depth)
    alone = load(*arguments, seconds)
    if "error" in alone:
        return alone
    with SlowClients(server, work.slow):
        values = load(*arguments, seconds)
    if "error" not in values:
        for metric in ("p50_us", "p99_us"):
            name = metric.removesuffix("_us") + "_to_alone"
            values[name] = values[metric] / alone[metric]
    return values


def start(family, all_peers, say):
    """Starts the servers; those that do not come up are left out."""
    servers = []
    for peer in all_peers:
        command = getattr(peer, family)
        if not command:
            continue
        server = Server(peer, command)
        if server.listens():
            servers.append(server)
        else:
            server.stop()
            say(f"{peer.title} does not listen; left out")
    return servers


def measure(family, found, works, rounds, retries, seconds, into, say):
    """The workloads of a family: all servers are up, one is under load."""
    servers = {s.peer.name: s for s in start(family, found, say)}
    runners = [peer for peer in found if peer.name in servers]
    try:
        for name in works:
            work = WORKS[name]
            say(f"{name}: {work.title}")

            def once(peer, work=work):
                server = servers[peer.name]
                if work.slow:
                    values = load_beside_slow(server, work, seconds)
                else:
                    values = load(
                        server, work.mode, work.connections, work.bytes,
                        work.depth, seconds,
                    )  # fmt: skip
                values["kept"] = "error" not in values and (
                    not work.saturates
                    or max(values["server_cpu"], values["load_cpu"])
                    >= results.SATURATED
                )
                return values

            results.interleave(
                into, name, runners, rounds, retries, once, say
            )
    finally:
        for server in servers.values():
            server.stop()


def measure_idle(found, rounds, into, say, connections=10000):
    """Memory of a server while connections are open and silent."""
    name = "idle-connections"
    say(f"{name}: {connections:,} connections, memory")

    def once(peer):
        server = Server(peer, peer.echo)
        try:
            if not server.listens():
                return {"error": "does not listen", "kept": False}
            time.sleep(0.2)
            values = load(server, "idle", connections, 128, 1, 0.5)
        finally:
            server.stop()
        values["kept"] = "error" not in values
        return values

    runners = [peer for peer in found if peer.echo]
    results.interleave(into, name, runners, rounds, 0, once, say)


CHECKS = [
    (1, 1, 1000), (1, 16, 1), (8, 128, 50), (64, 4096, 20), (4, 65536, 10),
    (3, 1000003, 3), (500, 333, 7),
]  # fmt: skip


def check(found, say):
    """Whether every server echoes every byte; the number of those that do not."""
    bad = 0
    for server in start("echo", found, say):
        errors = []
        for connections, size, depth in CHECKS:
            values = load(server, "check", connections, size, depth, 0)
            expected = connections * size * depth
            error = values.get("error")
            if not error and values["bytes"] != expected:
                error = f"{values['bytes']} of {expected} bytes"
            if error:
                errors.append(f"{connections} × {depth} × {size}: {error}")
        values = load(server, "storm", 8, 128, 1, 0.2, 0)
        if "error" in values:
            errors.append(f"storm: {values['error']}")
        server.stop()
        bad += bool(errors)
        say(f"{server.peer.title}: " + ("; ".join(errors) or "every byte"))
    return bad
