//! Nodes and weights of integrated gradients between a baseline and a text.
//!
//! The path is split into panels, each with a Gauss–Legendre rule. The rule converges fast for smooth functions such
//! as the layers. The head is not smooth: where a unit of its ReLU switches, the gradient jumps, which would cost the
//! rule an error of a fraction of a step for each unit. So each unit has weights of its own ([`Panel::gates`]): its
//! input is smooth, and the polynomial through the panel's nodes tells where it is positive. The rule is integrated
//! only over that part.

use std::array;
use std::ops::Range;

/// Maximum number of nodes per panel. All of a panel's sequences pass through the layers together, and its polynomial's
/// degree grows with the nodes.
const PANEL_NODES: usize = 4;

/// Parts into which a panel is divided to find sign changes: a unit may switch at most once in each.
const PARTS: usize = 16;

/// Part of the path that is sampled at some nodes.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    start: f64,
    width: f64,
    rule: Rule,
}

impl Panel {
    /// Returns panels of `steps` nodes in all, at least one, each as wide as it has nodes.
    pub fn all(steps: usize) -> Vec<Self> {
        let panels = steps.div_ceil(PANEL_NODES);
        let panel = |index: usize| {
            let nodes = index * steps / panels..(index + 1) * steps / panels;
            let [start, end] = [nodes.start, nodes.end].map(|at| at as f64 / steps as f64);
            Self { start, width: end - start, rule: Rule::new(nodes.len()) }
        };
        (0..panels).map(panel).collect()
    }

    pub fn nodes(&self) -> Range<usize> {
        0..self.rule.count
    }

    /// Returns a node's position between baseline (0) and text (1).
    pub fn position(&self, node: usize) -> f64 {
        self.start + self.width * self.rule.positions[node]
    }

    pub fn weight(&self, node: usize) -> f64 {
        self.width * self.rule.weights[node]
    }

    /// Replaces the inputs of a ReLU's units, a row for each node, with the fraction of a gradient that they pass
    /// there. It is one or zero for a unit that does not switch within the panel.
    pub fn gates(&self, rows: &mut [f32]) {
        let units = rows.len() / self.rule.count;
        for unit in 0..units {
            let gates = self.rule.gates(|node| rows[node * units + unit]);
            for node in self.nodes() {
                rows[node * units + unit] = gates[node];
            }
        }
    }
}

/// A polynomial's coefficients, the constant first.
type Polynomial = [f64; PANEL_NODES];

