"""Errors reported to the user."""


class Failure(Exception):
    """An error whose message ends the program."""
