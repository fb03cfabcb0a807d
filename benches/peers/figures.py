"""Measured figures, and the comparisons between this crate and its peers that follow from them."""

import dataclasses
import statistics

from engines import OURS

# Variants of this crate, and the classes of peers with which each is compared.
COMPARED = (
    ("f32", "f32"),
    ("f16", "f32"),
    ("bf16", "bf16"),
    ("int8", "int8"),
    ("int8", "int8-calibrated"),
)


@dataclasses.dataclass
class Figure:
    """Times of one engine on one shape, one per round, in milliseconds."""

    engine: str
    version: str
    variant: str
    precision_class: str
    threads: int
    shape: str
    # Differences of the logits from Transformers' in f32.
    mean_error: float
    largest_error: float
    rounds: list[float] = dataclasses.field(default_factory=list)
    # Time of a peer ÷ time of this crate in the variant that it is compared with: above 1, this crate is faster.
    ratio: float | None = None

    @property
    def label(self):
        return f"{self.engine} {self.variant}"

    @property
    def median_ms(self):
        return statistics.median(self.rounds)

    @property
    def min_ms(self):
        return min(self.rounds)

    @property
    def iqr_ms(self):
        if len(self.rounds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.rounds, n=4, method="inclusive")
        return high - low

    def as_row(self):
        row = dataclasses.asdict(self)
        del row["rounds"]
        return row | {"median_ms": self.median_ms, "min_ms": self.min_ms, "iqr_ms": self.iqr_ms}


@dataclasses.dataclass
class Load:
    """Cost of loading the model and answering a first text of eight tokens."""

    engine: str
    variant: str
    threads: int
    load_ms: list[float]
    loaded_mib: float | None
    disk_mib: float

    def as_row(self):
        times = {"median_ms": statistics.median(self.load_ms), "min_ms": min(self.load_ms)}
        row = dataclasses.asdict(self) | times | {"shape": "load"}
        del row["load_ms"]
        return row


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A variant of this crate and the best peer of a class, on one shape with one number of threads."""

    variant: str
    peer_class: str
    threads: int
    shape: str
    ours: Figure
    best_peer: Figure

    @property
    def ratio(self):
        return self.best_peer.median_ms / self.ours.median_ms


def compared(figures):
    """Returns the pairs of a variant of this crate and a class of peers that have figures."""
    ours = {figure.variant for figure in figures if figure.engine == OURS}
    peers = {figure.precision_class for figure in figures if figure.engine != OURS}
    pairs = [(variant, peer_class) for variant, peer_class in COMPARED if variant in ours and peer_class in peers]
    # Where the crate has no bf16, the class still shows what its users give up.
    if "bf16" in peers and "bf16" not in ours and "f32" in ours:
        pairs.append(("f32", "bf16"))
    return pairs


def comparisons(figures):
    """Returns all comparisons."""
    cells = {}
    for figure in figures:
        cells.setdefault((figure.threads, figure.shape), []).append(figure)
    found = []
    for variant, peer_class in compared(figures):
        for (threads, shape), cell in cells.items():
            ours = [f for f in cell if f.engine == OURS and f.variant == variant]
            peers = [f for f in cell if f.engine != OURS and f.precision_class == peer_class]
            if ours and peers:
                best = min(peers, key=lambda figure: figure.median_ms)
                found.append(Comparison(variant, peer_class, threads, shape, ours[0], best))
    return found


def set_ratios(figures):
    """Sets the ratios of the peers on one shape. f16 has no peers of its own."""
    for variant, peer_class in compared(figures):
        if variant == "f16":
            continue
        [ours] = [f for f in figures if f.engine == OURS and f.variant == variant]
        for peer in figures:
            if peer.engine != OURS and peer.precision_class == peer_class:
                peer.ratio = peer.median_ms / ours.median_ms
