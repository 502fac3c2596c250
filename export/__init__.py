"""Weights in, bundles out: `python -m export`, run from a checkout at build time.

It turns the weights of the original `person_reid` library (a Keras `.h5`) or a checkpoint of
`training/` (a `.safetensors`) into a folder that `reid_edge` runs: `bundle.json` and its
ONNX graphs.  Such a folder, too, is taken, to make FP16 and INT8 graphs of a model whose weight
file is not at hand.  Neither Keras nor torch is needed, and no code in a weight file is ever run.
"""
