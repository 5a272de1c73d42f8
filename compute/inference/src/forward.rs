//! The forward pass: rows of any sequences, through all layers.
//!
//! A row is one position of one sequence. What is computed for it depends on its token, its position and the keys and
//! values before it, never on the rows beside it: products treat rows alone, attention is a sum of integers, and the
//! rest is row by row. The formulas stand at the functions of [`freeway_kernels::served`].

use freeway_kernels::served::{
    self, Job, MAX_HEAD, PAGE_POSITIONS, Page, Queries, Rows, add, fixed_logits, norm, product, rotate,
    silu_gate,
};
use freeway_models::{Config, MatrixSlot, VectorSlot};
use freeway_primitives::Digest;

use crate::model::Model;
use crate::trace;

/// About how many multiply-adds cost as much as one element of a function of rows, to decide about threads.
const ROW_STEPS: usize = 16;
/// The same for the hash of an element.
const HASH_STEPS: usize = 400;

/// Consecutive positions of one sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    /// The sequence's pages, to beyond the last of these positions. Those that are written belong to it alone.
    pub(crate) pages: &'a [u32],
    /// The first position.
    pub(crate) first: usize,
    /// The tokens there, at least one.
    pub(crate) tokens: &'a [u32],
    /// The results of these are wanted, and of all after them: an index into `tokens`, which may be its length.
    pub(crate) wanted: usize,
    /// Whether trace leaves are.
    pub(crate) traced: bool,
}

/// The forward pass with its memory, which is reused from step to step.
#[derive(Debug, Default)]
pub(crate) struct Forward {
    /// The residual, one padded row after the other.
    x: Vec<f32>,
    normed: Vec<f32>,
    qkv: Vec<f32>,
    attended: Vec<f32>,
    gate_up: Vec<f32>,
    hidden: Vec<f32>,
    y: Vec<f32>,
    quantised: Rows,
    /// Angles of each row.
    cos: Vec<f32>,
    sin: Vec<f32>,
    /// For each row, whether its leaves are made.
    traced: Vec<bool>,
    /// Row by row, layer by layer.
    leaves: Vec<Digest>,
    layers: usize,
    /// Final states of the wanted rows.
    states: Vec<f32>,
    logits: Vec<f32>,
    fixed: Vec<i32>,
}

