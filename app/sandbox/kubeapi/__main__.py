"""``python -m app.sandbox.kubeapi --directory DIR [--port N]``: one API server for one cluster's directory."""

import argparse
import asyncio
import logging
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="kubeapi", allow_abbrev=False)
    parser.add_argument("--directory", type=Path, required=True, help="store, keys and kubeconfig lie here")
    parser.add_argument("--port", type=int, default=0, help="0: the port used before, or a free one")
    parser.add_argument("--history", type=int, default=20000, help="changes kept for watches that begin in the past")
    flags = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    from app.sandbox.kubeapi.process import serve

    asyncio.run(serve(flags.directory, flags.port, flags.history))


main()
