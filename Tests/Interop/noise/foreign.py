"""A node of another make: libp2p's Noise handshake by PyPI's noiseprotocol, which shares no code with Parley.

    foreign.py listen            prints "listening PORT ID"
    foreign.py dial HOST PORT

It prints "secured ID", the other side's id, sends back every byte that it gets, cut into messages of sizes of
its own, and prints "ended" at the end of the connection.
"""

import os
import random
import socket
import struct
import sys
import warnings

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from noise.connection import Keypair, NoiseConnection

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
KEY_PREFIX = bytes.fromhex("08011220")
MAX_CONTENT = 65_519


def say(line):
    print(line, flush=True)


def peer_id(public_key):
    data = bytes.fromhex("0024") + KEY_PREFIX + public_key
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = ALPHABET[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def field(number, content):
    return bytes([number << 3 | 2, len(content)]) + content


def fields(data):
    """The fields of bytes of a short protobuf."""
    found = {}
    while data:
        assert data[0] & 7 == 2 and data[1] < 0x80
        found[data[0] >> 3] = data[2 : 2 + data[1]]
        data = data[2 + data[1] :]
    return found


def receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def receive_message(connection):
    return receive(connection, struct.unpack(">H", receive(connection, 2))[0])


def send_message(connection, message):
    connection.sendall(struct.pack(">H", len(message)) + message)


def secure(connection, identity, is_initiator):
    """Runs the handshake. Returns the session and the other side's public key."""
    noise = NoiseConnection.from_name(b"Noise_XX_25519_ChaChaPoly_SHA256")
    noise.set_as_initiator() if is_initiator else noise.set_as_responder()
    noise.set_keypair_from_private_bytes(Keypair.STATIC, os.urandom(32))
    noise.start_handshake()
    state = noise.noise_protocol.handshake_state
    signature = identity.sign(b"noise-libp2p-static-key:" + state.s.public_bytes)
    # An extension that Parley does not know goes with it: field 4, its field 1.
    shown = field(1, KEY_PREFIX + public_bytes(identity)) + field(2, signature) + field(4, field(1, b"hash"))
    if is_initiator:
        send_message(connection, noise.write_message())
        payload = noise.read_message(receive_message(connection))
        send_message(connection, noise.write_message(shown))
    else:
        noise.read_message(receive_message(connection))
        send_message(connection, noise.write_message(shown))
        payload = noise.read_message(receive_message(connection))
    found = fields(bytes(payload))
    assert found[1][:4] == KEY_PREFIX
    key = Ed25519PublicKey.from_public_bytes(found[1][4:])
    key.verify(found[2], b"noise-libp2p-static-key:" + state.rs.public_bytes)
    assert noise.handshake_finished
    return noise, found[1][4:]


def public_bytes(identity):
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return identity.public_key().public_bytes(*raw)


def echo(connection, noise):
    sizes = random.Random(1)
    while True:
        content = bytes(noise.decrypt(receive_message(connection)))
        while content:
            count = sizes.choice([1, 17, 1_000, MAX_CONTENT])
            send_message(connection, bytes(noise.encrypt(content[:count])))
            content = content[count:]


def main():
    warnings.simplefilter("ignore")
    identity = Ed25519PrivateKey.generate()
    is_initiator = sys.argv[1] == "dial"
    if is_initiator:
        connection = socket.create_connection((sys.argv[2], int(sys.argv[3])))
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        say(f"listening {listener.getsockname()[1]} {peer_id(public_bytes(identity))}")
        connection, _ = listener.accept()
    try:
        noise, key = secure(connection, identity, is_initiator)
        say(f"secured {peer_id(key)} {peer_id(public_bytes(identity))}")
        echo(connection, noise)
    except (EOFError, ConnectionError):
        say("ended")
    except (AssertionError, InvalidSignature) as error:
        say(f"refused {error!r}")


main()
