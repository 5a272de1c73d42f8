//! Round trips: every element of a package is the one of the source.

use super::*;
use freeway_models::{MatrixSlot, Package, Slot, Source, VectorSlot};

/// Compares a matrix of a package with rows of the float model; every other element must be zero.
fn check(package: &Package, source: &Source, slot: MatrixSlot, parts: &[(usize, Slot)]) {
    let (config, matrix) = (package.config(), package.matrix(slot));
    let mut expected = vec![None; matrix.columns()];
    for &(first, tensor) in parts {
        let values = source.tensor(tensor).unwrap();
        let columns = tensor.shape(config).1;
        for (row, values) in values.chunks(columns).enumerate() {
            expected[first + row] = Some(values.to_vec());
        }
    }
    let mut row = vec![f32::NAN; matrix.inner()];
    for (column, expected) in expected.iter().enumerate() {
        matrix.row_into(column, &mut row);
        let expected = expected.as_deref().unwrap_or_default();
        let group = config.group.within(matrix.inner());
        for (k, &value) in row.iter().enumerate() {
            let wanted = expected.get(k).copied().unwrap_or(0.0);
            let peers = expected.chunks(group).nth(k / group).unwrap_or_default();
            let peak = peers.iter().fold(0.0f32, |peak, value| peak.max(value.abs()));
            // Half a step, and what rounding the scale to a half may move the peak by.
            let error = peak / 127.0 * 0.5 + peak / 2_000.0;
            assert!((value - wanted).abs() <= error, "{slot} column {column}, {k}: {value} is not {wanted}");
        }
    }
}

#[test]
fn packages_hold_what_the_source_has() {
    for recipe in Recipe::families() {
        for group in Group::ALL {
            let (package, source) = (recipe.package(group).unwrap(), recipe.source());
            package.verify(&mut |_| ()).unwrap();
            let config = package.config();
            assert_eq!(config.group, group);
            assert_eq!(package.tokenizer_json(), recipe.tokenizer_json().as_bytes());
            check(&package, &source, MatrixSlot::Embedding, &[(0, Slot::Embedding)]);
            check(&package, &source, MatrixSlot::Head, &[(0, Slot::Head)]);
            for layer in 0..config.layers {
                let qkv = [
                    (0, Slot::Query(layer)),
                    (config.key_offset(), Slot::Key(layer)),
                    (config.value_offset(), Slot::Value(layer)),
                ];
                check(&package, &source, MatrixSlot::Qkv(layer), &qkv);
                check(&package, &source, MatrixSlot::Output(layer), &[(0, Slot::Output(layer))]);
                let both = [(0, Slot::Gate(layer)), (config.hidden_padded(), Slot::Up(layer))];
                check(&package, &source, MatrixSlot::GateUp(layer), &both);
                check(&package, &source, MatrixSlot::Down(layer), &[(0, Slot::Down(layer))]);
                let norm = source.tensor(Slot::FeedForwardNorm(layer)).unwrap();
                assert_eq!(package.vector(VectorSlot::FeedForwardNorm(layer)), norm);
                if config.qkv_bias {
                    let mut bias = source.tensor(Slot::QueryBias(layer)).unwrap();
                    bias.extend(source.tensor(Slot::KeyBias(layer)).unwrap());
                    bias.extend(source.tensor(Slot::ValueBias(layer)).unwrap());
                    assert_eq!(package.vector(VectorSlot::QkvBias(layer)), bias);
                }
                if config.qk_norm {
                    let norm = source.tensor(Slot::KeyNorm(layer)).unwrap();
                    assert_eq!(package.vector(VectorSlot::KeyNorm(layer)), norm);
                }
            }
        }
    }
}

#[test]
fn files_and_memory_are_the_same() {
    let (scratch, path) = folder(&Recipe::llama(), Dtype::F32);
    let packed = packed(&path, scratch.path(), Group::G32);
    assert_eq!(packed.path, scratch.path().join(format!("{}.freeway", packed.root)));
    let opened = Package::open(&packed.path).unwrap();
    assert_eq!((opened.root(), opened.bytes()), (packed.root, packed.bytes));
    assert_eq!(opened.name(), "test");
    let known = Package::open_known(&packed.path, packed.root).unwrap();
    known.verify(&mut |_| ()).unwrap();
    let memory = Package::from_bytes(&fs::read(&packed.path).unwrap()).unwrap();
    assert_eq!(memory.root(), packed.root);
    assert_eq!(memory.manifest(), opened.manifest());
    assert_eq!(opened.specials().eos.as_deref(), Some("<|im_end|>"));
    assert!(opened.chat_template().unwrap().contains("im_start"));
}

#[test]
fn the_sizes_of_the_named_recipe() {
    let config = Recipe::half_billion().config(Group::G32);
    config.validate().unwrap();
    assert_eq!(config.parameters(), 415_214_464);
}
