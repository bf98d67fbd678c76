"""The command line of bench/run."""

import argparse
import datetime
import fcntl
import os
import sys

from . import echo, machine, peers, report, results, tasks

RESULTS = peers.BUILD / "results.json"
DOCUMENTS = peers.ROOT / "docs" / "benchmarks"
IDLE = "idle-connections"


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def parse(description):
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        nargs="?",
        default="quick",
        choices=["quick", "full", "check", "list", "report"],
    )
    names = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--only", type=names, metavar="PEER,…")
    parser.add_argument("--work", type=names, metavar="WORKLOAD,…")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument(
        "--retries",
        type=int,
        metavar="N",
        help="rounds to add where some were dropped; default: as --rounds",
    )
    parser.add_argument("--seconds", type=float, help="of a round of io")
    parser.add_argument(
        "--patience",
        type=float,
        default=0,
        metavar="S",
        help="seconds, in all, to wait for other programs",
    )
    parser.add_argument("--asyncrt", metavar="PATH", help="of the executable")
    parser.add_argument(
        "--no-report", action="store_true", help="leave docs/benchmarks alone"
    )
    return parser.parse_args()


def known_works():
    return [*echo.WORKS, IDLE, *tasks.WORKS]


def chosen(arguments):
    """The workloads to measure, in order."""
    if arguments.work:
        unknown = set(arguments.work) - set(known_works())
        if unknown:
            raise SystemExit(
                f"bench: no workload {', '.join(sorted(unknown))}; "
                "bench/run list names them"
            )
        return [name for name in known_works() if name in arguments.work]
    if arguments.what == "full":
        return known_works()
    return [*echo.QUICK, IDLE, *tasks.WORKS]


def list_all(found):
    for peer in found:
        print(f"{peer.name:16} {peer.title} {peer.version()}")
    print()
    for name, work in (echo.WORKS | tasks.WORKS).items():
        print(f"{name:16} {work.title}")
    print(f"{IDLE:16} memory of 10,000 silent connections")


def alone():
    """Takes the lock that only one run of the suite has at a time."""
    lock = open(peers.BUILD / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit("bench: another run has not ended") from None
    return lock


def measure(arguments, found):
    quick = arguments.what != "full"
    rounds = arguments.rounds or (3 if quick else 9)
    retries = rounds if arguments.retries is None else arguments.retries
    seconds = arguments.seconds or (0.5 if quick else 1.0)
    works, noise = chosen(arguments), machine.Noise()
    into = results.Results(RESULTS)
    into.facts["versions"] = into.facts.get("versions", {}) | {
        peer.name: peer.version() for peer in found
    }
    for family, known in (("echo", echo.ECHO), ("http", echo.HTTP)):
        timed = [name for name in works if name in known]
        if timed:
            echo.measure(
                family, found, timed, rounds, retries, seconds, into, say
            )
    if IDLE in works:
        echo.measure_idle(found, 1 if quick else 3, into, say)
    inside = [name for name in works if name in tasks.WORKS]
    tasks.measure(found, inside, rounds, retries, into, say, quick)
    into.facts |= {
        "date": datetime.date.today().isoformat(),
        "kernel": "Linux " + peers.number(os.uname().release),
        "machine": os.uname().machine,
        "cores": os.cpu_count(),
        "cpus": len(machine.CPUS),
    }
    shares = into.facts.setdefault("noise", {})
    shares.update(dict.fromkeys(works, noise.share()))
    into.save()
    return into


def main(description):
    arguments = parse(description)
    if arguments.asyncrt:
        peers.asyncrt_path = peers.Path(arguments.asyncrt).resolve()
    machine.patience.left = arguments.patience
    machine.end_on_signals()
    machine.allow_files()
    if arguments.what == "report":
        report.write(results.Results(RESULTS), DOCUMENTS, say)
        return 0
    if not peers.tools():
        say("no C compiler: build-essential")
        return 1
    found = peers.available(arguments.only, say)
    if arguments.what == "list":
        list_all(found)
        return 0
    if arguments.what == "check":
        return 1 if echo.check(found, say) else 0
    with alone():
        into = measure(arguments, found)
    report.show(into, chosen(arguments))
    if not arguments.no_report:
        report.write(into, DOCUMENTS, say)
    return 0
