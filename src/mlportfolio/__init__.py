"""One command makes a measured machine-learning portfolio project from a clear problem statement."""


def __getattr__(name: str) -> str:
    """`__version__`, read where it is asked for: the command's --help does without."""
    if name == "__version__":
        from importlib.metadata import version

        return version("mlportfolio")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
