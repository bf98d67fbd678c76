"""The report: tables in Markdown, and the targets that they are held against."""

import csv

from . import echo, peers, plots, tasks
from .results import Figure

IDLE = "idle-connections"
GB = 1e9


def titles():
    return {peer.name: peer.title for peer in peers.all_peers()}


def peers_of(results, work):
    seen = dict.fromkeys(r["peer"] for r in results.rounds if r["work"] == work)
    order = list(titles())
    return sorted(seen, key=order.index)


def short(value):
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(figure, unit=1.0):
    if figure is None:
        return "–"
    low, high = short(figure.low / unit), short(figure.high / unit)
    return f"{short(figure.median / unit)} ({low}–{high})"


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return lines + [f"| {' | '.join(row)} |" for row in rows] + [""]


def failure(results, work, peer):
    errors = [r["error"] for r in results.of(work, peer) if "error" in r]
    return errors[0] if errors else "no round was kept"


def echo_table(results, work):
    """Throughput and latency of the rounds that were kept; CPU of all."""
    rows, names = [], titles()
    for peer in peers_of(results, work):
        every = results.figure_of_all(work, peer, "server_us")
        if every is None:
            reason = failure(results, work, peer)
            rows.append([names[peer], "0", reason, *["–"] * 5])
            continue
        rate = results.figure(work, peer, "per_second")
        row = [names[peer], f"{rate.rounds if rate else 0} of {every.rounds}"]
        if rate is None:
            row += ["dropped", "–"]
        else:
            ratio = results.ratio(work, peer, "epoll", "per_second")
            row += [short(rate.median), spread(ratio)]
        ratio = results.ratio(work, peer, "epoll", "server_us", every=True)
        row += [short(every.median), spread(ratio)]
        metrics = ("p50_us", "p99_us", "p999_us")
        times = [results.figure(work, peer, metric) for metric in metrics]
        row.append(" / ".join(short(t.median) if t else "–" for t in times))
        busy = results.figure(work, peer, "server_cpu")
        row.append(f"{busy.median:.0%}" if busy else "–")
        rows.append(row)
    head = ["server", "rounds kept", "a second", "to epoll", "CPU, µs",
            "CPU to epoll", "p50 / p99 / p99.9, µs", "server's CPU"]  # fmt: skip
    return table(head, rows)


def idle_table(results):
    rows, names = [], titles()
    for peer in peers_of(results, IDLE):
        each = results.figure(IDLE, peer, "bytes_per_connection")
        if each is None:
            rows.append([names[peer], failure(results, IDLE, peer), "–", "–", "–"])
            continue
        before = results.figure(IDLE, peer, "rss_before").median
        total = results.figure(IDLE, peer, "rss").median
        rows.append([
            names[peer], str(each.rounds), f"{each.median:,.0f}",
            f"{before / 1e6:.1f} → {total / 1e6:.1f}",
            f"{results.figure(IDLE, peer, 'idle_cpu').median:.2%}",
        ])  # fmt: skip
    head = ["server", "rounds", "bytes a connection", "memory, MB", "CPU"]
    return table(head, rows)


def task_works(results, timed):
    return [
        name
        for name in results.works()
        if name in tasks.WORKS
        and (any("wall_ns" in r for r in results.rounds if r["work"] == name))
        == timed
    ]


def scheduler_table(results, metric):
    """One row a workload, one column a peer: ns, and the ratio to asyncrt.

    Of the rounds that were kept for times by the clock, of all for CPU."""
    names, every = titles(), metric == "cpu_ns"
    works = [w for w in tasks.WORKS if w in task_works(results, True)]
    columns = [p for p in names if any(results.of(w, p) for w in works)]
    rows = []
    for work in works:
        row = [tasks.WORKS[work].title]
        for peer in columns:
            pick = results.figure_of_all if every else results.figure
            figure = pick(work, peer, metric)
            ratio = results.ratio(work, peer, "asyncrt", metric, every)
            if figure is None:
                row.append("dropped" if results.of(work, peer) else "–")
            elif peer == "asyncrt" or ratio is None:
                row.append(f"{spread(figure)} n={figure.rounds}")
            else:
                row.append(f"{short(figure.median)} · {short(ratio.median)}×")
        rows.append(row)
    head = "CPU, ns" if every else "clock, ns"
    return table([head, *(names[p] for p in columns)], rows)


