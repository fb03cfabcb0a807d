//! The budget: what heads and neurons cost, and which layers give up how many.

use super::selection::Order;
use super::weights::Kept;
use crate::error::PruneError;
use crate::model::config::Config;

/// Neurons that are removed together. It is the widest panel of any instruction set's kernels, so that no set computes
/// columns that are not there.
pub(super) const PANEL: usize = 32;

/// Heads and neurons of one layer in the order in which they go.
pub(super) struct LayerOrders {
    pub heads: Order,
    pub neurons: Order,
}

/// Costs of one layer, in any unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LayerCost {
    pub head: f64,
    pub neuron: f64,
}

/// Costs of a text: the sum over the layers, and what pruning does not change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Costs {
    pub layers: Vec<LayerCost>,
    pub rest: f64,
}

impl Costs {
    /// Returns the engine's multiply-adds for a text of `tokens` tokens.
    pub fn multiply_adds(config: &Config, tokens: usize) -> Self {
        let layer = |index: usize| {
            let [head, neuron] = config.layer_costs(tokens, index + 1 == config.n_layers);
            LayerCost { head: head as f64, neuron: neuron as f64 }
        };
        let layers: Vec<LayerCost> = (0..config.n_layers).map(layer).collect();
        let labels = config.id2label.len();
        let costs = Self { layers, rest: 0.0 };
        let whole = config.multiply_adds(tokens, labels) as f64;
        let rest = whole - costs.of((0..config.n_layers).map(|index| shape(config, index)));
        Self { rest, ..costs }
    }

    /// Returns the cost of layers with these numbers of heads and neurons.
    pub fn of(&self, shapes: impl Iterator<Item = [usize; 2]>) -> f64 {
        let layers = self.layers.iter().zip(shapes);
        self.rest
            + layers
                .map(|(cost, [heads, neurons])| {
                    cost.head * heads as f64 + cost.neuron * neurons as f64
                })
                .sum::<f64>()
    }
}

/// Returns the numbers of heads and neurons of a layer.
fn shape(config: &Config, index: usize) -> [usize; 2] {
    let layer = config.layer(index);
    [layer.heads, layer.hidden_dim]
}

/// Returns a plan in which every layer keeps all heads and `hidden_dim` neurons.
///
/// # Errors
/// [`PruneError::HiddenDim`].
pub(super) fn uniform(orders: &[LayerOrders], hidden_dim: usize) -> Result<Vec<Kept>, PruneError> {
    let most = orders.iter().map(|orders| orders.neurons.items.len()).min().unwrap_or(0);
    if !(1..=most).contains(&hidden_dim) {
        return Err(PruneError::HiddenDim { found: hidden_dim, limit: most });
    }
    let kept = |orders: &LayerOrders| Kept {
        heads: orders.heads.kept(0),
        neurons: orders.neurons.kept(orders.neurons.items.len() - hidden_dim),
    };
    Ok(orders.iter().map(kept).collect())
}

/// Returns the widest uniform plan within a budget, in whole panels.
///
/// # Errors
/// [`PruneError::Budget`] if one panel per layer costs more.
pub(super) fn uniform_within(
    orders: &[LayerOrders],
    costs: &Costs,
    budget: f64,
) -> Result<Vec<Kept>, PruneError> {
    let cost = |hidden_dim: usize| {
        costs.of(orders.iter().map(|orders| [orders.heads.items.len(), hidden_dim]))
    };
    let whole = orders.iter().map(|orders| orders.neurons.items.len()).min().unwrap_or(0);
    let least = PANEL.min(whole);
    let panels = (1..=whole / PANEL).map(|panels| panels * PANEL);
    let widths = [least].into_iter().chain(panels).chain([whole]);
    match widths.rev().find(|&width| cost(width) <= budget) {
        Some(width) => uniform(orders, width),
        None => Err(PruneError::Budget {
            share: budget / cost(whole),
            least: cost(least) / cost(whole),
        }),
    }
}

