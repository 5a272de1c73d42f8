//! A recipe as a GGUF file of type Q8_0, quantised by the rule of packing, so that both give the same integers.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::vocabulary::{self, Kind};
use super::{CHAT_TEMPLATE, Recipe, each_part};
use crate::config::{Family, Group};
use crate::quantise::quantise;
use crate::rope::{self, Scaling};
use crate::slot::Slot;
use crate::source::gguf::{ALIGNMENT, BLOCK, BLOCK_BYTES, MAGIC, Q8_0};

/// Numbers of the types of values.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// Metadata on their way into a header.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    count: u64,
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

impl Keys {
    fn key(&mut self, key: &str, kind: u32) -> &mut Vec<u8> {
        self.count += 1;
        text(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
        &mut self.bytes
    }

    fn number(&mut self, key: &str, value: u32) {
        self.key(key, U32).extend(value.to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f64) {
        self.key(key, F32).extend((value as f32).to_le_bytes());
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.key(key, BOOL).push(value.into());
    }

    fn text(&mut self, key: &str, value: &str) {
        text(self.key(key, TEXT), value);
    }

    fn texts<T: AsRef<str>>(&mut self, key: &str, values: impl ExactSizeIterator<Item = T>) {
        let bytes = self.key(key, ARRAY);
        bytes.extend(TEXT.to_le_bytes());
        bytes.extend((values.len() as u64).to_le_bytes());
        values.for_each(|value| text(bytes, value.as_ref()));
    }

    fn numbers(&mut self, key: &str, values: impl ExactSizeIterator<Item = i32>) {
        let bytes = self.key(key, ARRAY);
        bytes.extend(I32.to_le_bytes());
        bytes.extend((values.len() as u64).to_le_bytes());
        bytes.extend(values.flat_map(i32::to_le_bytes));
    }
}

impl Recipe {
    /// Writes a GGUF file: matrices of type Q8_0, vectors of type F32.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or rows are no whole number of blocks.
    pub fn write_gguf(&self, path: &Path) -> io::Result<()> {
        let config = self.config(Group::G32);
        let slots: Vec<_> = Slot::all(&config).collect();
        let ragged = |slot: &Slot| !slot.is_vector() && !slot.shape(&config).1.is_multiple_of(BLOCK);
        if let Some(slot) = slots.iter().find(|slot| ragged(slot)) {
            let problem = format!("rows of {slot} are no whole number of blocks of {BLOCK}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let factors = self.rope_factors();
        let keys = self.keys();
        let mut table = Vec::new();
        let mut offset = 0u64;
        let mut entry = |name: &str, shape: &[usize], kind: u32, bytes: usize| {
            text(&mut table, name);
            table.extend((shape.len() as u32).to_le_bytes());
            shape.iter().for_each(|&length| table.extend((length as u64).to_le_bytes()));
            table.extend(kind.to_le_bytes());
            table.extend(offset.to_le_bytes());
            offset += (bytes as u64).next_multiple_of(ALIGNMENT);
        };
        if let Some(factors) = &factors {
            entry("rope_freqs.weight", &[factors.len()], 0, 4 * factors.len());
        }
        for slot in &slots {
            let (rows, columns) = slot.shape(&config);
            if slot.is_vector() {
                entry(&slot.gguf(), &[columns], 0, 4 * columns);
            } else {
                entry(&slot.gguf(), &[columns, rows], Q8_0, rows * columns / BLOCK * BLOCK_BYTES);
            }
        }
        let mut file = Counted { file: BufWriter::with_capacity(1 << 20, File::create(path)?), count: 0 };
        file.write_all(&MAGIC)?;
        file.write_all(&3u32.to_le_bytes())?;
        file.write_all(&((slots.len() + usize::from(factors.is_some())) as u64).to_le_bytes())?;
        file.write_all(&keys.count.to_le_bytes())?;
        file.write_all(&keys.bytes)?;
        file.write_all(&table)?;
        file.align()?;
        if let Some(factors) = factors {
            file.floats(&factors)?;
        }
        for slot in slots {
            if slot.is_vector() {
                each_part(self, slot, |_, values| file.floats(values))?;
            } else {
                self.write_matrix(slot, &mut file)?;
            }
        }
        file.flush()
    }

    fn write_matrix(&self, slot: Slot, file: &mut Counted) -> io::Result<()> {
        let (rows, columns) = slot.shape(&self.config(Group::G32));
        let turned = self.family == Family::Llama && matches!(slot, Slot::Query(_) | Slot::Key(_));
        let (head, mut values, mut weights) = (self.head as usize, vec![0.0; columns], [0; BLOCK]);
        for row in 0..rows {
            // Neighbours turn together: what comes from the first half, then its partner from the second.
            let within = row % head;
            let row = if turned { row - within + within % 2 * (head / 2) + within / 2 } else { row };
            self.row(slot, row, &mut values);
            for block in values.chunks_exact(BLOCK) {
                let scale = quantise(block, &mut weights).expect("synthetic weights are small");
                file.write_all(&scale.to_le_bytes())?;
                file.write_all(&weights.map(i8::cast_unsigned))?;
            }
        }
        file.align()
    }

    /// Factors of frequencies, for scalings that the format's metadata have no words for.
    fn rope_factors(&self) -> Option<Vec<f32>> {
        if !matches!(self.scaling, Scaling::Llama3 { .. } | Scaling::PerPair(_)) {
            return None;
        }
        let steps = |scaling: &Scaling| {
            let steps = rope::steps(self.rope_base, self.head as usize, scaling);
            steps.expect("a recipe has a base and a scaling that make sense").0
        };
        let (plain, scaled) = (steps(&Scaling::None), steps(&self.scaling));
        Some(
            plain
                .iter()
                .zip(&scaled)
                .map(|(&plain, &scaled)| (plain as f64 / scaled as f64) as f32)
                .collect(),
        )
    }

    fn keys(&self) -> Keys {
        let mut keys = Keys::default();
        let architecture = self.family.to_string();
        keys.text("general.architecture", &architecture);
        keys.text("general.name", &self.name);
        keys.number("general.file_type", 7);
        keys.number("general.quantization_version", 2);
        for (name, value) in [
            ("vocab_size", self.vocabulary),
            ("context_length", self.context),
            ("embedding_length", self.width),
            ("block_count", self.layers),
            ("feed_forward_length", self.hidden),
            ("rope.dimension_count", self.head),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("attention.key_length", self.head),
            ("attention.value_length", self.head),
        ] {
            keys.number(&format!("{architecture}.{name}"), value);
        }
        keys.float(&format!("{architecture}.attention.layer_norm_rms_epsilon"), 1e-5);
        keys.float(&format!("{architecture}.rope.freq_base"), self.rope_base);
        let scaling = |name: &str| format!("{architecture}.rope.scaling.{name}");
        match self.scaling {
            Scaling::Linear { factor } => {
                keys.text(&scaling("type"), "linear");
                keys.float(&scaling("factor"), factor);
            }
            Scaling::Yarn { factor, original, .. } => {
                keys.text(&scaling("type"), "yarn");
                keys.float(&scaling("factor"), factor);
                keys.number(&scaling("original_context_length"), original as u32);
            }
            Scaling::None | Scaling::Llama3 { .. } | Scaling::PerPair(_) => {}
        }
        let tokens = vocabulary::tokens(self.vocabulary);
        keys.text("tokenizer.ggml.model", "gpt2");
        keys.text("tokenizer.ggml.pre", "gpt-2");
        keys.texts("tokenizer.ggml.tokens", tokens.iter().map(|(token, _)| token));
        keys.numbers(
            "tokenizer.ggml.token_type",
            tokens.iter().map(|(_, kind)| match kind {
                Kind::Normal => 1,
                Kind::Special => 3,
                Kind::Unused => 5,
            }),
        );
        keys.texts("tokenizer.ggml.merges", vocabulary::merges());
        keys.number("tokenizer.ggml.bos_token_id", vocabulary::bos(self.vocabulary));
        keys.number("tokenizer.ggml.eos_token_id", vocabulary::eos(self.vocabulary));
        keys.flag("tokenizer.ggml.add_bos_token", false);
        keys.text("tokenizer.chat_template", CHAT_TEMPLATE);
        keys
    }
}

/// Knows how many bytes were written, for alignment.
struct Counted {
    file: BufWriter<File>,
    count: u64,
}

impl Counted {
    fn align(&mut self) -> io::Result<()> {
        let gap = self.count.next_multiple_of(ALIGNMENT) - self.count;
        self.write_all(&[0; ALIGNMENT as usize][..gap as usize])
    }

    fn floats(&mut self, values: &[f32]) -> io::Result<()> {
        for value in values {
            self.write_all(&value.to_le_bytes())?;
        }
        self.align()
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