fn value(polynomial: &Polynomial, x: f64) -> f64 {
    polynomial.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// Returns the polynomial's integral from 0.
fn integral(polynomial: &Polynomial, x: f64) -> f64 {
    let powers = polynomial.iter().enumerate().rev();
    powers.fold(0.0, |sum, (power, coefficient)| sum * x + coefficient / (power + 1) as f64) * x
}

/// Gauss's rule between 0 and 1.
#[derive(Clone, Debug)]
struct Rule {
    count: usize,
    positions: [f64; PANEL_NODES],
    weights: [f64; PANEL_NODES],
    /// Polynomial of each node that is 1 there and 0 at the others (Lagrange).
    basis: [Polynomial; PANEL_NODES],
}

impl Rule {
    /// Returns the rule of 1 to [`PANEL_NODES`] nodes.
    fn new(count: usize) -> Self {
        let mut positions = [0.0; PANEL_NODES];
        let mut weights = [0.0; PANEL_NODES];
        let mut basis = [[0.0; PANEL_NODES]; PANEL_NODES];
        for (index, position) in positions[..count].iter_mut().enumerate() {
            *position = gauss_legendre_node(count, index);
        }
        for node in 0..count {
            let mut polynomial = [0.0; PANEL_NODES];
            polynomial[0] = 1.0;
            for other in (0..count).filter(|&other| other != node) {
                let scale = 1.0 / (positions[node] - positions[other]);
                // Times `(x − other) · scale`.
                polynomial = array::from_fn(|power| {
                    let lower = if power > 0 { polynomial[power - 1] } else { 0.0 };
                    (lower - positions[other] * polynomial[power]) * scale
                });
            }
            weights[node] = integral(&polynomial, 1.0);
            basis[node] = polynomial;
        }
        Self { count, positions, weights, basis }
    }

    fn gates(&self, inputs: impl Fn(usize) -> f32) -> [f32; PANEL_NODES] {
        let mut through = [0.0; PANEL_NODES];
        for (node, basis) in self.basis[..self.count].iter().enumerate() {
            let input = f64::from(inputs(node));
            for (sum, coefficient) in through.iter_mut().zip(basis) {
                *sum += input * coefficient;
            }
        }
        let mut sums = [0.0; PANEL_NODES];
        let mut add = |from: f64, to: f64| {
            for (sum, basis) in sums.iter_mut().zip(&self.basis[..self.count]) {
                *sum += integral(basis, to) - integral(basis, from);
            }
        };
        // Where the part that is above zero began.
        let mut began = (value(&through, 0.0) > 0.0).then_some(0.0);
        for part in 0..PARTS {
            let [from, to] = [part, part + 1].map(|at| at as f64 / PARTS as f64);
            match began {
                None if value(&through, to) > 0.0 => began = Some(zero(&through, from, to)),
                Some(start) if value(&through, to) <= 0.0 => {
                    add(start, zero(&through, from, to));
                    began = None;
                }
                _ => (),
            }
        }
        match began {
            Some(0.0) => return [1.0; PANEL_NODES],
            Some(start) => add(start, 1.0),
            None => (),
        }
        array::from_fn(|node| {
            if node < self.count { (sums[node] / self.weights[node]) as f32 } else { 0.0 }
        })
    }
}

/// Returns the zero of a polynomial between two places at which its signs differ, by bisection.
fn zero(polynomial: &Polynomial, mut from: f64, mut to: f64) -> f64 {
    let is_above = value(polynomial, from) > 0.0;
    for _ in 0..40 {
        let middle = (from + to) / 2.0;
        if (value(polynomial, middle) > 0.0) == is_above {
            from = middle;
        } else {
            to = middle;
        }
    }
    (from + to) / 2.0
}

/// Returns a node of Gauss's rule between 0 and 1, in rising order: a root of the Legendre polynomial, found by
/// Newton's method.
fn gauss_legendre_node(count: usize, index: usize) -> f64 {
    let n = count as f64;
    // The method converges to the wanted root from here (Abramowitz and Stegun 22.16.6).
    let mut x = -(std::f64::consts::PI * (index as f64 + 0.75) / (n + 0.5)).cos();
    for _ in 0..100 {
        let (value, slope) = legendre(count, x);
        let step = value / slope;
        x -= step;
        if step.abs() < 1e-16 {
            break;
        }
    }
    (x + 1.0) / 2.0
}

/// Returns the Legendre polynomial of a degree above 0, and its derivative.
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 2..=degree {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    (value, degree as f64 * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the sum over all nodes of a function of positions, with gates fully open.
    fn sum(panels: &[Panel], function: impl Fn(f64) -> f64) -> f64 {
        let nodes = panels.iter().flat_map(|panel| panel.nodes().map(move |node| (panel, node)));
        nodes.map(|(panel, node)| panel.weight(node) * function(panel.position(node))).sum()
    }

    #[test]
    fn powers_are_integrated_exactly() {
        for steps in [1, 2, 3, 4, 5, 20, 50, 301] {
            let panels = Panel::all(steps);
            assert_eq!(panels.iter().map(|panel| panel.nodes().len()).sum::<usize>(), steps);
            let fewest = panels.iter().map(|panel| panel.nodes().len()).min().unwrap();
            for power in 0..2 * fewest as i32 {
                let error = sum(&panels, |x| x.powi(power)) - 1.0 / f64::from(power + 1);
                assert!(error.abs() < 1e-13, "x^{power} by {steps} nodes: {error:e}");
            }
        }
    }

    /// Integrating a ReLU's slope yields its rise, wherever its input changes sign.
    #[test]
    fn the_rise_of_a_relu_is_found_wherever_it_switches() {
        type Function = fn(f64) -> f64;
        let functions: [(Function, Function); 4] = [
            (|x| x - 0.437, |_| 1.0),
            (|x| 0.313 - x, |_| -1.0),
            (|x| (9.0 * x).sin() + 0.2, |x| 9.0 * (9.0 * x).cos()),
            (|x| x * x + 0.1, |x| 2.0 * x),
        ];
        for (input, slope) in functions {
            let found = |steps| {
                let panels = Panel::all(steps);
                let of_panel = |panel: &Panel| {
                    let mut gates: Vec<f32> =
                        panel.nodes().map(|node| input(panel.position(node)) as f32).collect();
                    panel.gates(&mut gates);
                    let rise = |node: usize| {
                        panel.weight(node) * slope(panel.position(node)) * f64::from(gates[node])
                    };
                    panel.nodes().map(rise).sum::<f64>()
                };
                panels.iter().map(of_panel).sum::<f64>()
            };
            let rise = input(1.0).max(0.0) - input(0.0).max(0.0);
            let errors = [8, 40].map(|steps| (found(steps) - rise).abs());
            assert!(errors[0] < 0.1 && errors[1] < 5e-5, "{errors:?}");
        }
    }

    #[test]
    fn a_relu_that_does_not_switch_lets_all_through_or_nothing() {
        for count in 1..=PANEL_NODES {
            let rule = Rule::new(count);
            assert_eq!(rule.gates(|_| 0.5)[..count], vec![1.0; count]);
            assert_eq!(rule.gates(|_| -0.5)[..count], vec![0.0; count]);
            assert_eq!(rule.gates(|_| 0.0)[..count], vec![0.0; count]);
        }
    }
}
