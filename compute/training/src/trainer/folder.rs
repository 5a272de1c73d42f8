//! Files: the folder as Hugging Face lays it out, and checkpoints.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::json;

use super::TrainError;
use super::vocabulary::Vocabulary;
use crate::architecture::{CONTEXT, Family, NORM_EPSILON, ROPE_THETA, Shape};
use crate::chat::{END, END_OF_TEXT, START, TEMPLATE};
use crate::optimiser::Optimiser;

/// Name of the checkpoint's file.
const CHECKPOINT: &str = "checkpoint.safetensors";
/// Name of the weights' file.
const WEIGHTS: &str = "model.safetensors";
/// Name of the vocabulary's file.
const TOKENIZER: &str = "tokenizer.json";

/// A folder that holds a model.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// What a killed run goes on from.
pub struct Checkpoint {
    /// Weights, in the order of the shape's tensors.
    pub weights: Vec<Vec<f32>>,
    /// State of the optimiser.
    pub optimiser: Optimiser,
    /// Target tokens and padded tokens seen so far.
    pub seen: (u64, u64),
}

impl Folder {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        std::fs::create_dir_all(path).map_err(|source| TrainError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned() })
    }

    /// Writes a whole file, or nothing of it.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let (path, part) = (self.path.join(name), self.path.join(format!("{name}.part")));
        std::fs::write(&part, bytes)
            .and_then(|()| std::fs::rename(&part, &path))
            .map_err(|source| TrainError::File { path, source })
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, TrainError> {
        let path = self.path.join(name);
        std::fs::read(&path).map_err(|source| TrainError::File { path, source })
    }

    fn content(&self, name: &str, problem: impl ToString) -> TrainError {
        TrainError::Content { path: self.path.join(name), problem: problem.to_string() }
    }

    fn write_json(&self, name: &str, value: &serde_json::Value) -> Result<(), TrainError> {
        let text = serde_json::to_string_pretty(value).map_err(|error| self.content(name, error))?;
        self.write(name, (text + "\n").as_bytes())
    }

    /// Writes everything that others need to load the model.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_model(
        &self,
        shape: &Shape,
        vocabulary: &Vocabulary,
        weights: &[Vec<f32>],
    ) -> Result<(), TrainError> {
        let begin = vocabulary.id(START);
        self.write(WEIGHTS, &self.pack(shape, &[("", weights)], None)?)?;
        self.write(TOKENIZER, vocabulary.json()?.as_bytes())?;
        self.write_json("config.json", &config(shape, vocabulary))?;
        self.write_json(
            "generation_config.json",
            &json!({
                "bos_token_id": begin, "eos_token_id": vocabulary.end, "pad_token_id": vocabulary.end_of_text,
                "do_sample": false, "max_new_tokens": 128,
            }),
        )?;
        self.write_json(
            "tokenizer_config.json",
            &json!({
                "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT, "add_bos_token": false,
                "clean_up_tokenization_spaces": false, "bos_token": START, "eos_token": END, "pad_token": END_OF_TEXT,
                "chat_template": TEMPLATE,
            }),
        )
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_checkpoint(&self, shape: &Shape, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let Checkpoint { weights, optimiser, seen } = checkpoint;
        let facts = HashMap::from([
            ("steps".to_owned(), optimiser.steps.to_string()),
            ("targets".to_owned(), seen.0.to_string()),
            ("tokens".to_owned(), seen.1.to_string()),
        ]);
        let parts =
            [("weights.", &weights[..]), ("first.", &optimiser.first), ("second.", &optimiser.second)];
        self.write(CHECKPOINT, &self.pack(shape, &parts, Some(facts))?)
    }

    /// Reads the checkpoint, if there is one.
    ///
    /// # Errors
    /// What the system says, and a file of another shape.
    pub fn read_checkpoint(&self, shape: &Shape) -> Result<Option<Checkpoint>, TrainError> {
        if !self.path.join(CHECKPOINT).exists() {
            return Ok(None);
        }
        let bytes = self.read(CHECKPOINT)?;
        let (_, head) =
            SafeTensors::read_metadata(&bytes).map_err(|error| self.content(CHECKPOINT, error))?;
        let facts = head.metadata().clone().unwrap_or_default();
        let number = |name: &str| {
            let text = facts
                .get(name)
                .ok_or_else(|| self.content(CHECKPOINT, format!("no {name}; delete it and begin anew")))?;
            text.parse::<u64>().map_err(|error| self.content(CHECKPOINT, error))
        };
        let part = |prefix| self.unpack(CHECKPOINT, shape, &bytes, prefix);
        let optimiser =
            Optimiser { steps: number("steps")? as usize, first: part("first.")?, second: part("second.")? };
        let seen = (number("targets")?, number("tokens")?);
        Ok(Some(Checkpoint { weights: part("weights.")?, optimiser, seen }))
    }

    /// Reads a model that [`Folder::write_model`] wrote.
    ///
    /// # Errors
    /// What the system says, and files of another shape.
    pub fn read_model(
        &self,
        family: Family,
        guide: bool,
    ) -> Result<(Shape, Vocabulary, Vec<Vec<f32>>), TrainError> {
        let vocabulary =
            self.read_vocabulary()?.ok_or_else(|| self.content(TOKENIZER, "is not there; train first"))?;
        let size = vocabulary.size();
        let shape = if guide { Shape::guide(size) } else { Shape::small(family, size) };
        let weights = self.unpack(WEIGHTS, &shape, &self.read(WEIGHTS)?, "")?;
        Ok((shape, vocabulary, weights))
    }

    /// Reads the vocabulary, if there is one.
    ///
    /// # Errors
    /// What the system or the tokenizer says.
    pub fn read_vocabulary(&self) -> Result<Option<Vocabulary>, TrainError> {
        if !self.path.join(TOKENIZER).exists() {
            return Ok(None);
        }
        Vocabulary::read(&self.read(TOKENIZER)?).map(Some)
    }

    /// Writes the vocabulary alone.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_vocabulary(&self, vocabulary: &Vocabulary) -> Result<(), TrainError> {
        self.write(TOKENIZER, vocabulary.json()?.as_bytes())
    }

    fn pack(
        &self,
        shape: &Shape,
        parts: &[(&str, &[Vec<f32>])],
        facts: Option<HashMap<String, String>>,
    ) -> Result<Vec<u8>, TrainError> {
        let specs = shape.tensors();
        let mut named = Vec::new();
        for (prefix, tensors) in parts {
            for (spec, values) in specs.iter().zip(*tensors) {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                named.push((format!("{prefix}{}", spec.name), spec.dimensions.clone(), bytes));
            }
        }
        let mut views = Vec::new();
        for (name, dimensions, bytes) in &named {
            let view = TensorView::new(Dtype::F32, dimensions.clone(), bytes)
                .map_err(|error| self.content(name, error))?;
            views.push((name.as_str(), view));
        }
        // Readers of Hugging Face expect to be told the framework whose layout the tensors have.
        let facts = facts.unwrap_or_else(|| HashMap::from([("format".to_owned(), "pt".to_owned())]));
        safetensors::serialize(views, Some(facts)).map_err(|error| self.content(WEIGHTS, error))
    }

    fn unpack(
        &self,
        name: &str,
        shape: &Shape,
        bytes: &[u8],
        prefix: &str,
    ) -> Result<Vec<Vec<f32>>, TrainError> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| self.content(name, error))?;
        let tensor = |spec: &crate::architecture::TensorSpec| {
            let view =
                file.tensor(&format!("{prefix}{}", spec.name)).map_err(|error| self.content(name, error))?;
            if view.dtype() != Dtype::F32 || view.shape() != spec.dimensions {
                return Err(
                    self.content(name, format!("{} has another shape; choose another folder", spec.name))
                );
            }
            let numbers = view
                .data()
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
            Ok(numbers.collect())
        };
        shape.tensors().iter().map(tensor).collect()
    }
}

fn config(shape: &Shape, vocabulary: &Vocabulary) -> serde_json::Value {
    let (class, kind) = match shape.family {
        Family::Llama => ("LlamaForCausalLM", "llama"),
        Family::Qwen2 => ("Qwen2ForCausalLM", "qwen2"),
        Family::Qwen3 => ("Qwen3ForCausalLM", "qwen3"),
    };
    json!({
        "architectures": [class], "model_type": kind, "torch_dtype": "float32",
        "vocab_size": shape.vocabulary, "hidden_size": shape.width, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "head_dim": shape.head,
        "intermediate_size": shape.hidden, "hidden_act": "silu", "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_THETA, "rope_scaling": null, "max_position_embeddings": CONTEXT,
        "attention_bias": false, "attention_dropout": 0.0, "mlp_bias": false, "tie_word_embeddings": true,
        "initializer_range": 0.02, "use_cache": true,
        "bos_token_id": vocabulary.id(START), "eos_token_id": vocabulary.end, "pad_token_id": vocabulary.end_of_text,
    })
}
