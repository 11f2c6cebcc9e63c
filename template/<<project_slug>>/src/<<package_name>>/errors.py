"""The one exception that a user is meant to read."""


class ProjectError(Exception):
    """What happened, where, and what to do next, in one message; the command prints it and exits with 1."""
