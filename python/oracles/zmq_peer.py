"""The other end of the ZeroMQ tests: pyzmq, with a libzmq of its own.

    zmq_peer.py echo KIND bind|connect ENDPOINT      sends every message back, until standard input ends
    zmq_peer.py publish KIND bind|connect ENDPOINT   XPUB: sends --count numbered messages to its first subscriber
    zmq_peer.py receive KIND bind|connect ENDPOINT   receives --count numbered messages and reports on them
    zmq_peer.py subscribe KIND bind|connect ENDPOINT holds subscriptions until standard input ends

A numbered message is the topic, a NUL, and a little-endian u64 that counts from 0, then padding. The first line of
output is the resolved endpoint, the last one a JSON object.
"""
import argparse
import json
import struct
import sys
import time

import zmq


def open_socket(context, kind, arguments):
    socket = context.socket(getattr(zmq, kind))
    socket.linger = 5_000
    if arguments.high_water_mark:
        socket.sndhwm = socket.rcvhwm = arguments.high_water_mark
    if arguments.server_key:
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        socket.curve_serverkey = arguments.server_key.encode()
    for prefix in arguments.prefix:
        socket.subscribe(prefix.encode())
    if arguments.role == "bind":
        socket.bind(arguments.endpoint)
        print(socket.last_endpoint.decode(), flush=True)
    else:
        socket.connect(arguments.endpoint)
        print(arguments.endpoint, flush=True)
    return socket


def echo(socket, arguments):
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    count = 0
    while True:
        ready = dict(poller.poll())
        if socket in ready:
            socket.send_multipart(socket.recv_multipart())
            count += 1
        elif sys.stdin.fileno() in ready:
            return {"count": count}


def publish(socket, arguments):
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.recv()  # The first subscription.
    topic = arguments.topic.encode() + b"\0"
    padding = bytes(max(0, arguments.size - len(topic) - 8))
    for number in range(arguments.count):
        socket.send(topic + struct.pack("<Q", number) + padding)
    return {"count": arguments.count}


def receive(socket, arguments):
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    count = lost = disordered = expected = 0
    while count < arguments.count and expected < arguments.count:
        if not poller.poll(arguments.timeout * 1000):
            break
        frame = socket.recv()
        offset = frame.index(0) + 1
        (number,) = struct.unpack_from("<Q", frame, offset)
        lost += max(0, number - expected)
        disordered += number < expected
        expected = number + 1
        count += 1
        if arguments.pause_every and count % arguments.pause_every == 0:
            time.sleep(arguments.pause_milliseconds / 1000)
    return {"count": count, "lost": lost, "disordered": disordered, "next": expected}


def subscribe(socket, arguments):
    sys.stdin.read()
    return {}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["echo", "publish", "receive", "subscribe"])
    parser.add_argument("kind", help="a socket type of libzmq's: PAIR, SUB, …")
    parser.add_argument("role", choices=["bind", "connect"])
    parser.add_argument("endpoint")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--size", type=int, default=80, help="bytes of a published message, at least")
    parser.add_argument("--topic", default="md/T/A/")
    parser.add_argument("--prefix", action="append", default=[])
    parser.add_argument("--high-water-mark", type=int, default=0)
    parser.add_argument("--pause-every", type=int, default=0, help="messages between two pauses")
    parser.add_argument("--pause-milliseconds", type=float, default=0)
    parser.add_argument("--timeout", type=int, default=20, help="seconds of silence before giving up")
    parser.add_argument("--server-key", help="CURVE public key of the server, Z85")
    arguments = parser.parse_args()
    context = zmq.Context()
    socket = open_socket(context, arguments.kind, arguments)
    report = globals()[arguments.verb](socket, arguments)
    print(json.dumps(report), flush=True)
    socket.close()
    context.term()


if __name__ == "__main__":
    main()
