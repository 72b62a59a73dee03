"""Experiments of the paper (arXiv 2511.14073): arms, ablation, claims, report."""
