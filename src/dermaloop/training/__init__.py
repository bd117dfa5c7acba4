"""From a recipe and a manifest to trained weights and an ONNX graph.

Owns everything that needs torch, timm or lightning; no other package may import them. Refuses to know how a bundle is
calibrated or evaluated: that needs predictions of the exported graph, and is composed in `dermaloop.pipeline`.
"""
