"""Watching a running service: pure statistics on what came in, what was answered and what was confirmed.

Owns the tests and their false-alarm rate. Refuses to know databases, pages and settings: numbers go in, findings come
out.
"""
