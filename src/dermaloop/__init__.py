"""dermaloop: find skin cancer in photographs of skin lesions. Decision support for research use.

Importing the package does nothing but define names: no environment read, no device probe, no model load.
"""

__version__ = "0.1.0"
