"""Speed and accuracy in one report: `python -m reid_edge.bench`; see docs/bench.md."""
