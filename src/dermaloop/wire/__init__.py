"""The shapes that travel between the server and a program that uses it, each defined once.

Owns names, types and meanings over the wire: the server (`dermaloop.web`) describes and sends them, the client
(`dermaloop.client`) sends and reads them. Refuses to know how an answer is made, records' tables, and HTTP. The
trade-off: the words of the records (`cases.words`) are written down a second time here, as types that a description of
an API can show; a test holds the two together.
"""
