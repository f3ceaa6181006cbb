"""Errors that a user can fix: a command prints them as one line and exits with status 2."""


class UserError(ValueError):
    """One line that names the option or file, its value, and what is valid."""

    status = 2  # the exit status of a command that it ends


class OptionsError(UserError):
    """Invalid options; the message holds a part for each."""
