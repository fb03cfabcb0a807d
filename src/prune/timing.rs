//! Costs in milliseconds, measured on this machine.

use std::time::Instant;

use super::Pruner;
use super::budget::{Costs, LayerCost, PANEL};
use super::weights::Kept;
use crate::cpu::layers::{LayerMemory, LayerWeights};
use crate::error::Result;
use crate::input::batch::TokenBatch;

/// Times that each shape is run. The fastest counts: interruptions only ever add time.
const ROUNDS: usize = 40;

/// A cost below which differences are noise, in milliseconds.
const LEAST: f64 = 1e-9;

/// Times of a layer in three shapes, in milliseconds.
#[derive(Clone, Copy)]
struct Times {
    whole: f64,
    fewer_heads: f64,
    narrower: f64,
}

/// Measures the costs of one text of `tokens` tokens in f32.
pub(super) fn measure(pruner: &Pruner, tokens: usize) -> Result<Costs> {
    let config = &pruner.config;
    let text = text(pruner, tokens)?;
    let last = config.n_layers - 1;
    let of_last = layer_cost(pruner, last, &text)?;
    let of_others = if last > 0 { layer_cost(pruner, 0, &text)? } else { of_last };
    let layers: Vec<LayerCost> =
        (0..config.n_layers).map(|index| if index == last { of_last } else { of_others }).collect();
    let costs = Costs { layers, rest: 0.0 };
    let mut logits = vec![0.0; config.id2label.len()];
    let whole = fastest(|| pruner.runner.forward(&text, &mut logits))?;
    let shapes = (0..config.n_layers).map(|index| {
        let shape = config.layer(index);
        [shape.heads, shape.hidden_dim]
    });
    let rest = (whole - costs.of(shapes)).max(0.0);
    Ok(Costs { rest, ..costs })
}

/// Returns a text of calibration tokens.
fn text(pruner: &Pruner, tokens: usize) -> Result<TokenBatch> {
    let tokens = tokens.min(pruner.config.max_position_embeddings);
    let ids = pruner.parts[0].input_ids().iter().copied().cycle().take(tokens);
    TokenBatch::from_rows(&[ids.collect::<Vec<u32>>()])
}

/// Measures the cost of a head and of a neuron in one layer, from what half of them takes.
fn layer_cost(pruner: &Pruner, index: usize, text: &TokenBatch) -> Result<LayerCost> {
    let shape = pruner.config.layer(index);
    let heads = shape.heads.div_ceil(2);
    let neurons = (shape.hidden_dim / 2).next_multiple_of(PANEL).min(shape.hidden_dim);
    let Times { whole, fewer_heads, narrower } = times(pruner, index, text, [heads, neurons])?;
    let per = |saved: f64, count: usize| (saved / count.max(1) as f64).max(LEAST);
    Ok(LayerCost {
        head: per(whole - fewer_heads, shape.heads - heads),
        neuron: per(whole - narrower, shape.hidden_dim - neurons),
    })
}

/// Times a layer whole, with fewer heads and with fewer neurons, in turns.
fn times(
    pruner: &Pruner,
    index: usize,
    text: &TokenBatch,
    [heads, neurons]: [usize; 2],
) -> Result<Times> {
    let runner = &pruner.runner;
    let shape = pruner.config.layer(index);
    let shapes =
        [[shape.heads, shape.hidden_dim], [heads, shape.hidden_dim], [shape.heads, neurons]];
    let pack = |[heads, neurons]: [usize; 2]| {
        let kept = Kept { heads: (0..heads).collect(), neurons: (0..neurons).collect() };
        let layer = kept.slice(&pruner.layers[index], pruner.config.head_size());
        runner.lead(|leader| runner.pack(leader, &layer))
    };
    let layers = shapes.into_iter().map(pack).collect::<Result<Vec<_>>>()?;
    let mut memory = LayerMemory::default();
    let mut best = [f64::INFINITY; 3];
    let states = runner.lead(|leader| runner.embed(leader, text));
    let sub = text.as_sub_batch();
    for _ in 0..ROUNDS {
        for (layer, best) in layers.iter().zip(&mut best) {
            runner.lead(|leader| {
                let place = (index, LayerWeights::Other(layer));
                let start = Instant::now();
                runner.run(leader, place, (&sub, &states), &mut memory);
                *best = best.min(start.elapsed().as_secs_f64() * 1e3);
            });
        }
    }
    let [whole, fewer_heads, narrower] = best;
    Ok(Times { whole, fewer_heads, narrower })
}

/// Returns the shortest time of a call, in milliseconds.
fn fastest(mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        call()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}
