"""Composes what siblings may not know of each other: a finished training becomes a bundle, a bundle meets a manifest.

Owns the order of the steps and which split each may see. Refuses to own any step itself.
"""
