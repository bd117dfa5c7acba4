"""The API from Python: typed, synchronous, and safe to retry.

Owns connections, retries and how a problem becomes an error. Refuses to know how the server does what it is asked, and
its shapes, which are `dermaloop.wire`'s.
"""

from dermaloop.client.client import Client
from dermaloop.client.errors import ClientError, ProblemError
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.wire.entries import (
    ConfirmationEntry,
    ImpressionEntry,
    LesionEntry,
    PatientEntry,
    PracticeSettings,
)

__all__ = [
    "Client",
    "ClientError",
    "ConfirmationEntry",
    "Diagnosis",
    "ImpressionEntry",
    "LesionEntry",
    "PatientEntry",
    "PracticeSettings",
    "ProblemError",
]
