"""Martlet in Python: the wire format with NumPy, a subscriber, and the trainer of models.

    import martlet
    from martlet import wire

    for packet in martlet.subscribe("tcp://127.0.0.1:5557", "sig/"):
        for signal in packet.of_type(wire.SIGNAL_TYPE):
            print(packet.topic, signal["direction"], signal["probability_up"])
"""

from .subscriber import Subscription, subscribe
from .wire import Packet, SignalDigest, WireError, parse

__all__ = ["Packet", "SignalDigest", "Subscription", "WireError", "parse", "subscribe"]
