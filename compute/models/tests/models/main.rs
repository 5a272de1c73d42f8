//! Packages: what goes in comes out, the same everywhere, and nothing hostile gets through.

#![allow(clippy::unwrap_used, reason = "a test ends where a value is missing")]

mod folders;
mod ggufs;
mod golden;
mod hostile;
mod libraries;
mod proofs;
mod trips;

use std::fs;
use std::path::{Path, PathBuf};

use freeway_models::synthetic::Recipe;
use freeway_models::{Dtype, Group, PackOptions, Packed, pack};
use tempfile::TempDir;

/// A folder that is removed after the test.
fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Packs with a name, so that the folder's does not matter.
fn packed(source: &Path, output: &Path, group: Group) -> Packed {
    let options = PackOptions {
        name: Some("test".to_owned()),
        group,
        output: Some(output.to_owned()),
        ..PackOptions::default()
    };
    pack(source, &options, &mut |_| ()).unwrap()
}

/// What packing says about a source that it refuses. Nothing may be left behind.
fn refused(source: &Path, options: &PackOptions) -> String {
    let output = scratch();
    let options = PackOptions { output: Some(output.path().to_owned()), ..options.clone() };
    let error = pack(source, &options, &mut |_| ()).unwrap_err().to_string();
    assert_eq!(fs::read_dir(output.path()).unwrap().count(), 0, "a failed packing leaves nothing: {error}");
    error
}

/// A recipe as a folder with one file of weights.
fn folder(recipe: &Recipe, dtype: Dtype) -> (TempDir, PathBuf) {
    let scratch = scratch();
    let path = scratch.path().join("model");
    recipe.write_folder(&path, dtype, 1).unwrap();
    (scratch, path)
}

/// Changes a JSON file.
fn edit(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}
