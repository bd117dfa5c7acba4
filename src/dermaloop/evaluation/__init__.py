"""How good a model is, with how much certainty: arrays in, numbers and pages out.

Owns calibration, operating points, metrics, intervals, subgroups, stress, the explanation check and the report. Refuses
to know how a network is run or where pictures lie: `pipeline.evaluate` brings the predictions.
"""
