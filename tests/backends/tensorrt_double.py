"""A TensorRT backend, and engines, over the double: how tests make and watch them."""

from __future__ import annotations

import _tiny
import numpy as np

from reid_edge.backends import _engine
from reid_edge.backends.tensorrt import TensorRtBackend
from reid_edge.engine_options import BuildOptions, EngineOptions
from reid_edge.engines import build_engine

MAX = 16
SIZE = (_tiny.HEIGHT, _tiny.WIDTH)


def plan_of(trt, graph=None, most=MAX):
    graph = graph or _tiny.model().SerializeToString()
    options = BuildOptions(max_batch=most)
    return build_engine(trt, graph, "fp16", SIZE, options).plan


def make(trt, bundle, plan=None, **options):
    return TensorRtBackend(trt, trt.world.gpu, bundle, plan or plan_of(trt), "fp16", **options)


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), np.uint8)


def calls(trt, *kinds):
    return [entry for entry in trt.world.log if entry[0] in kinds]


def start(found, engine_dir, graph="fp16", **options):
    options = EngineOptions(engine_dir, BuildOptions(max_batch=16), **options)
    return _engine.start("tensorrt", found, graph, "cuda", options)
