"""The plots of the report, drawn by gnuplot."""

import shutil
import subprocess

# One look a peer, the same in every plot; asyncrt stands out.
COLOURS = {
    "asyncrt": "#c0392b", "epoll": "#222222", "libuv": "#777777",
    "libev": "#aaaaaa", "go": "#0097a7", "node": "#3c873a",
    "asyncio": "#e0a800", "uvloop": "#8e44ad", "uvloop-protocol": "#c39bd3",
    "racket": "#2e5fa3", "cqueues": "#d2691e", "luv": "#5dade2",
    "luv-callbacks": "#aed6f1", "tarantool": "#a04070",
}  # fmt: skip
POINTS = {name: index + 1 for index, name in enumerate(COLOURS)}


def head(name, title, width=900, height=480):
    return [
        f"set terminal svg size {width},{height} font 'sans-serif,13' "
        "background '#ffffff'",
        f"set output '{name}.svg'",
        f"set title '{title}'",
        "set grid ytics lc rgb '#dddddd' lt 1",
        "set border 3",
        "set tics nomirror",
    ]


def bars(name, title, label, groups, series, names, log=False):
    """Clustered bars. groups: labels; series: {peer: [value or None]}."""
    lines = head(name, title)
    lines += [
        f"set ylabel '{label}'",
        "set style data histograms",
        "set style histogram clustered gap 2",
        "set style fill solid",
        "set key outside right top",
        "set yrange [*:*]" if log else "set yrange [0:*]",
        "set datafile missing '?'",
        "$data << EOD",
    ]
    if log:
        lines.insert(-2, "set logscale y")
    for index, group in enumerate(groups):
        values = [series[peer][index] for peer in series]
        cells = ["?" if v is None else f"{v:.6g}" for v in values]
        lines.append(" ".join([f'"{group}"', *cells]))
    lines.append("EOD")
    plots = [
        f"$data using {column + 2}:xtic(1) title '{names[peer]}' "
        f"lc rgb '{COLOURS[peer]}'"
        for column, peer in enumerate(series)
    ]
    return [*lines, "plot " + ", ".join(plots)]


def curves(name, title, x_label, y_label, series, names):
    """Lines over a logarithmic x. series: {(peer, note): [(x, y)]}."""
    lines = head(name, title)
    lines += [
        f"set xlabel '{x_label}'",
        f"set ylabel '{y_label}'",
        "set logscale xy",
        "set key outside right top",
    ]
    plots = []
    for index, ((peer, note), points) in enumerate(series.items()):
        lines.append(f"$data{index} << EOD")
        lines += [f"{x} {y:.6g}" for x, y in points]
        lines.append("EOD")
        width, dash = (3 if peer == "asyncrt" else 1.5), (2 if note else 1)
        plots.append(
            f"$data{index} with linespoints title '{names[peer]}{note}' "
            f"lc rgb '{COLOURS[peer]}' lw {width} dt {dash} pt {POINTS[peer]}"
        )
    return [*lines, "plot " + ", ".join(plots)]


def median(results, work, peer, metric):
    """Of all rounds for CPU times, else of those that were kept."""
    pick = results.figure_of_all if metric == "cpu_ns" else results.figure
    figure = pick(work, peer, metric)
    return figure.median if figure else None


def to_epoll(results, names, name, title, metric, every):
    works = {
        "echo-128x64": "128 B × 64", "echo-4kx64": "4 KB × 64",
        "echo-64kx64": "64 KB × 64", "echo-128x1000": "128 B × 1,000",
        "echo-128x10000": "128 B × 10,000", "storm": "connect storm",
    }  # fmt: skip
    series = {}
    for peer in COLOURS:
        ratios = [results.ratio(w, peer, "epoll", metric, every) for w in works]
        if any(ratios):
            series[peer] = [ratio and ratio.median for ratio in ratios]
    return series and bars(
        name, title, "times raw epoll", works.values(), series, names,
        log=every,
    )  # fmt: skip


def throughput(results, names):
    return to_epoll(
        results, names, "throughput",
        "Echoes a second, to raw epoll in the same round", "per_second", False,
    )  # fmt: skip


