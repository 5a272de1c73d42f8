//! Hugging Face folders: same weights give the same root, and what is not supported is named.

use super::*;
use freeway_models::{Family, Slot, Source};
use serde_json::json;

#[test]
fn types_and_shards_do_not_matter() {
    for recipe in Recipe::families() {
        let scratch = scratch();
        let mut roots = Vec::new();
        for (dtype, shards) in [(Dtype::F32, 1), (Dtype::F32, 3), (Dtype::Bf16, 1), (Dtype::Bf16, 5)] {
            let path = scratch.path().join(format!("{}-{shards}", dtype as u8));
            recipe.write_folder(&path, dtype, shards).unwrap();
            let packed = packed(&path, scratch.path(), Group::G32);
            roots.push(packed.root);
        }
        assert!(roots.iter().all(|root| *root == roots[0]), "{roots:?}");
    }
}

#[test]
fn halves_are_read() {
    let recipe = Recipe::llama();
    let (_scratch, path) = folder(&recipe, Dtype::F16);
    let (read, made) = (Source::open(&path).unwrap(), recipe.source());
    assert_eq!(read.config(), &freeway_models::Config { name: "model".to_owned(), ..made.config().clone() });
    let (read, made) = (read.tensor(Slot::Up(1)).unwrap(), made.tensor(Slot::Up(1)).unwrap());
    // Numbers of bfloat16 are numbers of half unless they are tiny.
    assert!(read.iter().zip(&made).all(|(read, made)| (read - made).abs() <= 1e-7));
}

