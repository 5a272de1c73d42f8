//! Frozen answers: what a request gives is a rule of the protocol.

use std::fmt::Write as _;
use std::path::Path;

use super::*;

/// Set to 1 when the tests are built, this variable makes them rewrite their file.
const UPDATE: Option<&str> = option_env!("FREEWAY_UPDATE_GOLDEN");

/// One line per model and request: root, tokens, trace root.
fn vectors(backend: Backend) -> String {
    let mut text = String::new();
    let groups = [Group::G32, Group::G64, Group::G128, Group::Whole];
    for recipe in [Recipe::llama(), stretched(), Recipe::qwen2(), Recipe::qwen3()] {
        for group in groups {
            let model = load(&recipe.package(group).unwrap(), backend, 1);
            let engine = start(&model, &EngineOptions::default());
            for (length, max_tokens, greedy) in [(1, 12, true), (80, 12, false)] {
                let mut request = request(&model, super::text(&model, 7, length), max_tokens, 1);
                if greedy {
                    request.sampling.temperature = Q16::ZERO;
                }
                let answer = &answer(&engine, &request)[0];
                let (name, root) = (&model.config().name, model.root());
                let (trace, tokens) = (answer.trace.unwrap(), &answer.tokens);
                let first = answer.scored[0].logprob;
                let _ = writeln!(text, "{name} {group:?} {root} prompt {length}: {tokens:?} {first} {trace}");
            }
        }
    }
    text
}

#[test]
fn golden_answers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/answers.txt");
    let text = vectors(Backend::Scalar);
    for backend in Backend::available() {
        assert_eq!(vectors(backend), text, "{backend} is not what the reference is");
    }
    if UPDATE == Some("1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = text.lines().zip(known.lines()).find(|(now, known)| now != known);
    assert!(
        known == text,
        "golden vectors differ, first at {differing:?} (now, in the file {})\n\
         A changed vector is a protocol change: hosts no longer agree with verifiers. If that is meant:\n  \
         FREEWAY_UPDATE_GOLDEN=1 cargo test -p freeway-inference golden",
        path.display()
    );
}
