"""Many connections to an echo server at once, every byte compared."""

import asyncio
import random


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
