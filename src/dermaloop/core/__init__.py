"""The records that travel round the loop, and the pure steps that every path shares.

Owns: taxonomy, manifest, safe decoding, preprocessing, prediction, bundle, errors. Refuses to know: any
framework, any server, any storage beyond plain files.
"""
