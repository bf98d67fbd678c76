"""The scheduler family: the same workloads inside each peer."""

from dataclasses import dataclass, field

from . import machine, peers, results

LIMIT = 120  # seconds for one program
SELECTING = {"tarantool"}  # cannot select over channels
COUNTS = {
    # Operations of slower peers, to asyncrt's, so that all take about as long.
    "go": 1, "node": 0.5, "asyncio": 0.1, "uvloop": 0.1, "racket": 0.1,
    "cqueues": 0.2, "tarantool": 0.2, "lua": 1,
}  # fmt: skip


@dataclass
class Work:
    title: str
    name: str  # of the workload in the programs
    count: int  # operations, of asyncrt
    extra: int = 0
    without: set = field(default_factory=set)
    only: set = field(default_factory=set)
    counts: dict = field(default_factory=dict)  # where COUNTS does not fit
    timed: bool = True  # CPU-bound: a round where it had no CPU is dropped


def _works():
    works = {
        "spawn": Work("spawn and join, all at once", "spawn", 300000,
                      counts={"tarantool": 20000, "racket": 50000}),
        "groups": Work("spawn and join, groups of 100", "groups", 1000000),
        "resume": Work("two coroutine.resume there and back, the floor of a "
                       "ping-pong", "resume", 2000000,
                       only={"lua", "asyncrt"}),
        "pingpong": Work("ping-pong over rendezvous channels", "pingpong",
                         1000000),
    }  # fmt: skip
    for tasks in (10, 1000, 100000):
        works[f"yield-{tasks}"] = Work(
            f"yield among {tasks:,} tasks",
            "yield",
            2000000 if tasks < 100000 else 1000000,
            tasks,
            counts={"tarantool": 200000} if tasks < 100000 else {},
            without={"tarantool", "racket"} if tasks == 100000 else set(),
        )
    works["channel"] = Work("channel of 128, one to one", "channel", 2000000,
                            counts={"racket": 64000})  # fmt: skip
    works["producers"] = Work(
        "channel of 128, 64 producers", "producers", 64 * 30000,
        counts={"racket": 64000, "asyncio": 128000, "uvloop": 128000,
                "node": 640000, "cqueues": 320000, "tarantool": 320000},
    )  # fmt: skip
    works["daisy"] = Work(
        "daisy chain", "daisy", 100000,
        counts=dict.fromkeys(("node", "asyncio", "uvloop", "cqueues"), 50000)
        | dict.fromkeys(("racket", "tarantool"), 10000),
    )  # fmt: skip
    for arms, count in ((2, 400000), (8, 300000), (64, 60000), (512, 10000)):
        slow = max(200, count // 40)
        works[f"select-{arms}"] = Work(
            f"select over {arms} channels, arms made each time", "select",
            count, arms, without=SELECTING,
            counts={"node": count // 10, "asyncio": slow, "uvloop": slow,
                    "racket": slow, "cqueues": count // 10,
                    "go": count if arms < 64 else count // 5},
        )  # fmt: skip
        works[f"select-kept-{arms}"] = Work(
            f"select over {arms} channels, arms kept", "select_kept",
            count, arms, only={"asyncrt"},
        )  # fmt: skip
    for arms in (2, 8, 64, 512, 4096):
        works[f"select-arms-{arms}"] = Work(
            f"select over {arms:,} channels, rt.arms", "select_arms",
            400000, arms, only={"asyncrt"},
        )  # fmt: skip
    works["pool"] = Work(
        "job pool: the first of 128 tasks", "pool", 20000, without=SELECTING,
        counts=dict.fromkeys(("node", "go", "cqueues"), 10000)
        | dict.fromkeys(("asyncio", "uvloop", "racket"), 5000),
    )  # fmt: skip
    works["pool-arms"] = Work(
        "job pool: the first of 128 tasks, rt.arms", "pool_arms", 100000,
        only={"asyncrt"},
    )  # fmt: skip
    works["timeout"] = Work(
        "a time limit around what is ready", "timeout", 1000000,
        without={"tarantool", "cqueues"},
    )  # fmt: skip
    works["timers"] = Work(
        "a task that sleeps up to a second, CPU", "timers", 100000, timed=False,
        counts=dict.fromkeys(("racket", "tarantool"), 10000),
    )  # fmt: skip
    hundred_thousand = dict.fromkeys(
        ("go", "node", "asyncio", "uvloop", "cqueues"), 100000
    )
    works["sleepers"] = Work(
        "100,000 tasks asleep", "sleepers", 100000, 8, timed=False,
        counts=hundred_thousand | dict.fromkeys(("racket", "tarantool"), 20000),
    )  # fmt: skip
    works["sleepers-1m"] = Work(
        "1,000,000 tasks asleep", "sleepers", 1000000, 40, timed=False,
        only={"asyncrt", "go", "node"}, counts={"node": 1000000},
    )  # fmt: skip
    works["wake-order"] = Work(
        "1,000,000 tasks that wait for an instant each", "wake_order", 1000000,
        40, timed=False, only={"asyncrt"},
    )  # fmt: skip
    works["start-up"] = Work("hello world, milliseconds", "hello", 1)
    works["idle"] = Work("memory at rest", "idle", 1)
    return works


WORKS = _works()
ONCE = {"sleepers", "sleepers-1m", "wake-order"}  # in quick: long, and steady
SKIPPED = {"lua"}  # has no scheduler; only there for the floor


def runs(work, peer):
    if not peer.tasks or peer.name in work.without:
        return False
    if work.only:
        return peer.name in work.only
    return peer.name not in SKIPPED or work.name in ("hello", "idle")


def command(work, peer):
    count = work.counts.get(peer.name)
    if count is None:
        count = int(work.count * COUNTS.get(peer.name, 1))
    if work.name in ("hello", "idle"):
        count = 1
    if work.name in ("groups", "yield"):  # whole groups, whole tasks
        unit = max(100, work.extra)
        count = max(unit, count - count % unit)
    return [*map(str, peer.tasks), work.name, str(count), str(work.extra)]


def read(out):
    pairs = (line.split() for line in out.splitlines())
    return {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2}


def once(work, peer):
    """One run of one workload: its figures, and whether it had its CPU."""
    arguments = command(work, peer)
    if work.name == "hello":
        arguments = [str(peers.BUILD / "startup"), "20", *arguments]
    out, error = machine.output(arguments, machine.SERVER_CPU, LIMIT)
    if error:
        return {"error": error, "kept": False}
    if work.name == "hello":
        pairs = [[float(x) for x in line.split()] for line in out.splitlines()]
        return {
            "wall_ms": min(p[0] for p in pairs),
            "cpu_ms": min(p[1] for p in pairs),
            "kept": True,
        }
    values = read(out)
    if work.name in ("sleepers", "wake_order"):
        # Else the first were awake again before the last went to sleep.
        values["kept"] = values["create_s"] < work.extra
        return values
    needed = results.SATURATED * values.get("wall_ns", 0)
    values["kept"] = not work.timed or values.get("cpu_ns", 0) >= needed
    return values


def measure(found, works, rounds, retries, into, say, quick):
    for name in works:
        work = WORKS[name]
        runners = [peer for peer in found if runs(work, peer)]
        runners.sort(key=lambda peer: peer.name != "asyncrt")
        if not runners:
            continue
        say(f"{name}: {work.title}")
        results.interleave(
            into, name, runners,
            1 if quick and name in ONCE else rounds,
            retries if work.timed else 0,
            lambda peer, work=work: once(work, peer), say,
        )  # fmt: skip
