//! Hostile files: mutated and cut packages, safetensors and GGUF files give errors, never a panic and never a wild
//! allocation.

use std::sync::OnceLock;

use super::*;
use freeway_models::{Package, PackageError, Slot, Source};
use proptest::prelude::*;

/// Bytes of a small model, in the three formats.
struct Files {
    package: Vec<u8>,
    safetensors: Vec<u8>,
    gguf: Vec<u8>,
}

fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let recipe = Recipe { layers: 1, ..Recipe::llama() };
        let scratch = scratch();
        recipe.write_folder(scratch.path(), Dtype::Bf16, 1).unwrap();
        let gguf = scratch.path().join("model.gguf");
        recipe.write_gguf(&gguf).unwrap();
        Files {
            package: recipe.package_bytes(Group::G32).unwrap(),
            safetensors: fs::read(scratch.path().join("model.safetensors")).unwrap(),
            gguf: fs::read(gguf).unwrap(),
        }
    })
}

/// A change of a file: bytes overwritten near the beginning or anywhere, and an end.
#[derive(Clone, Debug)]
struct Mutation {
    writes: Vec<(usize, Vec<u8>)>,
    keep: Option<usize>,
}

fn mutation(header: usize, length: usize) -> impl Strategy<Value = Mutation> {
    let special = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..9),
        Just(vec![0xff; 8]),
        Just(vec![0; 8]),
        Just(vec![0xff, 0xff, 0xff, 0x7f]),
        Just(u64::MAX.rotate_right(1).to_le_bytes().to_vec()),
    ];
    let write = (prop_oneof![3 => 0..header, 1 => 0..length], special);
    (proptest::collection::vec(write, 0..4), proptest::option::of(0..length))
        .prop_map(|(writes, keep)| Mutation { writes, keep })
}

fn mutated(bytes: &[u8], mutation: &Mutation) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, write) in &mutation.writes {
        let end = (at + write.len()).min(bytes.len());
        bytes[*at..end].copy_from_slice(&write[..end - at]);
    }
    bytes.truncate(mutation.keep.unwrap_or(usize::MAX));
    bytes
}

