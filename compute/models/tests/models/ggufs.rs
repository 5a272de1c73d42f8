//! GGUF files: blocks are taken as they are, in our order of heads.

use super::*;
use freeway_models::{MatrixSlot, Package, Scaling, Slot, Source};

fn file(recipe: &Recipe) -> (TempDir, PathBuf) {
    let scratch = scratch();
    let path = scratch.path().join("model.gguf");
    recipe.write_gguf(&path).unwrap();
    (scratch, path)
}

#[test]
fn integers_are_those_of_a_packed_folder() {
    for recipe in Recipe::families() {
        let (scratch, path) = file(&recipe);
        let from_file = Package::open(&packed(&path, scratch.path(), Group::G32).path).unwrap();
        let made = recipe.package(Group::G32).unwrap();
        let config = made.config();
        assert_eq!(from_file.config(), &freeway_models::Config { name: "test".to_owned(), ..config.clone() });
        let mut slots = vec![MatrixSlot::Embedding, MatrixSlot::Head];
        for layer in 0..config.layers {
            slots.extend([MatrixSlot::Qkv(layer), MatrixSlot::Output(layer)]);
            slots.extend([MatrixSlot::GateUp(layer), MatrixSlot::Down(layer)]);
        }
        for slot in slots {
            let (ours, theirs) = (made.matrix(slot), from_file.matrix(slot));
            for column in 0..ours.columns() {
                for k in 0..ours.inner() {
                    assert_eq!(ours.get(column, k), theirs.get(column, k), "{slot} column {column}, {k}");
                }
                for group in 0..ours.shape().groups() {
                    assert_eq!(ours.scale(column, group), theirs.scale(column, group));
                }
            }
        }
        // The tokenizer was made from metadata, and has the same tokens.
        let vocabulary = |json: &[u8]| {
            let value: serde_json::Value = serde_json::from_slice(json).unwrap();
            (value["model"]["vocab"].clone(), value["model"]["merges"].clone(), value["added_tokens"].clone())
        };
        assert_eq!(vocabulary(from_file.tokenizer_json()), vocabulary(made.tokenizer_json()));
        assert_eq!(from_file.specials(), made.specials());
        assert_eq!(from_file.chat_template(), made.chat_template());
    }
}

#[test]
fn floats_of_a_file_are_close_to_those_it_was_made_from() {
    let recipe = Recipe::llama();
    let (_scratch, path) = file(&recipe);
    let (read, made) = (Source::open(&path).unwrap(), recipe.source());
    for slot in [Slot::Query(0), Slot::Key(1), Slot::Value(1), Slot::FinalNorm, Slot::Embedding] {
        let (read, made) = (read.tensor(slot).unwrap(), made.tensor(slot).unwrap());
        let peak = made.iter().fold(0.0f32, |peak, value| peak.max(value.abs()));
        assert!(read.iter().zip(&made).all(|(read, made)| (read - made).abs() <= peak / 200.0), "{slot}");
    }
}

#[test]
fn scalings_survive() {
    for scaling in [
        Scaling::Linear { factor: 4.0 },
        Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8_192.0 },
        Scaling::Yarn { factor: 4.0, original: 128.0, fast: 32.0, slow: 1.0, magnitude: None, whole: true },
    ] {
        let recipe = Recipe { scaling, ..Recipe::llama() };
        let (_scratch, path) = file(&recipe);
        let (read, made) = (Source::open(&path).unwrap(), recipe.config(Group::G32));
        assert_eq!(read.config().rope_magnitude, made.rope_magnitude);
        for (read, made) in read.config().rope_steps.iter().zip(&made.rope_steps) {
            assert!((*read as f64 / *made as f64 - 1.0).abs() < 1e-6);
        }
    }
}

#[test]
fn other_groups_are_refused() {
    let (_scratch, path) = file(&Recipe::llama());
    let error = refused(&path, &PackOptions { group: Group::G64, ..PackOptions::default() });
    assert!(error.contains("group of 32, not 64"), "{error}");
}

/// What packing says about a file in which `from` was replaced by `to`.
fn replaced(from: &[u8], to: &[u8]) -> String {
    let (_scratch, path) = file(&Recipe::llama());
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes.splice(at..at + from.len(), to.iter().copied());
    fs::write(&path, bytes).unwrap();
    refused(&path, &PackOptions::default())
}

#[test]
fn what_is_not_supported_is_named() {
    assert!(
        replaced(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0gemma")
            .contains("\"gemma\" is not supported")
    );
    assert!(replaced(b"\x04\0\0\0\0\0\0\0gpt2", b"\x04\0\0\0\0\0\0\0bert").contains("--tokenizer"));
    assert!(replaced(b"\x05\0\0\0\0\0\0\0gpt-2", b"\x05\0\0\0\0\0\0\0gpt-9").contains("--tokenizer"));
    assert!(
        replaced(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight").contains("blk.1.ffn_up.weight is missing")
    );
    assert!(replaced(b"GGUF\x03", b"GGUF\x09").contains("version 9"));
    assert!(replaced(b"GGUF\x03", b"GGML\x03").contains("neither"));
    assert!(replaced(b"llama.block_count\x04", b"llama.block_count\x06").contains("whole number"));
}

#[test]
fn blocks_are_checked() {
    // The last block of the file belongs to the head; its scale stands 34 bytes before the end, and no padding follows.
    let (_scratch, path) = file(&Recipe::llama());
    let good = fs::read(&path).unwrap();
    for (back, byte, words) in [(1, 0x80, "-128"), (33, 0x7c, "not finite"), (33, 0xbc, "negative")] {
        let mut bytes = good.clone();
        // Rows of 96 elements: three blocks; 330 rows end at a multiple of 4, and the file at one of 32.
        let blocks = 330 * 3 * 34;
        let at = bytes.len() - usize::next_multiple_of(blocks, 32) + blocks - back;
        bytes[at] = byte;
        fs::write(&path, &bytes).unwrap();
        let error = refused(&path, &PackOptions::default());
        assert!(error.contains(words) && error.contains("output.weight"), "{error}");
    }
    fs::write(&path, &good[..good.len() - 100]).unwrap();
    assert!(refused(&path, &PackOptions::default()).contains("cut off"));
}

#[test]
fn splits_and_beginnings_become_parts_of_the_tokenizer() {
    let (scratch, path) = file(&Recipe::llama());
    let mut bytes = fs::read(&path).unwrap();
    // Of the same length each, so that nothing else moves.
    for (from, to) in [
        (&b"\x05\0\0\0\0\0\0\0gpt-2"[..], &b"\x05\0\0\0\0\0\0\0qwen2"[..]),
        (b"add_bos_token\x07\0\0\0\0", b"add_bos_token\x07\0\0\0\x01"),
    ] {
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    fs::write(&path, bytes).unwrap();
    let package = Package::open(&packed(&path, scratch.path(), Group::G32).path).unwrap();
    let tokenizer: serde_json::Value = serde_json::from_slice(package.tokenizer_json()).unwrap();
    assert_eq!(tokenizer["normalizer"]["type"], "NFC");
    let split = tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"].as_str().unwrap();
    assert!(split.contains(r"|\p{N}|"), "{split}");
    assert_eq!(tokenizer["post_processor"]["single"][0]["SpecialToken"]["id"], "<|begin|>");
    assert_eq!(tokenizer["post_processor"]["special_tokens"]["<|begin|>"]["ids"][0], 327);
}
