"""The program ``distilbert``: ``python -m distilbert_engine classify "I can't believe we won!"``."""

import signal
import sys

from . import _engine
from .classifier import BUNDLED_MODEL


def main() -> None:
    """Run the program with the arguments of this process."""
    # The program is not interrupted by Python's handler, which would only run when it has ended.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_engine.run_program(sys.argv[1:], str(BUNDLED_MODEL)))


if __name__ == "__main__":
    main()
