"""The scheduler's workloads: python.py asyncio|uvloop WORKLOAD N [K]."""

import asyncio
import os
import sys
import time

IMPLEMENTATION, NAME, N = sys.argv[1], sys.argv[2], int(sys.argv[3])
K = int(sys.argv[4]) if len(sys.argv) > 4 else 0
state = 42


def out(metric, value):
    print(metric, f"{value:.6g}", flush=True)


def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def random(limit):
    """Park and Miller's sequence, the same in every language."""
    global state
    state = state * 16807 % 2147483647
    return state % limit


async def nothing():
    pass


async def spawn():
    async with asyncio.TaskGroup() as group:
        for _ in range(N):
            group.create_task(nothing())


async def groups():
    for _ in range(N // 100):
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(nothing())


async def pingpong():
    ping, pong = asyncio.Queue(1), asyncio.Queue(1)

    async def other():
        for _ in range(N):
            await pong.put(await ping.get())

    async with asyncio.TaskGroup() as group:
        group.create_task(other())
        for i in range(N):
            await ping.put(i)
            await pong.get()


async def yield_():
    async def task():
        for _ in range(N // K):
            await asyncio.sleep(0)

    await asyncio.gather(*[task() for _ in range(K)])


async def put(queue, count):
    for i in range(count):
        await queue.put(i)


async def channel():
    queue = asyncio.Queue(128)
    async with asyncio.TaskGroup() as group:
        group.create_task(put(queue, N))
        for _ in range(N):
            await queue.get()


async def producers():
    queue = asyncio.Queue(128)
    async with asyncio.TaskGroup() as group:
        for _ in range(64):
            group.create_task(put(queue, N // 64))
        for _ in range(N):
            await queue.get()


async def daisy():
    async def link(to, source):
        await to.put(1 + await source.get())

    left = first = asyncio.Queue(1)
    async with asyncio.TaskGroup() as group:
        for _ in range(N):
            right = asyncio.Queue(1)
            group.create_task(link(left, right))
            left = right
        await left.put(0)
        assert await first.get() == N


async def select():
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(K)]
    for i in range(N):
        loop.call_soon(futures[random(K)].set_result, i)
        done, _ = await asyncio.wait(
            futures, return_when=asyncio.FIRST_COMPLETED
        )
        for future in done:
            futures[futures.index(future)] = loop.create_future()


async def pool():
    async def job(steps):
        for _ in range(steps):
            await asyncio.sleep(0)

    def start():
        return asyncio.create_task(job(random(16) + 1))

    running = {start() for _ in range(128)}
    started, ended = 128, 0
    while ended < N:
        done, running = await asyncio.wait(
            running, return_when=asyncio.FIRST_COMPLETED
        )
        ended += len(done)
        for _ in range(min(len(done), N - started)):
            running.add(start())
            started += 1


async def timeout():
    queue = asyncio.Queue(1)
    for _ in range(N):
        async with asyncio.timeout(10):
            await queue.put(1)
            await queue.get()


async def timers():
    start = time.process_time()
    await asyncio.gather(
        *[asyncio.sleep(random(1000) / 1000) for _ in range(N)]
    )
    out("cpu_ns", (time.process_time() - start) / N * 1e9)


async def sleepers():
    before, cpu, start = rss(), time.process_time(), time.perf_counter()
    asleep = 0

    async def sleeper(place):
        nonlocal asleep
        asleep += 1
        await asyncio.sleep(start + K + place / N - time.perf_counter())

    tasks = [asyncio.create_task(sleeper(i * 7919 % N)) for i in range(N)]
    while asleep < N:
        await asyncio.sleep(0)
    out("create_s", time.perf_counter() - start)
    out("rss", rss())
    out("bytes", (rss() - before) / N)
    for task in tasks:
        await task
    out("cpu_ns", (time.process_time() - cpu) / N * 1e9)


async def hello():
    print("hello", flush=True)


async def idle():
    out("rss", rss())


MEASURED = {
    "spawn": spawn,
    "groups": groups,
    "pingpong": pingpong,
    "yield": yield_,
    "channel": channel,
    "producers": producers,
    "daisy": daisy,
    "select": select,
    "pool": pool,
    "timeout": timeout,
}
OTHERS = {"timers": timers, "sleepers": sleepers, "hello": hello, "idle": idle}


async def main():
    if NAME in OTHERS:
        await OTHERS[NAME]()
        return
    cpu, clock = time.process_time(), time.perf_counter()
    await MEASURED[NAME]()
    out("wall_ns", (time.perf_counter() - clock) / N * 1e9)
    out("cpu_ns", (time.process_time() - cpu) / N * 1e9)


if IMPLEMENTATION == "uvloop":
    import uvloop

    uvloop.install()
asyncio.run(main())
os._exit(0)
