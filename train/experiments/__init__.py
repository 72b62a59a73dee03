"""The paper's experiments: arms, ablation, claims, report."""
