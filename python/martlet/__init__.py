"""Martlet in Python: the wire format with NumPy, a subscriber, and the trainer of models.

    import martlet

    for topic, header, signals in martlet.subscribe("tcp://127.0.0.1:5556", "sig/"):
        last = signals[-1]
        print(topic, last["direction"], last["probability_up"])
"""

from .subscriber import Subscription, subscribe
from .wire import Packet, SignalDigest, WireError, parse

__all__ = ["Packet", "SignalDigest", "Subscription", "WireError", "parse", "subscribe"]
