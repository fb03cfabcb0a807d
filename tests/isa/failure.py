"""An error for the user."""


class Failure(Exception):
    """What is wrong, in words that end the program."""
