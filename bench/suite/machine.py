"""The machine: where programs are pinned, and what else runs on it."""

import os
import resource
import signal
import subprocess
import time

CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU = CPUS[0]
LOAD_CPU = CPUS[-1]


def pinned(command, cpu, **options):
    """Starts a command that may run on one CPU only."""
    return subprocess.Popen(
        command,
        preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
        **options,
    )


def output(command, cpu, limit):
    """What a pinned command prints; (None, reason) where it fails."""
    patience.wait()
    process = pinned(
        command, cpu, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None, f"no end after {limit} s"
    if process.returncode != 0:
        lines = err.strip().splitlines() or ["no message"]
        return None, f"status {process.returncode}: {lines[0][:200]}"
    return out, None


def allow_files():
    """Raises the limit of open files as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def end_on_signals():
    """Makes SIGINT and SIGTERM exceptions, so that servers are stopped."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class Patience:
    """Waits until other programs leave the CPUs alone, for so long in all."""

    QUIET = 0.1  # of all CPUs
    SAMPLE = 0.1  # seconds

    def __init__(self, seconds):
        self.left = seconds

    def wait(self):
        while self.left > 0:
            noise, start = Noise(), time.monotonic()
            time.sleep(self.SAMPLE)
            if noise.share() <= self.QUIET:
                return
            self.left -= time.monotonic() - start


patience = Patience(0)


class Noise:
    """How much CPU the rest of the machine uses while the suite runs."""

    def __init__(self):
        self.busy, self.own, self.wall = self.read()

    @staticmethod
    def read():
        with open("/proc/stat") as file:
            fields = [int(f) for f in file.readline().split()[1:9]]
        tick = os.sysconf("SC_CLK_TCK")
        busy = (sum(fields) - fields[3] - fields[4]) / tick
        own = 0.0
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            own += usage.ru_utime + usage.ru_stime
        return busy, own, os.times().elapsed

    def share(self):
        """The share of all CPUs that others used, from 0 to 1."""
        busy, own, wall = self.read()
        others = (busy - self.busy) - (own - self.own)
        total = (wall - self.wall) * (os.cpu_count() or 1)
        return min(1.0, max(0.0, others / total)) if total > 0 else 0.0
