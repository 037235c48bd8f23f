"""A node of py-libp2p 0.8.1. commands.py says what it is told to do."""

import multiaddr
import trio
from libp2p import create_yamux_muxer_option, new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.host.ping import PingService
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr

import commands


class Stream:
    """A stream as commands.py uses it."""

    can_half_close = True

    def __init__(self, stream):
        self.stream = stream

    async def read(self, count=65_536):
        """The next bytes, at most `count`; none at the end."""
        try:
            return await self.stream.read(count)
        except StreamEOF:
            # It forgets a stream that is reset, and its reader then takes that for an end.
            if self.stream.muxed_stream.reset_received:
                raise
            return b""

    async def write(self, data):
        await self.stream.write(data)

    async def finish(self):
        await self.stream.close_write()

    async def close(self):
        await self.stream.close()

    async def reset(self):
        await self.stream.reset()


class Node(commands.Node):
    def __init__(self, host):
        super().__init__()
        self.host = host

    @property
    def listening(self):
        port = self.host.get_addrs()[0].value_for_protocol("tcp")
        return f"{self.host.get_id()} {port}"

    def handle(self, name, handler):
        async def call(stream):
            await handler(Stream(stream))

        self.host.set_stream_handler(name, call)

    async def connect(self, address):
        info = info_from_p2p_addr(multiaddr.Multiaddr(address))
        await self.host.connect(info)
        return str(info.peer_id)

    async def open(self, peer, name):
        return Stream(await self.host.new_stream(ID.from_string(peer), [name]))

    async def ping(self, peer, count):
        await PingService(self.host).ping(ID.from_string(peer), count)

    async def identified(self, peer):
        return sorted(self.host.get_peerstore().get_protocols(ID.from_string(peer)))

    async def gather(self, calls):
        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(self.wait, call)

    @staticmethod
    async def wait(call):
        await call

    async def next_command(self):
        return await trio.to_thread.run_sync(commands.next_line)


async def main():
    host = new_host(key_pair=create_new_key_pair(), muxer_opt=create_yamux_muxer_option())
    async with host.run([multiaddr.Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        await Node(host).run()


trio.run(main)
