"""The embedded registry: a real HTTP application with made-up studies behind the read API.

It stands in for an iMednet account in tests and demonstrations, and knows nothing of its clients.
"""

from orch_assets.registry.demo.faults import Fault
from orch_assets.registry.demo.registry import DemoRegistry
from orch_assets.registry.demo.server import DemoServer

__all__ = ["DemoRegistry", "DemoServer", "Fault"]
