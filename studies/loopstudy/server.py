"""`dermaloop serve` for the study: the product's own command, with ids that are drawn from the keys of requests.

    python -m loopstudy.server --store STORE

Owns two things beside it: `ids.KeyedIds` around the application, and that the server ends when whoever started it is
gone: it reads its standard input, which ends with its parent however that ends, and then stops as by SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from dermaloop.cli import main as command_line
from dermaloop.web import app
from loopstudy import ids


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """The command."""
    create = app.create_app

    def keyed(*given: Any, **named: Any) -> ids.KeyedIds:
        return ids.KeyedIds(create(*given, **named))

    app.create_app = keyed  # type: ignore[assignment] # the command hands it on to the server, which calls it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = ["dermaloop", "serve", *sys.argv[1:]]
    with ids.replaced():
        command_line()


if __name__ == "__main__":
    main()
