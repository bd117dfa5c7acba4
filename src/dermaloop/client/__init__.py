"""The API from Python: typed, synchronous, and safe to retry.

Owns connections, retries and how a problem becomes an error. Refuses to know how the server does what it is asked, and
its shapes, which are `dermaloop.wire`'s.
"""
