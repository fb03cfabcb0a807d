//! A lane: a stream with its own buffers and graphs, for one call at a time.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaContext, CudaGraph, CudaStream, PinnedHostSlice};

use super::driver::failed;
use super::engine::Loaded;
use super::memory::{Address, Buffer, HALF, ROW_SCALE, full};
use super::pass::Pass;
use super::shape::{Shape, rounded_tokens};
use crate::error::Result;
use crate::input::batch::TokenBatch;
use crate::model::config::Config;

/// Tokens that go through the layers together, where no single row is longer. At 768 wide even the narrowest
/// product then has 192 tiles of 128x128, for the 132 multiprocessors of an H100.
const PART_TOKENS: usize = 4096;

/// Rows that do.
pub const PART_ROWS: usize = 1024;

/// Graphs that a lane keeps: single texts of up to 512 tokens alone have 16 shapes.
const MOST_GRAPHS: usize = 64;

/// The most tokens of a part.
pub fn part_tokens(config: &Config) -> usize {
    PART_TOKENS.max(rounded_tokens(config.max_position_embeddings))
}

/// What a pass writes on the device, in the order of its steps. Halves where nothing else is said.
pub struct Buffers {
    /// Ids, positions, and where each sequence ends, end to end, as `u32`.
    input: Buffer,
    /// `[tokens, dim]`: what goes from layer to layer.
    pub states: Buffer,
    /// `[tokens, dim or hidden_dim]` of bytes: what a product reads in 8 bits.
    pub quantised: Buffer,
    /// `[tokens, 2]` of `f32`: their scales and zero points.
    pub row_scales: Buffer,
    /// `[tokens, 3·dim]`
    pub query_key_value: Buffer,
    /// `[tokens, dim]`: attention's output.
    pub context: Buffer,
    /// `[tokens, hidden_dim]`: between the two feed-forward layers.
    pub inner: Buffer,
    /// `[sequences, dim]`: the first tokens alone, in the last layer and the head.
    pub first_states: Buffer,
    /// The same in 8 bits, as the last layer's queries are made of them.
    pub first_quantised: Buffer,
    pub first_row_scales: Buffer,
    /// `[sequences, dim]`: their queries, and later what the head makes of them.
    pub first_queries: Buffer,
    /// `[sequences, labels]` of `f32`.
    pub logits: Buffer,
}

/// The sizes of [`Buffers`] in bytes.
struct Sizes {
    input: usize,
    tokens: usize,
    sequences: usize,
    labels: usize,
    dim: usize,
    hidden_dim: usize,
    /// 1 where rows are held in 8 bits too, else 0: then their buffers are as good as empty.
    bytes: usize,
}

impl Sizes {
    fn new(loaded: &Loaded) -> Self {
        let Config { dim, hidden_dim, .. } = loaded.config;
        let (tokens, sequences) = (part_tokens(&loaded.config), PART_ROWS);
        Self {
            input: (2 * tokens + sequences) * size_of::<u32>(),
            tokens,
            sequences,
            labels: loaded.model.classifier.outputs,
            dim,
            hidden_dim,
            bytes: usize::from(loaded.model.in_bytes.0),
        }
    }
}

impl Buffers {
    fn new(stream: &Arc<CudaStream>, sizes: &Sizes) -> Result<Self> {
        let &Sizes { input, tokens, sequences, labels, dim, hidden_dim, bytes } = sizes;
        let wide = dim.max(hidden_dim);
        let new = |bytes: usize| Buffer::new(stream, bytes.max(1));
        // Of the rows that a shape was rounded up by, attention and the gathering write nothing, but products
        // read them: what they make of it is not looked at, yet it should be the same in every run.
        let zeroed = |bytes: usize| Buffer::zeroed(stream, bytes.max(1));
        Ok(Self {
            input: new(input)?,
            states: new(tokens * dim * HALF)?,
            quantised: new(bytes * tokens * wide)?,
            row_scales: new(bytes * tokens * ROW_SCALE)?,
            query_key_value: new(tokens * 3 * dim * HALF)?,
            context: zeroed(tokens * dim * HALF)?,
            inner: new(tokens * hidden_dim * HALF)?,
            first_states: zeroed(sequences * dim * HALF)?,
            first_quantised: zeroed(bytes * sequences * dim)?,
            first_row_scales: zeroed(bytes * sequences * ROW_SCALE)?,
            first_queries: new(sequences * dim * HALF)?,
            logits: new(sequences * labels * size_of::<f32>())?,
        })
    }

    /// Ids, positions and ends, as they lie for a shape.
    pub fn input(&self, shape: Shape) -> [Address; 3] {
        let bytes = shape.tokens * size_of::<u32>();
        [0, bytes, 2 * bytes].map(|bytes| self.input.start.plus(bytes))
    }
}

pub struct Lane {
    // The graphs go before what they point to.
    graphs: Graphs,
    stream: Arc<CudaStream>,
    buffers: Buffers,
    /// Where inputs and logits wait for their copies.
    input: PinnedHostSlice<u8>,
    logits: PinnedHostSlice<u8>,
}

impl Lane {
    pub fn new(context: &Arc<CudaContext>, loaded: &Loaded) -> Result<Self> {
        let stream = context.new_stream().map_err(failed("make a stream"))?;
        let sizes = Sizes::new(loaded);
        let pinned = |bytes: usize| {
            // No flags: the host reads it, which is slow where writes are combined.
            // SAFETY: each part is written before it is read: the input by `run`, the logits by the copy.
            let memory = unsafe { context.alloc_pinned_with_flags::<u8>(bytes, 0) };
            memory.map_err(|error| full(&stream, error, bytes))
        };
        Ok(Self {
            input: pinned(sizes.input)?,
            logits: pinned(sizes.sequences * sizes.labels * size_of::<f32>())?,
            buffers: Buffers::new(&stream, &sizes)?,
            graphs: Graphs::default(),
            stream,
        })
    }

