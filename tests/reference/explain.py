"""Explanations in float64 by automatic differentiation.

The model is implemented here, so that a part of an operation can be treated as a
constant (`detach`). All derivatives are automatic, independent of the engine's
hand-written ones.
"""

import math

import numpy as np
import torch

# Modifications of the gradient by each method, as in the engine's documentation.
#   attention   full | held: its weights are constants | shared: half to each factor of a product
#   deviation   full | held
#   activation  full | held: the ratio of output and input is a constant
RULES = {
    "gradient-x-input": {"attention": "full", "deviation": "full", "activation": "full"},
    "lrp": {"attention": "held", "deviation": "held", "activation": "held"},
    "attnlrp": {"attention": "shared", "deviation": "held", "activation": "held"},
}

EPS = 1e-12

# Maximum number of nodes in a panel of the path from a baseline to a row.
PANEL_NODES = 4


def scaled_gradient(x, factor):
    """Returns `x`, but scales its gradient."""
    return x * factor + (x * (1.0 - factor)).detach()


def sinusoidal(positions, dim):
    angle = np.arange(positions)[:, None] / np.power(10000.0, 2 * (np.arange(dim) // 2) / dim)
    table = np.where(np.arange(dim) % 2 == 0, np.sin(angle), np.cos(angle))
    return torch.from_numpy(table.astype(np.float32).astype(np.float64))


class Model:
    """DistilBERT for sequence classification over named float32 tensors, computing in float64."""

    def __init__(self, tensors, config):
        self.tensors = {name: torch.from_numpy(np.asarray(t, dtype=np.float64)) for name, t in tensors.items()}
        self.config = config
        self.biases = [t.requires_grad_() for name, t in self.tensors.items() if name.endswith(".bias")]
        self.positions = self.tensors.get("embeddings.position_embeddings.weight")
        if self.positions is None:
            self.positions = sinusoidal(config["max_position_embeddings"], config["dim"])

    def linear(self, name, x):
        return x @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]

    def layer_norm(self, name, x, rule):
        mean = x.mean(-1, keepdim=True)
        deviation = ((x - mean).square().mean(-1, keepdim=True) + EPS).sqrt()
        if rule == "held":
            deviation = deviation.detach()
        return (x - mean) / deviation * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]

    def activation(self, x, rule):
        if self.config["activation"] == "relu":
            return x.relu()
        share = 0.5 * (1 + torch.erf(x / math.sqrt(2)))
        return x * (share.detach() if rule == "held" else share)

    def embed(self, ids):
        """Returns the normalized embeddings of a row."""
        x = self.tensors["embeddings.word_embeddings.weight"][torch.tensor(ids)] + self.positions[: len(ids)]
        return self.layer_norm("embeddings.LayerNorm", x, "full").detach()

    def encode(self, states, mask, rules, kept=None, gates=None):
        """Computes the logits from normalized embeddings. `kept` receives the operands of nonlinear operations. Gates
        replace the slope of the head's ReLU."""

        def keep(kind, operands, results):
            if kept is not None:
                for tensor in operands + results:
                    if tensor.requires_grad:
                        tensor.retain_grad()
                kept.append((kind, operands, results))

        length, dim = states.shape
        heads = self.config["n_heads"]
        masked = torch.tensor(mask) == 0

        def by_head(x):
            return x.reshape(length, heads, dim // heads).transpose(0, 1)

        for layer in range(self.config["n_layers"]):
            name = f"transformer.layer.{layer}"
            q, k, v = (by_head(self.linear(f"{name}.attention.{part}_lin", states)) for part in "qkv")
            share = 0.5 if rules["attention"] == "shared" else 1.0
            scores = scaled_gradient(q, share) @ scaled_gradient(k, share).transpose(1, 2) / math.sqrt(dim // heads)
            weights = scores.masked_fill(masked, -math.inf).softmax(-1)
            if rules["attention"] == "held":
                weights = weights.detach()
            context = scaled_gradient(weights, share) @ scaled_gradient(v, share)
            keep("attention", [q, k], [scores])
            keep("softmax", [scores], [weights])
            keep("attention", [weights, v], [context])
            merged = context.transpose(0, 1).reshape(length, dim)
            total = states + self.linear(f"{name}.attention.out_lin", merged)
            normal = self.layer_norm(f"{name}.sa_layer_norm", total, rules["deviation"])
            keep("layer_norm", [total], [normal])
            inner = self.linear(f"{name}.ffn.lin1", normal)
            active = self.activation(inner, rules["activation"])
            keep("gelu", [inner], [active])
            total = normal + self.linear(f"{name}.ffn.lin2", active)
            states = self.layer_norm(f"{name}.output_layer_norm", total, rules["deviation"])
            keep("layer_norm", [total], [states])
        before = self.linear("pre_classifier", states[0])
        keep("head", [before], [])
        pooled = before.relu()
        if gates is not None:
            pooled = pooled.detach() + gates * (before - before.detach())
        return self.linear("classifier", pooled)

    def value(self, logits, goal):
        """Returns the value to explain."""
        scores = logits
        if goal["objective"] == "probability":
            multi = self.config.get("problem_type") == "multi_label_classification"
            scores = logits.sigmoid() if multi else logits.softmax(-1)
        other = goal.get("other")
        return scores[goal["label"]] - (0.0 if other is None else scores[other])

    def logits(self, ids, mask):
        with torch.no_grad():
            return self.encode(self.embed(ids), mask, RULES["gradient-x-input"])

    def attribute(self, ids, mask, goal, method):
        """Returns relevances at the normalized embeddings, and the relevance that each kind of operation absorbs."""
        states = self.embed(ids).requires_grad_()
        kept = []
        for bias in self.biases:
            bias.grad = None
        logits = self.encode(states, mask, RULES[method], kept)
        logits.retain_grad()
        self.value(logits, goal).backward()

        def relevance(tensors):
            return sum(float((t * t.grad).sum().detach()) for t in tensors if t.grad is not None)

        ledger = dict.fromkeys(("bias", "gelu", "softmax", "layer_norm", "attention"), 0.0)
        ledger["bias"] = relevance(self.biases)
        for kind, operands, results in kept:
            if kind in ledger:
                ledger[kind] += relevance(results) - relevance(operands)
        # The output of layer normalization includes its bias.
        for layer in range(self.config["n_layers"]):
            for norm in ("sa_layer_norm", "output_layer_norm"):
                ledger["layer_norm"] -= relevance([self.tensors[f"transformer.layer.{layer}.{norm}.bias"]])
        ledger["probability"] = self.value(logits, goal).item() - relevance([logits])
        found = (states * states.grad).sum(-1).detach()
        gap = self.value(logits, goal).item() - float(found.sum()) - sum(ledger.values())
        assert abs(gap) < 1e-9 * max(1.0, logits.abs().max().item()), f"{method}: relevance is not conserved, error {gap}"
        return found, ledger

    def integrate(self, ids, mask, goal, steps, pad):
        """Returns integrated gradients from the row with `pad` in place of all tokens but the first and the last, by
        Gaussian quadrature in panels split where the head's ReLU switches."""
        last = max(index for index, kept in enumerate(mask) if kept)
        start = self.embed([t if i in (0, last) else pad for i, t in enumerate(ids)])
        way = self.embed(ids) - start
        total = torch.zeros(len(ids), dtype=torch.float64)
        panels = -(-steps // PANEL_NODES)
        cuts = [index * steps // panels for index in range(panels + 1)]
        for first, end in zip(cuts, cuts[1:]):
            nodes, weights = np.polynomial.legendre.leggauss(end - first)
            nodes, weights = (nodes + 1) / 2, weights / 2
            width = (end - first) / steps
            positions = first / steps + nodes * width
            before = []
            for position in positions:
                kept = []
                with torch.no_grad():
                    self.encode(start + position * way, mask, RULES["gradient-x-input"], kept)
                before.append(kept[-1][1][0].numpy())
            gates = panel_gates(nodes, weights, np.array(before))
            for position, weight, gate in zip(positions, weights * width, gates):
                states = (start + position * way).requires_grad_()
                gate = torch.from_numpy(gate)
                logits = self.encode(states, mask, RULES["gradient-x-input"], gates=gate)
                self.value(logits, goal).backward()
                total += weight * (way * states.grad).sum(-1)
        return total

    def attention(self, ids, mask):
        """Returns the attention weights of each layer, `[heads, tokens, tokens]`."""
        kept = []
        with torch.no_grad():
            self.encode(self.embed(ids), mask, RULES["gradient-x-input"], kept)
        return [results[0] for kind, _, results in kept if kind == "softmax"]


def panel_gates(nodes, weights, inputs):
    """Returns the gradient of each unit of a ReLU at each node of a panel: the part of the panel, weighted by the
    quadrature, in which the polynomial through the unit's inputs is positive."""
    gates = np.empty_like(inputs)
    basis = [np.polynomial.Polynomial.fit(nodes, unit, len(nodes) - 1).convert() for unit in np.eye(len(nodes))]
    integrals = [polynomial.integ() for polynomial in basis]
    for unit, values in enumerate(inputs.T):
        through = sum(value * polynomial for value, polynomial in zip(values, basis))
        roots = through.roots()
        roots = sorted(root.real for root in roots if abs(root.imag) < 1e-12 and 0 < root.real < 1)
        edges = [0.0, *roots, 1.0]
        parts = [(a, b) for a, b in zip(edges, edges[1:]) if through((a + b) / 2) > 0]
        for node, (integral, weight) in enumerate(zip(integrals, weights)):
            gates[node, unit] = sum(integral(b) - integral(a) for a, b in parts) / weight
    return gates


def rollout(layers):
    reached = torch.eye(layers[0].shape[-1], dtype=torch.float64)
    for weights in layers:
        reached = (weights.mean(0) + torch.eye(weights.shape[-1])) / 2 @ reached
    return reached[0]
