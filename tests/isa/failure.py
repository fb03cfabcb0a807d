"""Error reported to the user."""


class Failure(Exception):
    """Error whose message is printed before the program exits."""