#[test]
fn an_independent_reader_agrees() {
    let recipe = Recipe::qwen2();
    let (_scratch, path) = folder(&recipe, Dtype::F32);
    let bytes = fs::read(path.join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor("model.layers.2.self_attn.v_proj.weight").unwrap();
    let expected: Vec<u8> =
        recipe.source().tensor(Slot::Value(2)).unwrap().into_iter().flat_map(f32::to_le_bytes).collect();
    assert_eq!((view.shape(), view.data()), (&[32, 96][..], &expected[..]));
}

#[test]
fn settings_are_read() {
    let (_scratch, path) = folder(&Recipe::llama(), Dtype::Bf16);
    let config = path.join("config.json");
    edit(&config, |json| {
        json["max_position_embeddings"] = json!(131_072);
        json["eos_token_id"] = json!([7, 5]);
        json["architectures"] = json!(["MistralForCausalLM"]);
    });
    edit(&path.join("tokenizer_config.json"), |json| {
        json["eos_token"] = json!({"content": "<e>"});
        json["chat_template"] =
            json!([{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]);
    });
    fs::write(path.join("LICENSE"), "free").unwrap();
    let scratch = scratch();
    let packed = packed(&path, scratch.path(), Group::G64);
    assert_eq!(packed.config.family, Family::Llama);
    assert_eq!(packed.config.context, 65_536);
    assert!(packed.notes[0].contains("131072"), "{:?}", packed.notes);
    assert_eq!(packed.config.eos, [5, 7, 329]);
    let package = freeway_models::Package::open(&packed.path).unwrap();
    assert_eq!(package.specials().eos.as_deref(), Some("<e>"));
    assert_eq!(package.chat_template(), Some("d"));
    assert_eq!(package.licence(), Some("free"));
    // A file of its own wins.
    fs::write(path.join("chat_template.jinja"), "j").unwrap();
    let packed = super::packed(&path, scratch.path(), Group::G64);
    assert_eq!(freeway_models::Package::open(&packed.path).unwrap().chat_template(), Some("j"));
}

#[test]
fn newer_rope_settings_mean_the_same() {
    let (_scratch, path) = folder(&Recipe::qwen3(), Dtype::Bf16);
    let before = Source::open(&path).unwrap().config().clone();
    edit(&path.join("config.json"), |json| {
        json["rope_parameters"] = json!({"rope_type": "default", "rope_theta": json["rope_theta"].clone()});
        json["rope_theta"] = json!(null);
    });
    assert_eq!(Source::open(&path).unwrap().config(), &before);
}

/// Whether a change of `config.json` is refused with these words.
#[track_caller]
fn refuses(key: &str, value: serde_json::Value, words: &str) {
    let (_scratch, path) = folder(&Recipe::llama(), Dtype::Bf16);
    edit(&path.join("config.json"), |json| json[key] = value);
    let error = refused(&path, &PackOptions::default());
    assert!(error.contains(words), "{key}: {error}");
}

#[test]
fn what_is_not_supported_is_named() {
    refuses("architectures", json!(["GPT2LMHeadModel"]), "\"GPT2LMHeadModel\" is not supported");
    refuses("architectures", json!(null), "supported are LlamaForCausalLM");
    refuses("attention_bias", json!(true), "attention_bias");
    refuses("mlp_bias", json!(true), "mlp_bias");
    refuses("hidden_act", json!("gelu"), "silu is");
    refuses("quantization_config", json!({}), "quantised already");
    refuses("partial_rotary_factor", json!(0.5), "partial_rotary_factor");
    refuses("layer_types", json!(["sliding_attention", "full_attention"]), "layer_types");
    for (kind, words) in [("dynamic", "dynamic"), ("longrope", "longrope"), ("linear", "factor")] {
        refuses("rope_scaling", json!({"type": kind}), words);
    }
    refuses("rope_scaling", json!(7), "object");
    refuses("rope_scaling", json!({"type": "linear", "factor": -1.0}), "positive");
    refuses("rope_theta", json!(0.5), "base of rope");
    refuses("hidden_size", json!("x"), "whole number");
    refuses("hidden_size", json!(-1), "whole number");
    refuses("hidden_size", json!(null), "given");
    refuses("hidden_size", json!(128), "has the shape");
    refuses("num_hidden_layers", json!(3), "model.layers.2");
    refuses("num_hidden_layers", json!(1), "model.layers.1");
    refuses("num_hidden_layers", json!(4_000_000_000_u32), "number of layers");
    refuses("num_attention_heads", json!(0), "number of heads");
    refuses("num_key_value_heads", json!(3), "divisor");
    refuses("head_dim", json!(40), "multiple of 16");
    refuses("head_dim", json!(u32::MAX), "head_dim");
    refuses("vocab_size", json!(300), "special token");
    refuses("rms_norm_eps", json!(0.0), "epsilon");
    refuses("max_position_embeddings", json!(0), "context");
    refuses("eos_token_id", json!("x"), "eos_token_id");
    refuses("bos_token_id", json!(330), "special token");
    refuses("tie_word_embeddings", json!("yes"), "true or false");
}

#[test]
fn sliding_windows_are_refused_where_they_are_used() {
    let (_scratch, path) = folder(&Recipe::llama(), Dtype::Bf16);
    let config = path.join("config.json");
    edit(&config, |json| json["sliding_window"] = json!(128));
    Source::open(&path).unwrap();
    edit(&config, |json| json["use_sliding_window"] = json!(true));
    assert!(refused(&path, &PackOptions::default()).contains("sliding window"));
    edit(&config, |json| {
        json["use_sliding_window"] = json!(null);
        json["architectures"] = json!(["MistralForCausalLM"]);
    });
    assert!(refused(&path, &PackOptions::default()).contains("sliding window"));
    edit(&config, |json| json["sliding_window"] = json!(512));
    Source::open(&path).unwrap();
}

#[test]
fn options_are_checked() {
    let (_scratch, path) = folder(&Recipe::llama(), Dtype::Bf16);
    let named = PackOptions { name: Some("no spaces please".to_owned()), ..PackOptions::default() };
    assert!(refused(&path, &named).contains("name"));
    let other = scratch();
    let tokenizer = other.path().join("tokenizer.json");
    fs::write(&tokenizer, Recipe { vocabulary: 400, ..Recipe::llama() }.tokenizer_json()).unwrap();
    let options = PackOptions { tokenizer: Some(tokenizer.clone()), ..PackOptions::default() };
    assert!(refused(&path, &options).contains("another model"));
    fs::remove_file(path.join("tokenizer.json")).unwrap();
    assert!(refused(&path, &PackOptions::default()).contains("--tokenizer"));
    fs::write(&tokenizer, Recipe::llama().tokenizer_json()).unwrap();
    let options = PackOptions { output: Some(other.path().join("out.freeway")), ..options };
    let packed = pack(&path, &options, &mut |_| ()).unwrap();
    assert_eq!(packed.path, other.path().join("out.freeway"));
    assert_eq!(packed.config.name, "model");
}
