"""The iMednet simulator: a real HTTP application that serves made-up studies by the read API.

Tests and demonstrations use it in place of an iMednet account. It does not depend on the client.
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
