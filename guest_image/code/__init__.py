"""Runs in the guest: a Jupyter kernel behind a pair of pipes, so that code keeps its state whoever comes and goes."""