/// Reads everything of a source.
fn read(path: &Path) {
    if let Ok(source) = Source::open(path) {
        for slot in Slot::all(source.config()) {
            let _ = source.tensor(slot);
        }
        let options = PackOptions { output: Some(path.with_extension("out")), ..PackOptions::default() };
        let _ = pack(path, &options, &mut |_| ());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packages(mutation in mutation(2_000, files().package.len())) {
        let bytes = mutated(&files().package, &mutation);
        let same = bytes == files().package;
        if let Ok(package) = Package::from_bytes(&bytes) {
            prop_assert!(same || package.root() != Package::from_bytes(&files().package).unwrap().root());
            let _ = package.verify(&mut |_| ());
        }
    }

    #[test]
    fn safetensors_files(mutation in mutation(1_500, files().safetensors.len())) {
        let scratch = scratch();
        Recipe { layers: 1, ..Recipe::llama() }.write_folder(scratch.path(), Dtype::Bf16, 1).unwrap();
        fs::write(scratch.path().join("model.safetensors"), mutated(&files().safetensors, &mutation)).unwrap();
        read(scratch.path());
    }

    #[test]
    fn gguf_files(mutation in mutation(1_500, files().gguf.len())) {
        let scratch = scratch();
        let path = scratch.path().join("model.gguf");
        fs::write(&path, mutated(&files().gguf, &mutation)).unwrap();
        read(&path);
    }
}

#[test]
fn every_cut_of_a_package_is_refused() {
    let bytes = &files().package;
    for length in (0..2_000).chain((2_000..bytes.len()).step_by(997)) {
        assert!(Package::from_bytes(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(Package::from_bytes(&longer), Err(PackageError::Length { .. })));
}

#[test]
fn heads_of_packages_are_checked() {
    let with = |at: usize, byte: u8| {
        let mut bytes = files().package.clone();
        bytes[at] = byte;
        Package::from_bytes(&bytes).unwrap_err()
    };
    assert!(matches!(with(0, b'x'), PackageError::Magic));
    assert!(matches!(with(8, 2), PackageError::Version(2)));
    for at in [12, 19, 20, 23] {
        assert!(matches!(with(at, 1), PackageError::Decode(_)), "byte {at}");
    }
    assert!(matches!(Package::from_bytes(b""), Err(PackageError::Magic)));
    assert!(matches!(Package::from_bytes(b"FWMODEL\n"), Err(PackageError::Length { .. })));
}

/// What packing says about a folder whose safetensors file has this header, and `room` bytes after it.
fn headed(header: &str, room: usize) -> String {
    let (_scratch, path) = folder(&Recipe::llama(), Dtype::Bf16);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + room, 0);
    fs::write(path.join("model.safetensors"), bytes).unwrap();
    refused(&path, &PackOptions::default())
}

#[test]
fn headers_of_safetensors_are_checked() {
    assert!(headed("[]", 0).contains("no JSON object"));
    assert!(headed(&"[".repeat(1 << 20), 0).contains("no JSON object"));
    assert!(headed("{}", 0).contains("model.embed_tokens.weight is missing"));
    assert!(headed(r#"{"a":{}}"#, 0).contains("malformed"));
    assert!(headed(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#, 9).contains("malformed"));
    assert!(headed(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4).contains("malformed"));
    assert!(headed(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4).contains("cut off"));
    assert!(headed(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 3).contains("cut off"));
    assert!(
        headed(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4).contains("shape and type")
    );
    let large = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#;
    assert!(headed(large, 0).contains("shape and type"));
    let overlap = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
        "b":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}}"#;
    assert!(headed(overlap, 9).contains("overlap"));
    let (_scratch, path) = folder(&Recipe::llama(), Dtype::Bf16);
    fs::write(path.join("model.safetensors"), u64::MAX.to_le_bytes()).unwrap();
    assert!(refused(&path, &PackOptions::default()).contains("header would have"));
    fs::write(path.join("model.safetensors"), b"\x05").unwrap();
    assert!(refused(&path, &PackOptions::default()).contains("first 8 bytes"));
    fs::remove_file(path.join("model.safetensors")).unwrap();
    assert!(refused(&path, &PackOptions::default()).contains("there is no model.safetensors"));
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let (_scratch, path) = folder(&Recipe::llama(), Dtype::F32);
    let file = path.join("model.safetensors");
    let good = fs::read(&file).unwrap();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut bytes = good.clone();
        // The embedding is the first tensor.
        let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[start + 4 * 777..][..4].copy_from_slice(&value.to_le_bytes());
        fs::write(&file, bytes).unwrap();
        let error = refused(&path, &PackOptions::default());
        assert!(error.contains("model.embed_tokens.weight") && error.contains("element 777"), "{error}");
    }
    let mut bytes = good;
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[start + 4 * 777..][..4].copy_from_slice(&1e30f32.to_le_bytes());
    fs::write(&file, bytes).unwrap();
    let error = refused(&path, &PackOptions::default());
    assert!(error.contains("1e30 in row 8"), "{error}");
}

#[test]
fn other_types_and_tensors_are_named() {
    let rename = |from: &str, to: &str| {
        let (_scratch, path) = folder(&Recipe::llama(), Dtype::F32);
        let file = path.join("model.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        fs::write(&file, bytes).unwrap();
        refused(&path, &PackOptions::default())
    };
    let error = rename(r#""dtype":"F32""#, r#""dtype":"I32""#);
    assert!(error.contains("the type I32; F32, F16 and BF16 are read"), "{error}");
    let error = rename("layers.1.mlp.up_proj.weight", "layers.1.mlp.up_proj.weighx");
    assert!(error.contains("up_proj.weight is missing"), "{error}");
    // A tensor more than the model has.
    let (_scratch, path) = folder(&Recipe::qwen2(), Dtype::F32);
    edit(&path.join("config.json"), |json| {
        json["architectures"] = serde_json::json!(["LlamaForCausalLM"]);
        json["attention_bias"] = serde_json::json!(false);
    });
    let error = refused(&path, &PackOptions::default());
    assert!(error.contains("bias belongs to no model that is supported"), "{error}");
}

#[test]
fn indices_of_shards_are_checked() {
    let scratch = scratch();
    Recipe::llama().write_folder(scratch.path(), Dtype::Bf16, 3).unwrap();
    let index = scratch.path().join("model.safetensors.index.json");
    let good = fs::read(&index).unwrap();
    let with = |value: serde_json::Value| {
        fs::write(&index, &good).unwrap();
        edit(&index, |json| json["weight_map"]["model.norm.weight"] = value);
        refused(scratch.path(), &PackOptions::default())
    };
    for name in ["../x.safetensors", "/x.safetensors", ".x.safetensors", "x.bin", ""] {
        assert!(with(name.into()).contains("no name of a safetensors file"), "{name}");
    }
    assert!(with("none.safetensors".into()).contains("there is no none.safetensors"));
    assert!(with("model-00001-of-00003.safetensors".into()).contains("model.norm.weight is missing"));
    fs::write(&index, b"{}").unwrap();
    assert!(refused(scratch.path(), &PackOptions::default()).contains("weight_map"));
}
