"""Examples as processes, and clients that talk to them."""

import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 150  # seconds for one test

asyncrt = None  # path of the executable; set by run.py
sanitized = False  # it is instrumented: slower, and no measure of memory


def command(script, *arguments, options=()):
    """The command that runs examples/SCRIPT, or a script given as a path."""
    script = str(ROOT / "examples" / script)
    # Other tests may keep the machine busy: a slow step is no news.
    return [asyncrt, "--watch-ms=0", *options, script, *map(str, arguments)]


def allow_files(count):
    """Raises the limit of open files, for this process and what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise unittest.SkipTest(f"no more than {hard} open files are allowed")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def require(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            raise unittest.SkipTest(f"{tool} is not installed")


def require_module(module, reason):
    """Skips where the build lacks what `module` needs."""
    done = subprocess.run([asyncrt, "-e", f'require("{module}")'],
                          capture_output=True, text=True)
    if "is not part of this build" in done.stderr:
        raise unittest.SkipTest(reason)


def certificates():
    """A folder of new certificates, until the tests of the module are over."""
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    subprocess.run([str(ROOT / "tests/tls/certificates.sh"), folder.name],
                   check=True)
    return folder


def _late(_signal, _frame):
    raise TimeoutError(f"no end within {LIMIT} s")


class TestCase(unittest.TestCase):
    """A test that is bounded in time, so that it ends what it started."""

    def run(self, result=None):
        signal.signal(signal.SIGALRM, _late)
        signal.alarm(LIMIT)
        try:
            return super().run(result)
        finally:
            signal.alarm(0)

    def check_usage(self, script, *arguments):
        """It ends at once by telling how it is called."""
        done = subprocess.run(command(script, *arguments), text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertRegex(done.stderr,
                         rf"\Ausage: asyncrt examples/{script} .*\n\Z")


class Server:
    """A running example whose first line says where it listens. `stop` is to
    be called before the end of the block: it checks how the example ends. It
    is cut off there unless it ends by itself, as net.serve does."""

    def __init__(self, script, *arguments, files=None, options=(),
                 cut_off=False):
        self.command = command(script, *arguments, options=options)
        self.files = files
        self.cut_off = cut_off
        self.errors = tempfile.TemporaryFile(mode="w+")

    def __enter__(self):
        prepare = None
        if self.files:
            limits = (self.files, self.files)
            prepare = lambda: resource.setrlimit(  # noqa: E731
                resource.RLIMIT_NOFILE, limits)
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self.errors, text=True, preexec_fn=prepare)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.process.wait()
            raise AssertionError(f"first line: {line!r}, then {self.stderr()}")
        host, _, port = line.split()[-1].rpartition(":")
        self.address = (host, int(port))
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    @property
    def port(self):
        return str(self.address[1])

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read()

    def status(self, field):
        """A number out of what the kernel says about the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(field + ":")[1].split()[0])

    def resident(self):
        """Bytes of its memory that are resident."""
        return self.status("VmRSS") * 1024

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        """Ends it by SIGTERM and returns what it has printed since."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended(-signal.SIGTERM if self.cut_off else 0)

    def ended(self, expected=0):
        """Waits for its end and returns what it has printed since."""
        output = self.process.stdout.read()
        status = self.process.wait()
        if status != expected:
            raise AssertionError(f"exit status {status}: {self.stderr()}")
        check_free(self.address)
        return output


def check_free(address):
    """Raises where something listens on an address still."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()


class Client:
    """A connection that is read and written by lines."""

    def __init__(self, address, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                   receive_buffer)
        self.socket.connect(address)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, text):
        self.socket.sendall(text.encode())

    def line(self):
        """The next line without its end, or None."""
        line = self.file.readline()
        return line.decode().rstrip("\n") if line else None

    def expect(self, text):
        """Reads lines until there is one like this; returns those before."""
        before = []
        while (line := self.line()) != text:
            if line is None:
                raise AssertionError(f"{text!r} is not in {before}")
            before.append(line)
        return before

    def prompt(self, text):
        """Reads a text that is no line."""
        got = self.file.read(len(text)).decode()
        if got != text:
            raise AssertionError(f"{got!r} instead of {text!r}")

    def end(self):
        """Nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()


def eventually(check, seconds=30):
    """Waits until a fact about another process is true."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise AssertionError("it did not become true")
        time.sleep(0.01)
