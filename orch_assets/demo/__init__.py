"""The embedded registry: a real HTTP application with made-up studies behind the read API.

It stands in for an iMednet account in tests and demonstrations, and knows nothing of its clients.
"""

from typing import TYPE_CHECKING

from orch_assets.lazy import attributes_of

if TYPE_CHECKING:
    from orch_assets.demo.demo_registry import DemoRegistry
    from orch_assets.demo.demo_server import DemoServer
    from orch_assets.demo.faults import Fault

_HOMES = {"DemoRegistry": "demo_registry", "DemoServer": "demo_server", "Fault": "faults"}

__all__ = ["DemoRegistry", "DemoServer", "Fault"]

__getattr__, __dir__ = attributes_of(__name__, _HOMES)