    /// Computes the logits of some rows of a batch, which fit a part. After an error, the lane must not be
    /// used again.
    pub fn run(
        &mut self,
        loaded: &Loaded,
        batch: &TokenBatch,
        rows: Range<usize>,
        logits: &mut [f32],
    ) -> Result<()> {
        let outcome = self.enqueue(loaded, batch, rows, logits.len());
        // Also after an error, since copies may be under way.
        let waited = self.stream.synchronize().map_err(failed("compute"));
        outcome.and(waited)?;
        let bytes = self.logits.as_slice().map_err(failed("give the logits"))?;
        for (logit, &bytes) in logits.iter_mut().zip(bytes.as_chunks().0) {
            *logit = f32::from_le_bytes(bytes);
        }
        Ok(())
    }

    /// Puts the copy of the input, the pass and the copy of the logits on the stream.
    fn enqueue(
        &mut self,
        loaded: &Loaded,
        batch: &TokenBatch,
        rows: Range<usize>,
        logits: usize,
    ) -> Result<()> {
        let longest = rows.clone().map(|row| batch.row(row).len()).max().unwrap_or(0);
        let tokens = batch.row(rows.start).start..batch.row(rows.end - 1).end;
        let shape = Shape::new(tokens.len(), rows.len(), longest).rounded();
        let input = self.input.as_mut_slice().map_err(failed("take the input"))?;
        let len = write_input(input, shape, batch, tokens, rows);
        self.stream
            .memcpy_htod(&input[..len], &mut self.buffers.input.bytes)
            .map_err(failed("take the input"))?;
        let pass = Pass {
            stream: &self.stream,
            kernels: &loaded.kernels,
            config: &loaded.config,
            model: &loaded.model,
            buffers: &self.buffers,
            shape,
        };
        self.graphs.get(&self.stream, shape, pass)?.launch().map_err(failed("start"))?;
        let bytes = logits * size_of::<f32>();
        let to = self.logits.as_mut_slice().map_err(failed("give the logits"))?;
        self.stream
            .memcpy_dtoh(&self.buffers.logits.bytes.slice(..bytes), &mut to[..bytes])
            .map_err(failed("give the logits"))
    }
}

/// Writes the input of a shape, as [`Buffers::input`] has it, and gives its length. Tokens that the shape
/// has more are of no sequence, and sequences that it has more are empty.
fn write_input(
    input: &mut [u8],
    shape: Shape,
    batch: &TokenBatch,
    tokens: Range<usize>,
    rows: Range<usize>,
) -> usize {
    let bytes = |values: usize| values * size_of::<u32>();
    let (first, last) = (tokens.start, tokens.len() as u32);
    let ends = rows.map(|row| (batch.row(row).end - first) as u32);
    let (ids, rest) = input.split_at_mut(bytes(shape.tokens));
    let (positions, rest) = rest.split_at_mut(bytes(shape.tokens));
    write_padded(ids, batch.input_ids()[tokens.clone()].iter().copied(), 0);
    write_padded(positions, batch.positions()[tokens].iter().copied(), 0);
    write_padded(&mut rest[..bytes(shape.sequences)], ends, last);
    bytes(2 * shape.tokens + shape.sequences)
}

/// Writes values, and as many of the padding as there is room for.
fn write_padded(to: &mut [u8], values: impl Iterator<Item = u32>, padding: u32) {
    let padded = values.chain(std::iter::repeat(padding));
    for (to, value) in to.as_chunks_mut().0.iter_mut().zip(padded) {
        *to = value.to_le_bytes();
    }
}

/// Captured passes by their shapes.
#[derive(Default)]
struct Graphs {
    graphs: HashMap<Shape, Graph>,
    /// Calls so far.
    clock: u64,
}

struct Graph {
    graph: CudaGraph,
    last_use: u64,
}

// SAFETY: a graph must not be used by two threads at once; it is reached through the lane alone, which has
// one caller at a time.
unsafe impl Send for Graphs {}

impl Graphs {
    /// The graph of a shape, captured if it is not there; the one that has not been used for longest makes
    /// room.
    fn get(
        &mut self,
        stream: &Arc<CudaStream>,
        shape: Shape,
        pass: Pass<'_>,
    ) -> Result<&CudaGraph> {
        self.clock += 1;
        // A mistake for the tests to find: one graph for any number of sequences.
        #[cfg(seeded_defect = "stale_graph")]
        let shape = Shape { sequences: 0, ..shape };
        if !self.graphs.contains_key(&shape) {
            if self.graphs.len() == MOST_GRAPHS {
                let oldest = self.graphs.iter().min_by_key(|(_, graph)| graph.last_use);
                let oldest = oldest.map(|(&shape, _)| shape);
                oldest.map(|shape| self.graphs.remove(&shape));
            }
            let graph = capture(stream, pass)?;
            self.graphs.insert(shape, Graph { graph, last_use: 0 });
        }
        let graph = self.graphs.get_mut(&shape).expect("it was there or has just been made");
        graph.last_use = self.clock;
        Ok(&graph.graph)
    }
}

fn capture(stream: &Arc<CudaStream>, pass: Pass<'_>) -> Result<CudaGraph> {
    // Other threads may allocate meanwhile.
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    stream.begin_capture(mode).map_err(failed("begin a capture"))?;
    let launched = pass.run();
    // Also after an error: the stream must not stay in a capture.
    let graph = stream.end_capture(CUgraphInstantiate_flags(0)).map_err(failed("end a capture"));
    launched?;
    Ok(graph?.expect("a pass launches kernels"))
}
