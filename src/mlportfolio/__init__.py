"""One command makes a measured machine-learning portfolio project from a clear problem statement."""

__version__ = "0.1.0"
