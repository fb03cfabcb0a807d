"""Checks that the servers agree on the scores of the same texts."""

import sys

from systems import OURS

# Largest difference of a score between f32 servers, which compute in different orders.
TOLERANCE = 1e-3
# Share of texts on which an int8 server must have the label of the f32 reference.
AGREEMENT = 0.9


def check(servers, texts):
    """Ends the program if a server's scores are off; returns a row on each: label, largest difference, agreement."""
    found = {server.system.label: scores(server, texts) for server in servers}
    # A peer in f32, if there is one.
    f32 = [server.system for server in servers if server.system.precision == "f32"]
    if not f32:
        return []
    reference = min(f32, key=lambda system: system.name == OURS)
    expected = found[reference.label]
    rows = []
    for server in servers:
        system = server.system
        difference, agreement = compare(found[system.label], expected)
        rows.append([system.label, f"{difference:.1e}", f"{100 * agreement:.1f}"])
        is_right = difference <= TOLERANCE if system.precision == "f32" else agreement >= AGREEMENT
        if not is_right:
            sys.exit(f"error: {system.label} differs from {reference.label}: {difference:.3f}, {agreement:.1%}")
    same_bits(servers, found)
    print(f"scores of {len(texts)} texts compared with those of {reference.label}")
    return rows


def scores(server, texts):
    return [server.system.scores(answer) for answer in server.answers(texts)]


def compare(found, expected):
    """Returns the largest difference of a score and the share of texts with the same label."""
    differences = [abs(one[label] - other[label]) for one, other in zip(found, expected) for label in other]
    same = sum(best(one) == best(other) for one, other in zip(found, expected))
    return max(differences), same / len(expected)


def best(scores):
    return max(scores, key=scores.get)


def same_bits(servers, found):
    """Ends the program unless this server's scores are the same with every policy."""
    first = {}
    for server in servers:
        system = server.system
        if system.name == OURS and first.setdefault(system.precision, found[system.label]) != found[system.label]:
            sys.exit(f"error: {system.label} has other bits than another policy")