def echo_cpu(results, names):
    return to_epoll(
        results, names, "echo-cpu",
        "CPU of an echo, to raw epoll in the same round", "server_us", True,
    )  # fmt: skip


def latency(results, names):
    """At 64 connections, or at 1,000 where no such round was kept."""
    metrics = {"p50_us": "p50", "p99_us": "p99", "p999_us": "p99.9"}
    for connections in (64, 1000):
        work = f"echo-128x{connections}"
        series = {
            peer: [median(results, work, peer, m) for m in metrics]
            for peer in COLOURS
            if results.kept(work, peer)
        }
        if "epoll" in series:
            return bars(
                "latency",
                f"Latency of an echo, 128 bytes × {connections:,} connections",
                "µs", metrics.values(), series, names, log=True,
            )  # fmt: skip
    return None


def over(results, works, metric):
    """{(peer, ""): [(x, median)]} of the workloads {x: name}."""
    series = {}
    for peer in COLOURS:
        points = [(x, median(results, w, peer, metric)) for x, w in works.items()]
        points = [point for point in points if point[1]]
        if len(points) > 1:
            series[peer, ""] = points
    return series


def connections(results, names):
    works = {n: f"echo-128x{n}" for n in (1, 64, 1000, 10000)}
    series = over(results, works, "per_second")
    return series and curves(
        "connections", "Echoes of 128 bytes a second", "connections",
        "a second", series, names,
    )  # fmt: skip


def number_of_tasks(results, names):
    works = {n: f"yield-{n}" for n in (10, 1000, 100000)}
    series = over(results, works, "cpu_ns")
    return series and curves(
        "tasks", "CPU of a yield", "tasks", "ns", series, names
    )


def arms(results, names):
    counts = (2, 8, 64, 512)
    series = over(results, {n: f"select-{n}" for n in counts}, "cpu_ns")
    kept = over(results, {n: f"select-kept-{n}" for n in counts}, "cpu_ns")
    if ("asyncrt", "") in kept:
        series["asyncrt", ", kept table"] = kept["asyncrt", ""]
    own = over(results, {n: f"select-arms-{n}" for n in counts}, "cpu_ns")
    if ("asyncrt", "") in own:
        series["asyncrt", ", rt.arms"] = own["asyncrt", ""]
    return series and curves(
        "arms", "CPU of a select over channels", "arms", "ns", series, names
    )


def memory(results, names):
    series = {
        peer: [
            median(results, "idle-connections", peer, "bytes_per_connection"),
            median(results, "sleepers", peer, "bytes"),
        ]
        for peer in COLOURS
    }
    series = {peer: values for peer, values in series.items() if any(values)}
    return series and bars(
        "memory", "Memory", "bytes", ["an idle connection", "a sleeping task"],
        series, names, log=True,
    )  # fmt: skip


def scheduler(results, names):
    works = {
        "spawn": "spawn", "groups": "groups", "pingpong": "ping-pong",
        "yield-1000": "yield", "channel": "channel", "producers": "producers",
        "pool": "job pool", "timeout": "timeout",
    }  # fmt: skip
    series = {
        peer: [median(results, w, peer, "cpu_ns") for w in works]
        for peer in COLOURS
    }
    series = {peer: values for peer, values in series.items() if any(values)}
    return series and bars(
        "scheduler", "CPU of an operation", "ns", works.values(), series, names,
        log=True,
    )  # fmt: skip


PLOTS = [throughput, echo_cpu, latency, connections, memory, scheduler, number_of_tasks,
         arms]  # fmt: skip


def draw(results, folder, names, say):
    """Draws what there is data for; the names of the plots."""
    if shutil.which("gnuplot") is None:
        say("no plots: gnuplot-nox")
        return set()
    drawn = set()
    for plot in PLOTS:
        lines = plot(results, names)
        if not lines:
            continue
        done = subprocess.run(
            ["gnuplot"], input="\n".join(lines) + "\n", text=True, cwd=folder,
            capture_output=True,
        )  # fmt: skip
        if done.returncode == 0:
            drawn.add(lines[1].split("'")[1].removesuffix(".svg"))
        else:
            say(f"gnuplot: {done.stderr.strip()}")
    return drawn