/// Returns the plan within a budget that loses least: at each step, the head or the panel of neurons goes whose loss is
/// smallest for what it costs. Every layer keeps at least one head and one panel.
///
/// # Errors
/// [`PruneError::Budget`] if that costs more.
pub(super) fn per_layer(
    orders: &[LayerOrders],
    costs: &Costs,
    budget: f64,
) -> Result<Vec<Kept>, PruneError> {
    let mut shapes: Vec<[usize; 2]> = orders
        .iter()
        .map(|orders| [orders.heads.items.len(), orders.neurons.items.len()])
        .collect();
    let whole = costs.of(shapes.iter().copied());
    while costs.of(shapes.iter().copied()) > budget {
        let steps = orders.iter().zip(&costs.layers).zip(&shapes).enumerate();
        let steps = steps.flat_map(|(layer, ((orders, cost), &shape))| {
            next_steps(orders, *cost, shape).into_iter().flatten().map(move |step| (layer, step))
        });
        let Some((layer, step)) = steps.min_by(|(_, a), (_, b)| a.price.total_cmp(&b.price)) else {
            let least = costs.of(shapes.iter().copied());
            return Err(PruneError::Budget { share: budget / whole, least: least / whole });
        };
        shapes[layer] = step.shape;
    }
    let kept = |(orders, [heads, neurons]): (&LayerOrders, &[usize; 2])| Kept {
        heads: orders.heads.kept(orders.heads.items.len() - heads),
        neurons: orders.neurons.kept(orders.neurons.items.len() - neurons),
    };
    Ok(orders.iter().zip(&shapes).map(kept).collect())
}

/// A step that a layer may take.
#[derive(Clone, Copy)]
struct Step {
    /// Loss per unit of cost.
    price: f64,
    shape: [usize; 2],
}

/// Returns the removal of the next head and of the next panel, if the layer can do without them.
fn next_steps(
    orders: &LayerOrders,
    cost: LayerCost,
    [heads, neurons]: [usize; 2],
) -> [Option<Step>; 2] {
    let head = (heads > 1).then(|| {
        let loss = orders.heads.losses[orders.heads.items.len() - heads];
        Step { price: loss / cost.head, shape: [heads - 1, neurons] }
    });
    // The first step leaves whole panels.
    let next = (neurons.next_multiple_of(PANEL) - PANEL).max(PANEL.min(neurons));
    let panel = (next < neurons).then(|| {
        let all = orders.neurons.items.len();
        let losses = &orders.neurons.losses[all - neurons..all - next];
        let price = losses.iter().sum::<f64>() / (cost.neuron * losses.len() as f64);
        Step { price, shape: [heads, next] }
    });
    [head, panel]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(losses: impl Iterator<Item = f64>) -> Order {
        let losses: Vec<f64> = losses.collect();
        Order { items: (0..losses.len()).rev().collect(), losses }
    }

    /// Two layers of 4 heads and 100 neurons. Those of the second are three times as costly to lose.
    fn orders() -> Vec<LayerOrders> {
        let layer = |scale: f64| LayerOrders {
            heads: order((1..=4).map(|at| f64::from(at) * scale)),
            neurons: order((1..=100).map(|at| f64::from(at) * 0.02 * scale)),
        };
        vec![layer(1.0), layer(3.0)]
    }

    fn costs() -> Costs {
        Costs { layers: vec![LayerCost { head: 50.0, neuron: 1.0 }; 2], rest: 10.0 }
    }

    #[test]
    fn uniform_plan_is_the_widest_that_fits() {
        let plan = uniform_within(&orders(), &costs(), 10.0 + 400.0 + 150.0).unwrap();
        assert!(plan.iter().all(|kept| kept.heads == [0, 1, 2, 3]));
        // The items with the highest losses are the lowest numbers.
        assert!(plan.iter().all(|kept| kept.neurons == (0..64).collect::<Vec<_>>()));
        let whole = uniform_within(&orders(), &costs(), 610.0).unwrap();
        assert_eq!(whole[0].neurons.len(), 100);
    }

    #[test]
    fn layers_give_up_what_loses_least_for_its_cost() {
        let plan = per_layer(&orders(), &costs(), 400.0).unwrap();
        let shapes: Vec<_> =
            plan.iter().map(|kept| [kept.heads.len(), kept.neurons.len()]).collect();
        assert!(costs().of(shapes.iter().copied()) <= 400.0);
        assert!(shapes[0][0] < shapes[1][0] && shapes[0][1] <= shapes[1][1], "{shapes:?}");
        assert!(shapes.iter().all(|shape| shape[1] == 100 || shape[1].is_multiple_of(PANEL)));
        assert_eq!(per_layer(&orders(), &costs(), 1e9).unwrap()[1].neurons.len(), 100);
    }

    #[test]
    fn budgets_below_a_head_and_a_panel_are_refused() {
        let least = 10.0 + 2.0 * (50.0 + 32.0);
        assert!(per_layer(&orders(), &costs(), least).is_ok());
        let error = per_layer(&orders(), &costs(), least - 1.0).unwrap_err();
        assert!(matches!(error, PruneError::Budget { .. }), "{error}");
        assert!(uniform_within(&orders(), &costs(), 10.0 + 400.0 + 63.0).is_err());
        assert!(uniform(&orders(), 0).is_err() && uniform(&orders(), 101).is_err());
    }
}