def sleepers_table(results, work):
    rows, names = [], titles()
    for peer in peers_of(results, work):
        each = results.figure(work, peer, "bytes")
        if each is None:
            reason = failure(results, work, peer)
            rows.append([names[peer], "0", reason, *["–"] * 5])
            continue
        value = lambda metric, peer=peer: results.figure(  # noqa: E731
            work, peer, metric
        )
        disorder, late = value("disorder"), value("late_ms")
        rows.append([
            names[peer], str(each.rounds), short(each.median),
            short(value("rss").median / 1e6), short(value("create_s").median),
            short(value("cpu_ns").median),
            "–" if late is None else short(late.median),
            f"{disorder.median:,.0f}"
            if disorder and work == "wake-order" else "–",
        ])  # fmt: skip
    head = ["", "rounds", "bytes a task", "memory, MB", "to create, s",
            "CPU a task, ns", "latest wake-up, ms", "out of order"]  # fmt: skip
    return table(head, rows)


def small_table(results):
    """Timers, start-up and memory at rest."""
    rows, names = [], titles()
    columns = {
        "timers": ("cpu_ns", 1, "timer, CPU ns"),
        "start-up": ("wall_ms", 1, "hello world from start to end, ms"),
        "idle": ("rss", 1e6, "memory at rest, MB"),
    }
    for peer in names:
        if not any(results.of(work, peer) for work in columns):
            continue
        row = [names[peer]]
        for work, (metric, unit, _) in columns.items():
            figure = results.figure(work, peer, metric)
            text = spread(figure, unit)
            row.append(f"{text} n={figure.rounds}" if figure else text)
        rows.append(row)
    return table(["", *(c[2] for c in columns.values())], rows)


def targets(results):
    """(target, what was seen, whether it holds, rounds) of each target."""
    rows = []

    def add(text, figure, holds, unit=1.0, suffix=""):
        if figure is None:
            rows.append([text, "not measured", "–", "0"])
            return
        rows.append([
            text, spread(figure, unit) + suffix,
            "yes" if holds(figure.median) else "**no**", str(figure.rounds),
        ])  # fmt: skip

    add("echo, 128 bytes × 64: ≥ 0.9 of raw epoll's throughput",
        results.ratio("echo-128x64", "asyncrt", "epoll", "per_second"),
        lambda x: x >= 0.9)
    add("… its CPU an echo: ≤ 1.11 of raw epoll's, all rounds",
        results.ratio("echo-128x64", "asyncrt", "epoll", "server_us", True),
        lambda x: x <= 1 / 0.9)
    add("HTTP, hello world × 64: ≥ 0.8 of nginx's throughput",
        results.ratio("http-64", "asyncrt", "nginx", "per_second"),
        lambda x: x >= 0.8)
    add("… its CPU a request: ≤ 1.25 of nginx's, all rounds",
        results.ratio("http-64", "asyncrt", "nginx", "server_us", True),
        lambda x: x <= 1 / 0.8)
    add("… ≥ 3 times Node's throughput",
        results.ratio("http-64", "asyncrt", "node", "per_second"),
        lambda x: x >= 3)
    add("… beside 5,000 slow clients: p99 < 2 × without them",
        results.figure("http-slow", "asyncrt", "p99_to_alone"),
        lambda x: x < 2)
    for work, how in (("sleepers-1m", "sleep"), ("wake-order", "rt.at")):
        add(f"1,000,000 sleeping tasks ({how}): memory < 2.5 GB",
            results.figure(work, "asyncrt", "rss"),
            lambda x: x < 2.5 * GB, GB, " GB")
    add("… woken in order: none out of order",
        results.figure("wake-order", "asyncrt", "disorder"), lambda x: x == 0)
    for peer, where in (("lua", "Lua alone"), ("asyncrt", "inside a task")):
        what = f"ping-pong: < 2 × two coroutine.resume ({where})"
        add(what, quotient(results.kept, peer, "wall_ns"), lambda x: x < 2)
        add("… in CPU time, all rounds",
            quotient(results.of, peer, "cpu_ns"), lambda x: x < 2)
    add("an open connection of 10,000: < 8 kB",
        results.figure(IDLE, "asyncrt", "bytes_per_connection"),
        lambda x: x < 8000, 1000, " kB")
    add("start-up: < 5 ms", results.figure("start-up", "asyncrt", "wall_ms"),
        lambda x: x < 5, 1, " ms")
    alone = results.figure("start-up", "lua", "wall_ms")
    rows.append(["… Lua alone, to compare with", f"{spread(alone)} ms", "–",
                 str(alone.rounds if alone else 0)])  # fmt: skip
    return rows


def quotient(pick, peer, metric):
    """Each round of the ping-pong to the median of the floor."""
    floor = Figure.of(r.get(metric) for r in pick("resume", peer))
    rounds = pick("pingpong", "asyncrt")
    return floor and Figure.of(r[metric] / floor.median for r in rounds)


