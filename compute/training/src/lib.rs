//! Training. Today it makes one thing: the *guide*, a small chat model that is built into Freeway, so that a fresh machine answers at
//! once. It knows Freeway, does small sums, and says honestly what it is and what it cannot know.
//!
//! # Making the guide again
//! ```text
//! cd compute/training && cargo run --release -- --out guide train
//! ```
//! learns the vocabulary, trains, and writes a folder as Hugging Face lays it out (`model.safetensors`, `config.json`,
//! `tokenizer.json`, chat template), which `freeway model pack` packs. A killed run goes on from its last checkpoint. Set
//! `RAYON_NUM_THREADS=1` for one thread. Everything random follows from one seed; the same machine type gives the same weights (the framework's
//! float sums follow the width of the processor's vectors, so another type may differ in the last bits).
//!
//! `freeway-guide ask QUESTION` answers, `freeway-guide check` puts the held-out questions (`tests/held-out.tsv`: wordings that the corpus never
//! draws) and says how many answers are sensible, `freeway-guide corpus` shows conversations. `--kind qwen3` and `--kind qwen2`
//! train smaller models of those families, for measurements on more than one architecture.
//!
//! # Rooms
//! - [`corpus`]: generates conversations from the facts in `data/` and from code, the same for the same seed; the held-out questions.
//! - [`chat`]: ChatML, exactly as trained.
//! - [`architecture`]: shapes, Hugging Face's names, first weights. [`optimiser`]: AdamW. [`decode`]: a plain float decoder.
//! - [`trainer`]: vocabulary, batches, gradients (the only file that knows the framework), the loop, files.
//!
//! To teach the guide a fact, add an intent to a file in `data/` and train again: a block of wordings and answers, described in
//! [`corpus::intents`]. What it says must be true today: `docs/protocol` and the README are the measure.
#![forbid(unsafe_code)]

pub mod architecture;
pub mod chat;
pub mod corpus;
pub mod decode;
pub mod optimiser;
pub mod trainer;
