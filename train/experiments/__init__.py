"""The paper's claims: arms, ablation, verdicts, report."""
