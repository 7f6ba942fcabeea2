"""Serve the embedded registry in the foreground: ``python -m orch_assets.demo``."""

import argparse
import threading

from orch_assets.demo.demo_server import DemoServer


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m orch_assets.demo",
        description="A made-up iMednet registry on a loopback port.",
    )
    parser.add_argument("--studies", type=int, default=12, help="how many (default: 12)")
    parser.add_argument("--subjects", type=int, default=40, help="per study, about (default: 40)")
    parser.add_argument("--seed", type=int, default=7, help="of everything (default: 7)")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one (default: 0)")
    arguments = vars(parser.parse_args())
    try:
        with DemoServer(**arguments) as server:
            print(f"Demo registry at {server.base_url} (Ctrl-C stops it). Made-up keys:")
            print(f"export IMEDNET_BASE_URL={server.base_url}")
            print(f"export IMEDNET_API_KEY={server.api_key}")
            print(f"export IMEDNET_SECURITY_KEY={server.security_key}", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("Stopped.")


if __name__ == "__main__":
    main()
