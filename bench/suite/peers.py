"""The programs that are measured: what they need, how they are built and run."""

import functools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parent
BUILD = ROOT / "build" / "bench"
asyncrt_path = ROOT / "build" / "release" / "asyncrt"


@dataclass
class Peer:
    name: str
    title: str  # for the report
    package: str  # Debian's, or what to do where it is missing
    present: object  # () -> bool
    version: object  # () -> str
    echo: list = field(default_factory=list)  # the server; {port} is filled in
    http: list = field(default_factory=list)  # one of HTTP
    tasks: list = field(default_factory=list)  # and WORKLOAD N [K] behind it


def run(command):
    """The first line that a command prints, or "" where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    text = (done.stdout or done.stderr).strip()
    return text.splitlines()[0] if done.returncode == 0 and text else ""


def number(text):
    match = re.search(r"\d+(\.\d+)+", text)
    return match.group(0) if match else text or "?"


def package_version(package):
    return lambda: number(run(["dpkg-query", "-W", "-f", "${Version}", package]))


def program(name):
    return lambda: shutil.which(name) is not None


def lua_module(name):
    return lambda: run(["lua5.4", "-e", f"require '{name}' print 'yes'"]) == "yes"


@functools.cache
def python():
    """A Python that has uvloop, if there is one: both loops run in it."""
    for candidate in ("python3", "/usr/bin/python3"):
        path = shutil.which(candidate)
        if path and run([path, "-c", "import uvloop; print('yes')"]) == "yes":
            return path
    return sys.executable


def python_module(name):
    return lambda: run([python(), "-c", f"import {name}; print('yes')"]) == "yes"


@functools.cache
def compiled(name, sources, *flags):
    """Compiles C or Go sources into BUILD; whether that worked."""
    target, source = BUILD / name, BENCH / sources
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return True
    BUILD.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".go":
        command = ["go", "build", "-o", target, source]
    else:
        command = ["cc", "-O2", "-D_GNU_SOURCE", "-o", target, source, *flags]
    environment = dict(os.environ, GOCACHE=str(BUILD / "go-cache"), GO111MODULE="off")
    try:
        done = subprocess.run(command, capture_output=True, env=environment)
    except OSError:
        return False
    return done.returncode == 0


def c(name, *flags):
    return lambda: compiled(name, f"echo/{name}.c", *flags)


def epoll():
    return compiled("epoll", "echo/epoll.c") and compiled(
        "http-epoll", "http/epoll.c"
    )


def go():
    sources = {
        "echo-go": "echo/echo.go",
        "http-go": "http/http.go",
        "tasks-go": "tasks/tasks.go",
    }
    return all(compiled(name, source) for name, source in sources.items())


def tools():
    """Compiles what measures. Without it nothing can be."""
    return all(
        compiled(name, f"tools/{name}.c") for name in ("load", "slow", "startup")
    )


def all_peers():
    """Every peer, in the order of the report; the references come first."""
    echo, tasks, http = BENCH / "echo", BENCH / "tasks", BENCH / "http"
    asyncrt = asyncrt_path
    lua = lambda: number(run(["lua5.4", "-v"]))  # noqa: E731
    python_version = lambda: number(run([python(), "-V"]))  # noqa: E731
    uvloop_version = lambda: number(  # noqa: E731
        run([python(), "-c", "import uvloop; print(uvloop.__version__)"])
    )
    luv = lambda: f"{package_version('lua-luv')()}, Lua {lua()}"  # noqa: E731
    kernel = lambda: "Linux " + number(os.uname().release)  # noqa: E731
    return [
        Peer("epoll", "raw epoll, C", "build-essential", epoll, kernel,
             echo=[BUILD / "epoll", "{port}"],
             http=[BUILD / "http-epoll", "{port}"]),
        Peer("asyncrt", "asyncrt", "`./bootstrap run FILE` builds it",
             asyncrt.exists, lambda: number(run([asyncrt, "--version"])),
             echo=[asyncrt, echo / "asyncrt.lua", "{port}"],
             http=[asyncrt, http / "asyncrt.lua", "{port}"],
             tasks=[asyncrt, tasks / "asyncrt.lua"]),
        Peer("nginx", "nginx", "nginx-light", program("nginx"),
             lambda: number(run(["nginx", "-v"])),
             http=[sys.executable, http / "nginx.py", "{port}"]),
        Peer("libuv", "libuv, C", "libuv1-dev", c("libuv", "-luv"),
             package_version("libuv1"), echo=[BUILD / "libuv", "{port}"]),
        Peer("libev", "libev callbacks, C", "libev-dev", c("libev", "-lev"),
             package_version("libev4"), echo=[BUILD / "libev", "{port}"]),
        Peer("go", "Go", "golang-go", go, lambda: number(run(["go", "version"])),
             echo=[BUILD / "echo-go", "{port}"],
             http=[BUILD / "http-go", "{port}"], tasks=[BUILD / "tasks-go"]),
        Peer("node", "Node", "nodejs", program("node"),
             lambda: number(run(["node", "--version"])),
             echo=["node", echo / "node.js", "{port}"],
             http=["node", http / "node.js", "{port}"],
             tasks=["node", tasks / "node.js"]),
        Peer("asyncio", "asyncio streams", "python3", lambda: True,
             python_version,
             echo=[python(), echo / "python.py", "{port}", "streams", "asyncio"],
             tasks=[python(), tasks / "python.py", "asyncio"]),
        Peer("uvloop", "uvloop streams", "python3-uvloop",
             python_module("uvloop"), uvloop_version,
             echo=[python(), echo / "python.py", "{port}", "streams", "uvloop"],
             tasks=[python(), tasks / "python.py", "uvloop"]),
        Peer("uvloop-protocol", "uvloop protocol", "python3-uvloop",
             python_module("uvloop"), uvloop_version,
             echo=[python(), echo / "python.py", "{port}", "protocol", "uvloop"]),
        Peer("racket", "Racket threads", "racket", program("racket"),
             lambda: number(run(["racket", "--version"])),
             echo=["racket", echo / "racket.rkt", "{port}"],
             tasks=["racket", tasks / "racket.rkt"]),
        Peer("cqueues", "cqueues", "lua5.4 lua-cqueues", lua_module("cqueues"),
             lambda: f"{package_version('lua-cqueues')()}, Lua {lua()}",
             echo=["lua5.4", echo / "cqueues.lua", "{port}"],
             tasks=["lua5.4", tasks / "cqueues.lua"]),
        Peer("luv", "luv in coroutines", "lua5.4 lua-luv", lua_module("luv"),
             luv, echo=["lua5.4", echo / "luv.lua", "{port}", "coroutines"]),
        Peer("luv-callbacks", "luv callbacks", "lua5.4 lua-luv",
             lua_module("luv"), luv,
             echo=["lua5.4", echo / "luv.lua", "{port}", "callbacks"]),
        Peer("tarantool", "Tarantool fibers", "tarantool", program("tarantool"),
             lambda: number(run(["tarantool", "--version"])),
             echo=["tarantool", echo / "tarantool.lua", "{port}"],
             tasks=["tarantool", tasks / "tarantool.lua"]),
        Peer("lua", "Lua alone", "lua5.4", program("lua5.4"), lua,
             tasks=["lua5.4", tasks / "lua.lua"]),
    ]


def available(only, say):
    """The peers that are here; says which of the wanted ones are not."""
    found, peers = [], all_peers()
    unknown = set(only or ()) - {peer.name for peer in peers}
    if unknown:
        raise SystemExit(f"bench: no peer {', '.join(sorted(unknown))}")
    for peer in peers:
        if only and peer.name not in only:
            continue
        if peer.present():
            found.append(peer)
        else:
            say(f"without {peer.title}: {peer.package}")
    return found
