"""The Python client: frames in as arrays, styled frames out. Never imports torch.

`Client` is for asyncio, `BlockingClient` the same without it; `LatencyMeter` says how long a frame was away.
"""

from cmstream.client.blocking import BlockingClient
from cmstream.client.blocking_stream import BlockingStream
from cmstream.client.capabilities import Capabilities, StreamLimits
from cmstream.client.client import Client
from cmstream.client.latency_meter import LatencyMeter
from cmstream.client.result import Result
from cmstream.client.stream import Stream
from cmstream.client.update import ModelChange, ModelSwap, Update

__all__ = [
    "BlockingClient",
    "BlockingStream",
    "Capabilities",
    "Client",
    "LatencyMeter",
    "ModelChange",
    "ModelSwap",
    "Result",
    "Stream",
    "StreamLimits",
    "Update",
]
