//! A recipe as a Hugging Face folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{CHAT_TEMPLATE, Recipe, each_part, vocabulary};
use crate::config::{Family, Group};
use crate::half;
use crate::rope::Scaling;
use crate::slot::Slot;
use crate::source::checkpoint::Dtype;

impl Recipe {
    /// Writes a Hugging Face folder, in `shards` files of weights. Numbers that an `F16` cannot hold are rounded.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_folder(&self, folder: &Path, dtype: Dtype, shards: usize) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let write = |name: &str, value: &Value| fs::write(folder.join(name), format!("{value:#}\n"));
        write("config.json", &self.config_json())?;
        write("generation_config.json", &json!({"eos_token_id": vocabulary::eos(self.vocabulary)}))?;
        let texts = json!({"bos_token": vocabulary::BOS, "eos_token": vocabulary::EOS, "chat_template": CHAT_TEMPLATE});
        write("tokenizer_config.json", &texts)?;
        fs::write(folder.join("tokenizer.json"), self.tokenizer_json())?;
        let slots: Vec<_> = Slot::all(&self.config(Group::default())).collect();
        if shards <= 1 {
            return self.write_tensors(&folder.join("model.safetensors"), dtype, &slots);
        }
        let mut map = Map::new();
        for (index, part) in slots.chunks(slots.len().div_ceil(shards)).enumerate() {
            let name = format!("model-{:05}-of-{shards:05}.safetensors", index + 1);
            self.write_tensors(&folder.join(&name), dtype, part)?;
            map.extend(part.iter().map(|slot| (slot.huggingface(), name.clone().into())));
        }
        write("model.safetensors.index.json", &json!({"metadata": {}, "weight_map": map}))
    }

    fn config_json(&self) -> Value {
        let architecture = match self.family {
            Family::Llama => "LlamaForCausalLM",
            Family::Qwen2 => "Qwen2ForCausalLM",
            Family::Qwen3 => "Qwen3ForCausalLM",
        };
        let scaling = match self.scaling {
            Scaling::None => Value::Null,
            Scaling::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            Scaling::Llama3 { factor, low, high, original } => json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                "original_max_position_embeddings": original,
            }),
            Scaling::Yarn { factor, original, fast, slow, magnitude, whole } => json!({
                "rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original,
                "beta_fast": fast, "beta_slow": slow, "attention_factor": magnitude, "truncate": whole,
            }),
            // This form has no words for it.
            Scaling::PerPair(_) => json!({"rope_type": "per-pair"}),
        };
        json!({
            "architectures": [architecture],
            "attention_bias": self.family == Family::Qwen2,
            "bos_token_id": vocabulary::bos(self.vocabulary),
            "eos_token_id": vocabulary::eos(self.vocabulary),
            "head_dim": self.head,
            "hidden_act": "silu",
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "max_position_embeddings": self.context,
            "model_type": self.family.to_string(),
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": 1e-5,
            "rope_scaling": scaling,
            "rope_theta": self.rope_base,
            "tie_word_embeddings": self.tied,
            "vocab_size": self.vocabulary,
        })
    }

    fn write_tensors(&self, path: &Path, dtype: Dtype, slots: &[Slot]) -> io::Result<()> {
        let config = self.config(Group::default());
        let mut header = Map::new();
        let mut offset = 0;
        for slot in slots {
            let (rows, columns) = slot.shape(&config);
            let end = offset + rows * columns * dtype.bytes();
            let shape = if slot.is_vector() { json!([columns]) } else { json!([rows, columns]) };
            let entry = json!({"dtype": dtype.name(), "shape": shape, "data_offsets": [offset, end]});
            header.insert(slot.huggingface(), entry);
            offset = end;
        }
        let mut header = Value::Object(header).to_string();
        // Tensors begin at a multiple of eight.
        header.extend(core::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        let mut bytes = Vec::new();
        for &slot in slots {
            each_part(self, slot, |_, values| {
                bytes.clear();
                match dtype {
                    Dtype::F32 => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
                    Dtype::F16 => bytes.extend(
                        values
                            .iter()
                            .flat_map(|&value| half::from_f32(value).unwrap_or(0x7bff).to_le_bytes()),
                    ),
                    Dtype::Bf16 => bytes
                        .extend(values.iter().flat_map(|&value| half::bf16_from_f32(value).to_le_bytes())),
                }
                file.write_all(&bytes)
            })?;
        }
        file.flush()
    }
}
