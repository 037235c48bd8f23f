"""A node of go-libp2p 0.24.2, in the wheel libp2p-go 0.1.4. commands.py says what it is told to do.

Two cases have no means here, since of go-libp2p's calls the wheel's shared library exports these alone:

- Of a stream: stream_read, readString, readAll, write, close, reset, id and protocol. Go's Stream.Close ends
  both directions, and CloseWrite is not among them: nobody can end one side and read the answer.
- Of the peers that a node knows: their addresses (peerStore_addrs, addAddrs, setAddrs, updateAddrs,
  clearAddrs, peersWithAddrs, addrStream). What protocols a peer speaks, which identify and its push bring, is
  in Peerstore.GetProtocols and in events of the host's EventBus, and neither is exported. Opening a stream for
  the new protocol says nothing: Go proposes a name whether or not it has heard of it.
"""

import asyncio
import concurrent.futures

import libp2p
from libp2p.crypto import KeyType, crypto_generate_keypair
from libp2p.peer import Peer, addr_info_from_p2p_addr
from libp2p.ping import PingService

import commands


class Stream:
    """A stream as commands.py uses it."""

    can_half_close = False

    def __init__(self, stream):
        self.stream = stream

    async def read(self, count=65_536):
        """The next bytes, at most `count`; none at the end."""
        try:
            return (await self.stream.read_bytes(count))[1]
        except libp2p.LibP2PError as error:
            if str(error).endswith(": EOF"):
                return b""
            raise

    async def write(self, data):
        await self.stream.write(data)

    async def close(self):
        await self.stream.close()

    async def reset(self):
        await self.stream.reset()


class Node(commands.Node):
    def __init__(self, host):
        super().__init__()
        self.host = host
        self.pings = PingService(host)

    @property
    def listening(self):
        port = next(a.split("/")[4] for a in self.host.addrs if a.startswith("/ip4/127.0.0.1/tcp/"))
        return f"{self.host.id.string} {port}"

    def handle(self, name, handler):
        async def call(stream):
            await handler(Stream(stream))

        self.host.set_stream_handler(name, call)

    async def connect(self, address):
        info = addr_info_from_p2p_addr(address)
        await self.host.connect(info)
        return info.id.string

    async def open(self, peer, name):
        return Stream(await self.host.new_stream(Peer.decode(peer), name))

    async def ping(self, peer, count):
        # The binding passes on what it gets: not the id's text.
        async for result in self.pings.ping(Peer.decode(peer).bytes):
            if result.error:
                raise RuntimeError(result.error)
            count -= 1
            if count == 0:
                return

    async def gather(self, calls):
        await asyncio.gather(*calls)

    async def next_command(self):
        return await asyncio.get_event_loop().run_in_executor(None, commands.next_line)


async def main():
    # Each read of a stream blocks a thread.
    threads = concurrent.futures.ThreadPoolExecutor(500)
    asyncio.get_running_loop().set_default_executor(threads)
    key, _ = crypto_generate_keypair(KeyType.Ed25519, 256)
    host = libp2p.Host(
        libp2p.Identity(key),
        libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
        libp2p.DefaultTransports,
        libp2p.SecurityNoise,
        libp2p.DefaultMuxers,
        libp2p.DisableRelay,
        libp2p.Ping(True),
    )
    await Node(host).run()


asyncio.run(main())
