"""A small deterministic random number generator.

The integer methods of Python's `random` may change between versions, but the
goldens must be byte-identical.
"""

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def mix(z):
    """Applies the splitmix64 finalizer to a 64-bit integer."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Dice:
    def __init__(self, seed):
        self.state = seed & MASK

    def next(self):
        self.state = (self.state + GOLDEN_GAMMA) & MASK
        return mix(self.state)

    def below(self, n):
        """Returns an integer in 0..n. The slight modulo bias is irrelevant here."""
        return self.next() % n

    def between(self, low, high):
        """Returns an integer in low..=high."""
        return low + self.below(high - low + 1)

    def pick(self, items):
        return items[self.below(len(items))]

    def chance(self, percent):
        return self.below(100) < percent
