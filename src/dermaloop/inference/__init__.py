"""From a bundle and pictures to predictions.

Owns running the graph, the heatmap, the gate that declines, similar cases, and the tables of predictions. Refuses to
know how a model is trained or measured. Runs on ONNX Runtime, NumPy and Pillow alone.
"""
