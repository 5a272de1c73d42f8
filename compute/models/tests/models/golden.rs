//! Frozen roots: the format and the arithmetic of packing are rules of the protocol.

use std::fmt::Write as _;

use super::*;
use freeway_models::Scaling;

/// Set to 1 when the tests are built, this variable makes them rewrite their file.
const UPDATE: Option<&str> = option_env!("FREEWAY_UPDATE_GOLDEN");

fn recipes() -> Vec<Recipe> {
    let scalings = [
        Scaling::Linear { factor: 4.0 },
        Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8_192.0 },
        Scaling::Yarn { factor: 4.0, original: 128.0, fast: 32.0, slow: 1.0, magnitude: None, whole: true },
    ];
    let scaled = scalings.map(|scaling| Recipe { scaling, ..Recipe::llama() });
    Recipe::families().into_iter().chain(scaled).collect()
}

/// One line per recipe and group: the root of the package.
fn vectors() -> String {
    let mut text = String::new();
    for recipe in recipes() {
        for group in Group::ALL {
            let package = recipe.package(group).unwrap();
            let _ = writeln!(text, "{} {:?} group {group}: {}", recipe.name, recipe.scaling, package.root());
        }
    }
    text
}

#[test]
fn golden_roots() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/roots.txt");
    let text = vectors();
    if UPDATE == Some("1") {
        fs::write(&path, text).unwrap();
        return;
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    let differing = text.lines().zip(known.lines()).find(|(now, known)| now != known);
    assert!(
        known == text,
        "golden roots differ, first at {differing:?} (now, in the file)\n\
         A changed root is another model to everybody who holds the package. If that is meant:\n  \
         FREEWAY_UPDATE_GOLDEN=1 cargo test -p freeway-models golden"
    );
}
