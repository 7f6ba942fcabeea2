"""The embedded registry: a real HTTP application with made-up studies behind the read API.

It stands in for an iMednet account in tests and demonstrations, and knows nothing of its clients.
"""

from orch_assets.demo.demo_registry import DemoRegistry
from orch_assets.demo.demo_server import DemoServer
from orch_assets.demo.faults import Fault

__all__ = ["DemoRegistry", "DemoServer", "Fault"]
