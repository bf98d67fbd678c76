"""Many connections at once: to an echo server, every byte compared, and to one
of HTTP, every response counted."""

import asyncio
import random
import re
import subprocess

import example


async def _exchange(address, index, size, opened):
    """Sends random bytes in random pieces while it reads; returns the number
    of bytes that came back, which must be the same and then end."""
    chance = random.Random(index)
    data = chance.randbytes(chance.randint(1, size))
    reader, writer = await asyncio.open_connection(*address)
    writer.write(data[:1])
    got = [await reader.readexactly(1)]
    await opened.wait()

    async def send():
        start = 1
        while start < len(data):
            end = start + chance.randint(1, 20000)
            writer.write(data[start:end])
            await writer.drain()
            start = end
        writer.write_eof()

    sending = asyncio.create_task(send())
    while piece := await reader.read(65536):
        got.append(piece)
    await sending
    writer.close()
    if b"".join(got) != data:
        raise AssertionError(f"connection {index}: other bytes came back")
    return len(data)


async def _run(address, connections, size):
    opened = asyncio.Barrier(connections)
    return sum(await asyncio.gather(*(
        _exchange(address, index, size, opened)
        for index in range(connections))))


def echo(address, connections, size):
    """Exchanges up to `size` bytes on each of the connections, which are all
    open before any goes on. Returns the bytes."""
    return asyncio.run(_run(address, connections, size))


def http(server, path, requests, connections, *options):
    """Sends the requests over connections that stay, by h2load, and raises
    where one is not answered, or not by a status of success."""
    example.require("h2load")
    done = subprocess.run(
        ["h2load", "--h1", "-n", str(requests), "-c", str(connections),
         *options, f"http://127.0.0.1:{server.port}{path}"],
        capture_output=True, text=True, check=True)
    succeeded = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored",
                          done.stdout)
    good = re.search(r"(\d+) 2xx", done.stdout)
    if (succeeded.groups(), good[1]) != ((str(requests), "0", "0"),
                                         str(requests)):
        raise AssertionError(done.stdout)