def heading(results):
    facts = results.facts
    dropped, total = results.dropped()
    noise = facts.get("noise", {}).values()
    versions = "; ".join(
        f"{title} {facts['versions'][name]}"
        for name, title in titles().items()
        if name in facts.get("versions", {})
    )
    lines = [
        "# Benchmarks",
        "",
        "Written by `bench/run`; [bench/README.md](../../bench/README.md) says",
        "what is measured and how to read it, [profile.md](profile.md) where the",
        "time of an echo goes.",
        "",
        f"- **Date** {facts.get('date', '?')}",
        f"- **Machine** {facts.get('cores', '?')} cores, "
        f"{facts.get('machine', '?')}, {facts.get('kernel', '?')}; loopback; "
        "servers on one CPU, the load generator on the other",
        f"- **Versions** {versions}",
        f"- **Noise** other programs used up to {max(noise, default=0):.0%} of "
        f"the machine meanwhile; {dropped} of {total} rounds were dropped",
        "  because neither the measured program nor the load generator had 95 % "
        "of its CPU",
        "",
        "A spread goes from the lowest to the highest round that was kept.",
    ]
    if dropped > total / 4:
        lines += [
            "**The machine was shared and busy.** Figures by the clock are few",
            "or missing (*dropped*). CPU times are of all rounds: they count only",
            "the time that a program ran, though with colder caches than alone.",
        ]
    lines.append("")
    return lines


def picture(drawn, name, text):
    return [f"![{text}]({name}.svg)", ""] if name in drawn else []


def write(results, folder, say):
    """Writes README.md, rounds.csv and the plots into `folder`."""
    if not results.rounds:
        raise SystemExit("bench: no results; run bench/run quick first")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = plots.draw(results, folder, titles(), say)
    lines = heading(results)
    lines += ["## Targets", ""]
    head = ["target", "seen: median (spread)", "holds", "rounds"]
    lines += table(head, targets(results))
    lines += ["## Echo", ""]
    lines += picture(drawn, "throughput", "Throughput to raw epoll")
    lines += picture(drawn, "echo-cpu", "CPU of an echo to raw epoll")
    lines += picture(drawn, "latency", "Latency percentiles")
    lines += picture(drawn, "connections", "Echoes a second by connections")
    for work in echo.ECHO:
        if work in results.works():
            lines += [f"### {echo.ECHO[work].title}", ""]
            lines += echo_table(results, work)
    if IDLE in results.works():
        lines += ["### 10,000 open connections, silent", ""]
        lines += idle_table(results)
        lines += picture(drawn, "memory", "Memory a connection and a task")
    if any(work in results.works() for work in echo.HTTP):
        lines += ["## HTTP", ""]
    for work in echo.HTTP:
        if work in results.works():
            lines += [f"### {echo.HTTP[work].title}", ""]
            lines += echo_table(results, work)
    if task_works(results, True) or task_works(results, False):
        lines += scheduler(results, drawn)
    (folder / "README.md").write_text("\n".join(lines).rstrip() + "\n")
    write_rounds(results, folder / "rounds.csv")
    say("wrote docs/benchmarks")


def scheduler(results, drawn):
    lines = ["## Scheduler", ""]
    lines += ["Nanoseconds an operation. asyncrt: the median, the spread and the",
              "number of rounds. Peers: the median, and how many times asyncrt's.",
              "First in CPU time, of all rounds:", ""]  # fmt: skip
    lines += scheduler_table(results, "cpu_ns")
    lines += picture(drawn, "scheduler", "Scheduler workloads")
    lines += picture(drawn, "tasks", "A yield by the number of tasks")
    lines += picture(drawn, "arms", "A select by the number of arms")
    lines += ["By the clock, of the rounds that were kept:", ""]
    lines += scheduler_table(results, "wall_ns")
    for work in ("sleepers", "sleepers-1m", "wake-order"):
        if work in results.works():
            lines += [f"### {tasks.WORKS[work].title}", ""]
            lines += sleepers_table(results, work)
    lines += ["### Timers, start-up, memory at rest", ""]
    return lines + small_table(results)


def write_rounds(results, path):
    """Every round, for those who want other statistics."""
    metrics = dict.fromkeys(
        key for r in results.rounds for key in r if key != "error"
    )
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(
            file, list(metrics), extrasaction="ignore", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(results.rounds)


def show(results, works):
    """The tables of these workloads, on the terminal."""
    for work in works:
        if work in echo.WORKS and work in results.works():
            print(f"\n{echo.WORKS[work].title}\n")
            print("\n".join(echo_table(results, work)))
    if IDLE in works and IDLE in results.works():
        print("\n".join(idle_table(results)))
    if any(work in tasks.WORKS for work in works):
        print("\n".join(scheduler_table(results, "cpu_ns")))
        print("\n".join(scheduler_table(results, "wall_ns")))
        print("\n".join(small_table(results)))
    print("\n".join(table(["target", "seen", "holds", "rounds"], targets(results))))
