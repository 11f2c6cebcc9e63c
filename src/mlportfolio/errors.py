"""The one exception that a user sees, and what the others become."""


class UserError(Exception):
    """Something that the user can put right; its message says what happened, where, and what to do.

    `exit_code` is 2 where the input was wrong, and 1 where something failed on the way.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def sentence(error: Exception) -> str:
    """What a user reads instead of a traceback."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or 'no file named'}."
    return f"mlportfolio did not foresee this, please report it: {type(error).__name__}: {error}"
