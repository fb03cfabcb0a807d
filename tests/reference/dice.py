"""A small deterministic random source.

Python's own `random` may change its integer methods between versions; the
goldens must come out byte-identical, so the draws are made here.
"""

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def mix(z):
    """The splitmix64 finaliser of one 64-bit integer."""
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
        """An integer in 0..n. The slight modulo bias does not matter here."""
        return self.next() % n

    def between(self, low, high):
        """An integer in low..=high."""
        return low + self.below(high - low + 1)

    def pick(self, items):
        return items[self.below(len(items))]

    def chance(self, percent):
        return self.below(100) < percent
