"""The command line: parse, call, print; no logic.

Each file of this package holds one group of commands; a group is loaded only when it is called, so that `classify`
starts without importing what `train` needs.
"""

from dermaloop.cli.app import main

__all__ = ["main"]
