"""Echo servers of asyncio: python.py PORT protocol|streams asyncio|uvloop."""

import asyncio
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def main(port, api):
    if api == "protocol":
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", port, backlog=1024)
    else:
        server = await asyncio.start_server(
            echo, "127.0.0.1", port, backlog=1024
        )
    await server.serve_forever()


if sys.argv[3] == "uvloop":
    import uvloop

    uvloop.install()
asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
