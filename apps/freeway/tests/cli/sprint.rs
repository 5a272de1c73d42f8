//! `freeway sprint bench` and `freeway sprint verify`: what this machine computes.

use freeway_primitives::{Address, Digest};
use freeway_proofs::sprint::{Trace, leaf};
use freeway_sprint::{Input, Model, Shape, verify};
use serde_json::{Value, json};

use crate::kit::Place;

const BENCH: [&str; 8] = ["sprint", "bench", "--shape", "tiny", "--seconds", "0.05", "--threads", "1"];

#[test]
fn a_measurement_has_all_that_scripts_need() {
    let place = Place::new();
    let measured = place.json(&BENCH);
    let mut keys: Vec<_> = measured.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "backend",
            "digest",
            "h100_equivalents",
            "nonces_per_second",
            "ops_per_second",
            "peak_ops_per_second",
            "peak_share",
            "shape",
            "threads"
        ]
    );
    assert_eq!((&measured["shape"], &measured["threads"]), (&"tiny".into(), &1.into()));
    let number = |name: &str| measured[name].as_f64().unwrap();
    let operations = 2.0 * Shape::TINY.macs_per_nonce() as f64;
    assert!((number("ops_per_second") / number("nonces_per_second") - operations).abs() < 1.0);
    assert!(number("peak_share") > 0.0 && number("h100_equivalents") > 0.0);
    // Whatever computes it, the result is the same.
    let scalar = place.json(&[&BENCH[..], &["--backend", "scalar"]].concat());
    assert_eq!((&scalar["backend"], &scalar["digest"]), (&"scalar".into(), &measured["digest"]));
    let page = place.run(&BENCH);
    assert!(page.stdout.contains("operations  ") && page.stdout.contains("digest"), "{}", page.stdout);
    assert_eq!(page.stderr, "", "progress is for terminals");
}

#[test]
fn a_backend_that_is_not_there_is_named_with_those_that_are() {
    use freeway_kernels::Backend;

    let place = Place::new();
    for backend in Backend::ALL.into_iter().filter(|backend| !backend.is_available()) {
        let error = place.error(&[&BENCH[..], &["--backend", backend.name()]].concat(), 1);
        assert_eq!(error["code"], "backend_unavailable");
        assert!(error["hint"].as_str().unwrap().contains("scalar"), "{error}");
    }
    let error = place.error(&[&BENCH[..], &["--backend", "cuda"]].concat(), 2);
    assert!(error.to_string().contains("scalar"), "{error}");
    let error = place.error(&["sprint", "bench", "--shape", "huge"], 2);
    assert!(error.to_string().contains("tiny, A, B and C"), "{error}");
}

/// Leaves of some nonces as an honest host of the shape `tiny` has them.
fn claim(nonces: &[u64]) -> Value {
    let (seed, host, device) = ([3; 32], Address([4; 32]), 2);
    let inputs: Vec<Input> =
        nonces.iter().map(|&nonce| Input { seed, host: host.0, device, nonce }).collect();
    let model = Model::streamed(Shape::TINY, seed);
    let traces = verify::traces(&model, freeway_kernels::Backend::Scalar, 1, &inputs).unwrap();
    let leaves = inputs.iter().zip(&traces).map(|(input, trace)| {
        let leaf = leaf(&Trace(trace.digest(Shape::TINY, input)));
        json!({ "nonce": input.nonce, "leaf": leaf.to_string() })
    });
    let leaves: Vec<Value> = leaves.collect();
    json!({ "shape": "tiny", "seed": Digest(seed).to_string(), "host": host.to_string(), "device": device,
            "leaves": leaves })
}

#[test]
fn right_leaves_are_told_from_wrong_ones() {
    let place = Place::new();
    let mut claim = claim(&[5, 0, u64::MAX]);
    place.write("leaves.json", &claim.to_string());
    let found = place.json(&["sprint", "verify", "leaves.json"]);
    assert_eq!((&found["valid"], &found["invalid"]), (&3.into(), &0.into()));
    assert_eq!(found["leaves"][2]["nonce"], u64::MAX);

    let right = claim["leaves"][1]["leaf"].clone();
    claim["leaves"][1]["leaf"] = Digest([7; 32]).to_string().into();
    let ended = place.run_with(&["sprint", "verify", "-", "--json"], &claim.to_string());
    assert_eq!(ended.code, 1);
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&found["valid"], &found["invalid"]), (&2.into(), &1.into()));
    let leaf = &found["leaves"][1];
    assert_eq!((&leaf["valid"], &leaf["computed"]), (&false.into(), &right));
    let error: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(error["error"]["code"], "wrong_leaves");

    let page = place.run_with(&["sprint", "verify", "-"], &claim.to_string());
    assert!(
        page.stdout.contains("2 valid, 1 invalid") && page.stdout.contains("0  invalid"),
        "{}",
        page.stdout
    );
    assert!(page.stderr.contains("1 of 3 leaves are wrong"), "{}", page.stderr);
    // Of another host, none of them is right.
    claim["host"] = Address([5; 32]).to_string().into();
    place.write("leaves.json", &claim.to_string());
    let ended = place.run(&["sprint", "verify", "leaves.json", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&ended.stdout).unwrap()["invalid"], 3);
}

#[test]
fn what_are_no_leaves_is_refused() {
    let place = Place::new();
    let good = claim(&[1]);
    let with = |name: &str, value: Value| {
        let mut claim = good.clone();
        claim[name] = value;
        claim.to_string()
    };
    let many: Vec<Value> = vec![good["leaves"][0].clone(); 4_097];
    for (text, code, says) in [
        (String::new(), "invalid_leaves", "EOF"),
        ("7".into(), "invalid_leaves", "integer"),
        (with("shape", "huge".into()), "invalid_leaves", "huge"),
        (with("seed", "ab".into()), "invalid_leaves", "64"),
        (with("host", "fwy1x".into()), "invalid_leaves", "leaves.json"),
        (with("device", (-1).into()), "invalid_leaves", "-1"),
        (with("leaves", json!([])), "invalid_leaves", "no leaves"),
        (with("leaves", json!([{ "nonce": 1 }])), "invalid_leaves", "leaf"),
        (with("leaves", many.into()), "invalid_leaves", "4097"),
        (with("more", 1.into()), "invalid_leaves", "more"),
        (" ".repeat((1 << 20) + 1), "file", "larger than"),
    ] {
        place.write("leaves.json", &text);
        let error = place.error(&["sprint", "verify", "leaves.json"], 1);
        assert_eq!(error["code"], code, "{error}");
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
    let long = place.run_with(&["sprint", "verify", "-"], &" ".repeat((1 << 20) + 1));
    assert!(long.code == 1 && long.stderr.contains("standard input has more than"), "{}", long.stderr);
    assert_eq!(place.error(&["sprint", "verify", "missing.json"], 1)["code"], "file");
}
