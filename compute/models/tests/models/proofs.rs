//! Bounds: real models pass, and a crafted one that could overflow does not.

use super::*;
use freeway_models::{Package, PackageError};

#[test]
fn deep_models_with_large_norms_pass() {
    let deep = Recipe { layers: 24, width: 256, heads: 8, hidden: 704, ..Recipe::llama() };
    for norm_gain in [0.01, 1.0, 30.0] {
        for recipe in [
            Recipe { norm_gain, ..deep.clone() },
            Recipe { norm_gain, layers: 24, ..Recipe::qwen2() },
            Recipe { norm_gain, layers: 24, ..Recipe::qwen3() },
        ] {
            recipe.package(Group::G32).unwrap().verify(&mut |_| ()).unwrap();
        }
    }
}

#[test]
fn crafted_weights_are_refused() {
    for (norm_gain, words) in [(1e20, "could reach"), (1e12, "gate times up"), (1e38, "could reach")] {
        let recipe = Recipe { norm_gain, ..Recipe::llama() };
        let package = recipe.package(Group::G32).unwrap();
        let error = package.verify(&mut |_| ()).unwrap_err();
        assert!(matches!(error, PackageError::Unbounded { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    // Norms of queries and keys make scores, and nothing else here.
    let recipe = Recipe { norm_gain: 1e17, ..Recipe::qwen3() };
    assert!(recipe.package(Group::Whole).unwrap().verify(&mut |_| ()).is_err());
}

#[test]
fn packing_refuses_them_too() {
    let (_scratch, path) = folder(&Recipe { norm_gain: 1e20, ..Recipe::llama() }, Dtype::F32);
    assert!(refused(&path, &PackOptions::default()).contains("could reach"));
}

/// The package of a recipe with one byte changed, at an offset from the first match of `find` in its weights.
fn changed(change: impl FnOnce(&Package, &mut Vec<u8>)) -> PackageError {
    let mut bytes = Recipe::llama().package_bytes(Group::G32).unwrap();
    let package = Package::from_bytes(&bytes).unwrap();
    change(&package, &mut bytes);
    Package::from_bytes(&bytes).and_then(|package| package.verify(&mut |_| ())).unwrap_err()
}

/// Where tensors begin in the file.
fn base(package: &Package) -> usize {
    package.bytes() as usize
        - (package.manifest().tokenizer.offset + package.manifest().tokenizer.length) as usize
}

#[test]
fn every_weight_is_looked_at() {
    for index in 0..Recipe::llama().package(Group::G32).unwrap().manifest().tensors.len() {
        let entry = |package: &Package| package.manifest().tensors[index];
        if Recipe::llama().package(Group::G32).map(|package| entry(&package).scales_length).unwrap() == 0 {
            let error = changed(|package, bytes| {
                let at = base(package) + entry(package).offset as usize + 3;
                bytes[at] = 0x7f;
                bytes[at - 1] = 0xff;
            });
            assert!(matches!(error, PackageError::NotFinite { .. }), "{error}");
            continue;
        }
        let error = changed(|package, bytes| bytes[base(package) + entry(package).offset as usize] = 0x80);
        assert!(matches!(error, PackageError::Weight { .. }), "{error}");
        for high in [0x7c, 0x80, 0xff] {
            let error = changed(|package, bytes| {
                bytes[base(package) + entry(package).scales_offset as usize + 1] = high;
            });
            assert!(matches!(error, PackageError::Scale { .. }), "{error}");
        }
        // The last element of the last column is padding in every matrix of this model but `gate and up`'s inner one.
        let error = changed(|package, bytes| {
            let entry = entry(package);
            bytes[base(package) + (entry.offset + entry.length) as usize - 1] = 1;
        });
        assert!(matches!(error, PackageError::Padding(_)), "{error}");
    }
}
