"""Weights in, bundles out: `python -m export`, run from a checkout at build time.

It turns the weights of the original `person_reid` library (a Keras `.h5`) or a checkpoint of
`training/` (a `.safetensors`) into a folder that `reid_edge` runs: `bundle.json` and its
ONNX graphs.  Neither Keras nor torch is needed, and no code in a weight file is ever run.
"""