impl Forward {
    /// A pass without memory yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Computes the chunks: their keys and values go into `slab`, results are here until the next call.
    pub(crate) fn run(&mut self, model: &Model, slab: &mut [Page], chunks: &[Chunk<'_>]) {
        model.pool().run(|| self.run_inside(model, slab, chunks));
    }

    fn run_inside(&mut self, model: &Model, slab: &mut [Page], chunks: &[Chunk<'_>]) {
        let config = model.config();
        let rows = chunks.iter().map(|chunk| chunk.tokens.len()).sum();
        self.prepare(model, chunks, rows);
        let mut first = 0;
        let jobs: Vec<Job<'_>> = chunks
            .iter()
            .map(|chunk| {
                let (rows, visible) = (chunk.tokens.len(), chunk.first + 1);
                let job = Job { pages: chunk.pages, first, rows, visible };
                first += rows;
                job
            })
            .collect();
        for layer in 0..config.layers() {
            self.attend(model, slab, chunks, &jobs, layer);
            self.feed_forward(model, layer);
            self.hash(model, layer);
        }
        self.finish(model, chunks);
    }

    /// Embeds the tokens and finds the angles of their positions.
    fn prepare(&mut self, model: &Model, chunks: &[Chunk<'_>], rows: usize) {
        let config = model.config();
        let (width, half) = (config.width_padded(), config.head() / 2);
        resize(&mut self.x, rows * width);
        resize(&mut self.normed, rows * width);
        resize(&mut self.y, rows * width);
        resize(&mut self.qkv, rows * config.qkv_columns());
        // As wide as all queries: keys begin after them.
        resize(&mut self.attended, rows * config.key_offset());
        resize(&mut self.gate_up, rows * config.gate_up_columns());
        resize(&mut self.hidden, rows * config.hidden_padded());
        resize(&mut self.cos, rows * half);
        resize(&mut self.sin, rows * half);
        self.traced.clear();
        self.layers = config.layers();
        self.leaves.resize(rows * self.layers, Digest::ZERO);
        let embedding = model.package().matrix(MatrixSlot::Embedding);
        let mut row = 0;
        for chunk in chunks {
            for (position, token) in (chunk.first as u64..).zip(chunk.tokens) {
                embedding.row_into(*token as usize, &mut self.x[row * width..][..width]);
                let angles = row * half..(row + 1) * half;
                let (cos, sin) = (&mut self.cos[angles.clone()], &mut self.sin[angles]);
                served::sincos(&config.rope_steps, position, config.rope_magnitude, cos, sin);
                self.traced.push(chunk.traced);
                row += 1;
            }
        }
    }

    /// The first half of a layer: norm, queries, keys and values, attention, residual.
    fn attend(
        &mut self,
        model: &Model,
        slab: &mut [Page],
        chunks: &[Chunk<'_>],
        jobs: &[Job<'_>],
        layer: usize,
    ) {
        let (config, backend, pool) = (model.config(), model.backend(), model.pool());
        let slot = index(layer);
        self.norm(model, VectorSlot::AttentionNorm(slot));
        self.quantised.quantise(backend, pool, &self.normed, config.width_padded(), config.group.size());
        product(backend, pool, &self.quantised, model.package().matrix(MatrixSlot::Qkv(slot)), &mut self.qkv);
        self.rotate(model, layer);
        self.store(model, slab, chunks, layer);
        let queries = Queries { values: &self.qkv, stride: config.qkv_columns(), heads: config.heads() };
        served::attention(backend, pool, slab, layer, jobs, queries, config.score_scale, &mut self.attended);
        self.quantised.quantise(backend, pool, &self.attended, config.key_offset(), config.group.size());
        product(
            backend,
            pool,
            &self.quantised,
            model.package().matrix(MatrixSlot::Output(slot)),
            &mut self.y,
        );
        self.add(model);
    }

    /// The second half of a layer: norm, gate and up, their product, down, residual.
    fn feed_forward(&mut self, model: &Model, layer: usize) {
        let (config, backend, pool) = (model.config(), model.backend(), model.pool());
        let slot = index(layer);
        self.norm(model, VectorSlot::FeedForwardNorm(slot));
        self.quantised.quantise(backend, pool, &self.normed, config.width_padded(), config.group.size());
        product(
            backend,
            pool,
            &self.quantised,
            model.package().matrix(MatrixSlot::GateUp(slot)),
            &mut self.gate_up,
        );
        let hidden = config.hidden_padded();
        let both = &self.gate_up;
        pool.chunks(steps(both.len(), ROW_STEPS), &mut self.hidden, hidden, |row, out| {
            let (gate, up) = both[row * 2 * hidden..][..2 * hidden].split_at(hidden);
            silu_gate(backend, gate, up, out);
        });
        self.quantised.quantise(backend, pool, &self.hidden, hidden, config.group.size());
        product(backend, pool, &self.quantised, model.package().matrix(MatrixSlot::Down(slot)), &mut self.y);
        self.add(model);
    }

    /// `normed` = norm of the residual.
    fn norm(&mut self, model: &Model, slot: VectorSlot) {
        let (config, backend) = (model.config(), model.backend());
        let (stride, x) = (config.width_padded(), &self.x);
        let weights = &model.package().vector(slot)[..config.width()];
        model.pool().chunks(steps(x.len(), ROW_STEPS), &mut self.normed, stride, |row, out| {
            norm(backend, &x[row * stride..][..stride], weights, config.eps, out);
        });
    }

    /// Adds `y` to the residual.
    fn add(&mut self, model: &Model) {
        let (stride, backend, y) = (model.config().width_padded(), model.backend(), &self.y);
        model.pool().chunks(steps(y.len(), 1), &mut self.x, stride, |row, x| {
            add(backend, x, &y[row * stride..][..stride]);
        });
    }

    /// Biases, norms and rotations of queries and keys.
    fn rotate(&mut self, model: &Model, layer: usize) {
        let (config, backend, package) = (model.config(), model.backend(), model.package());
        let slot = index(layer);
        let half = config.head() / 2;
        let bias = config.qkv_bias.then(|| package.vector(VectorSlot::QkvBias(slot)));
        let norms = config.qk_norm.then(|| {
            (package.vector(VectorSlot::QueryNorm(slot)), package.vector(VectorSlot::KeyNorm(slot)))
        });
        let (cos, sin) = (&self.cos, &self.sin);
        let work = steps(self.qkv.len(), ROW_STEPS);
        model.pool().chunks(work, &mut self.qkv, config.qkv_columns(), |row, qkv| {
            if let Some(bias) = bias {
                let columns = bias.len();
                add(backend, &mut qkv[..columns], bias);
            }
            let rotated = &mut qkv[..config.value_offset()];
            if let Some((query, key)) = norms {
                let (queries, keys) = rotated.split_at_mut(config.key_offset());
                norm_heads(model, queries, query);
                norm_heads(model, keys, key);
            }
            let angles = row * half..(row + 1) * half;
            rotate(backend, rotated, &cos[angles.clone()], &sin[angles]);
        });
    }

    /// Writes keys and values into the pages.
    fn store(&self, model: &Model, slab: &mut [Page], chunks: &[Chunk<'_>], layer: usize) {
        let (config, backend, head) = (model.config(), model.backend(), model.config().head());
        let mut rows = self.qkv.chunks_exact(config.qkv_columns());
        for chunk in chunks {
            // Rows are taken last: a zip that ends takes nothing from what comes after it.
            for (position, row) in (chunk.first..chunk.first + chunk.tokens.len()).zip(&mut rows) {
                let page = &mut slab[chunk.pages[position / PAGE_POSITIONS] as usize];
                let (keys, values) = (&row[config.key_offset()..], &row[config.value_offset()..]);
                for kv_head in 0..config.kv_heads() {
                    let part = kv_head * head..(kv_head + 1) * head;
                    let slot = position % PAGE_POSITIONS;
                    page.store(backend, layer, kv_head, slot, &keys[part.clone()], &values[part]);
                }
            }
        }
    }

    /// Makes the trace leaves of a layer.
    fn hash(&mut self, model: &Model, layer: usize) {
        if !self.traced.contains(&true) {
            return;
        }
        let (width, stride) = (model.config().width(), model.config().width_padded());
        let (x, traced, hasher) = (&self.x, &self.traced, model.leaf_hasher());
        model.pool().chunks(steps(x.len(), HASH_STEPS), &mut self.leaves, self.layers, |row, leaves| {
            if traced[row] {
                leaves[layer] = hasher.leaf(&x[row * stride..][..width]);
            }
        });
    }

    /// Makes the final states of the wanted rows.
    fn finish(&mut self, model: &Model, chunks: &[Chunk<'_>]) {
        let (config, stride) = (model.config(), model.config().width_padded());
        let weights = &model.package().vector(VectorSlot::FinalNorm)[..config.width()];
        let wanted = chunks.iter().map(|chunk| chunk.tokens.len() - chunk.wanted).sum::<usize>();
        resize(&mut self.states, wanted * stride);
        let mut states = self.states.chunks_exact_mut(stride);
        let mut first = 0;
        for chunk in chunks {
            for (row, state) in (first + chunk.wanted..first + chunk.tokens.len()).zip(&mut states) {
                norm(model.backend(), &self.x[row * stride..][..stride], weights, config.eps, state);
            }
            first += chunk.tokens.len();
        }
    }

    /// The trace leaves of a row of the last run, if they were asked for.
    pub(crate) fn leaves(&self, row: usize) -> &[Digest] {
        &self.leaves[row * self.layers..][..self.layers]
    }

    /// The trace node of a row of the last run.
    pub(crate) fn node(&self, row: usize) -> Digest {
        trace::node(self.leaves(row))
    }

    /// The final state of a wanted row of the last run, as wide as the model.
    pub(crate) fn state(&self, config: &Config, wanted: usize) -> &[f32] {
        &self.states[wanted * config.width_padded()..][..config.width()]
    }

    /// The fixed-point logits of some wanted rows of the last run, one vocabulary after the other.
    pub(crate) fn logits(&mut self, model: &Model, wanted: &[usize]) -> &[i32] {
        model.pool().run(|| self.logits_inside(model, wanted));
        &self.fixed
    }

    fn logits_inside(&mut self, model: &Model, wanted: &[usize]) {
        let (config, backend, pool) = (model.config(), model.backend(), model.pool());
        let (stride, padded, vocabulary) =
            (config.width_padded(), config.vocabulary_padded(), config.vocabulary());
        resize(&mut self.normed, wanted.len() * stride);
        for (row, wanted) in self.normed.chunks_exact_mut(stride).zip(wanted) {
            row.copy_from_slice(&self.states[wanted * stride..][..stride]);
        }
        self.quantised.quantise(backend, pool, &self.normed, stride, config.group.size());
        resize(&mut self.logits, wanted.len() * padded);
        self.fixed.resize(wanted.len() * vocabulary, 0);
        product(backend, pool, &self.quantised, model.package().matrix(MatrixSlot::Head), &mut self.logits);
        let logits = &self.logits;
        pool.chunks(steps(logits.len(), 1), &mut self.fixed, vocabulary, |row, out| {
            fixed_logits(backend, &logits[row * padded..][..vocabulary], out);
        });
    }
}

/// Norms each head of a row in place.
fn norm_heads(model: &Model, heads: &mut [f32], weights: &[f32]) {
    let mut normed = [0.0; MAX_HEAD];
    let normed = &mut normed[..weights.len()];
    for head in heads.chunks_exact_mut(weights.len()) {
        norm(model.backend(), head, weights, model.config().eps, normed);
        head.copy_from_slice(normed);
    }
}

/// Sets the length of a buffer whose elements will all be written.
fn resize(buffer: &mut Vec<f32>, length: usize) {
    buffer.resize(length, 0.0);
}

/// A cost in multiply-adds.
fn steps(elements: usize, each: usize) -> u64 {
    elements as u64 * each as u64
}

/// A layer as packages count.
fn index(layer: usize) -> u32 {
    u32::try_from(layer).expect("a model has few layers")
}
