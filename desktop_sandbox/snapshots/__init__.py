"""Templates and snapshots: what is saved, what is restored, and when it still fits."""
