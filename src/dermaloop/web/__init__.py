"""The page and the API over one classifier.

Owns HTTP: reading uploads within limits, back-pressure, pages, JSON, security headers. Refuses to know how a picture is
decoded or classified. Nothing sent to it is stored: a picture lives in memory until its answer has been sent.
"""
