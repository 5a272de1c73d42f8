//! `freeway model calibrate`, with a gateway of this program as the server.

use std::io::{BufRead, BufReader};
use std::process::Child;

use serde_json::Value;

use crate::kit::Place;

/// A gateway that serves the guide; stopped when this is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(place: &Place) -> Self {
        let arguments = ["--json", "gateway", "--listen", "127.0.0.1:0", "--threads", "1"];
        let mut child = place.command(&arguments).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { child, url: ready["api"].as_str().unwrap().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_with_the_right_model_is_measured() {
    let place = Place::new();
    let server = Server::start(&place);
    let found = place.json(&[
        "model",
        "calibrate",
        "guide",
        "--engine",
        &server.url,
        "--tokens",
        "1000",
        "--out",
        "noise.json",
    ]);
    assert!(found["tokens"].as_u64().unwrap() >= 1_000, "{found}");
    // The same arithmetic: nothing but the digits that HTTP takes away.
    assert!(found["median_gap"].as_u64().unwrap() < 100, "{found}");
    assert!(found["evidence"].as_u64() < found["threshold"].as_u64(), "{found}");
    assert!(found["forger_after"].as_u64().unwrap() < 1_000, "{found}");
    let noise: Value = serde_json::from_str(&place.read("noise.json")).unwrap();
    assert_eq!(noise, found["noise"]);
    let again =
        place.error(&["model", "calibrate", "guide", "--engine", &server.url, "--out", "noise.json"], 1);
    assert_eq!(again["code"], "file_exists");
}

#[test]
fn mistakes_say_what_to_do() {
    let place = Place::new();
    let silent = ["model", "calibrate", "guide", "--engine", "http://127.0.0.1:1/v1"];
    assert_eq!(place.error(&silent, 1)["code"], "not_measured");
    let nonsense = ["model", "calibrate", "guide", "--engine", "nonsense"];
    assert_eq!(place.error(&nonsense, 1)["code"], "invalid_url");
    assert_eq!(place.error(&["model", "calibrate", "guide"], 2)["code"], "usage");
    let few = ["model", "calibrate", "guide", "--engine", "http://127.0.0.1:1/v1", "--tokens", "999"];
    assert_eq!(place.error(&few, 2)["code"], "usage");
    place.write("noise.json", "{}");
    for (arguments, code, status) in [
        (&["model", "register", "guide", "--from", "a", "--noise", "noise.json"][..], "usage", 2),
        (&["up", "--engine-model", "x"], "usage", 2),
        (&["up", "--model", "nobody"], "unknown_model", 1),
        (&["up", "--engine", "nonsense"], "invalid_url", 1),
        (&["node", "init", "--home", "n", "--engine", "http://127.0.0.1:1/v1"], "usage", 2),
        (&["node", "init", "--home", "n", "--serve", "guide"], "usage", 2),
    ] {
        assert_eq!(place.error(arguments, status)["code"], code, "{arguments:?}");
    }
}

#[test]
fn a_host_is_made_that_serves_by_a_server() {
    let place = Place::new();
    place.json(&["keys", "new", "owner"]);
    place.write("key", "secret\n");
    place.json(&[
        "node",
        "init",
        "--home",
        "n",
        "--host",
        "owner",
        "--serve",
        "big",
        "--engine",
        "http://127.0.0.1:1/v1",
        "--engine-model",
        "theirs",
        "--engine-key",
        "key",
    ]);
    let config = freeway_node::NodeConfig::load(&place.path("n/node.toml")).unwrap();
    let serve = config.serve.unwrap();
    assert_eq!(serve.models, ["big"]);
    assert_eq!(serve.upstream[0].models["big"], "theirs");
    assert_eq!(serve.upstream[0].key_file.as_deref(), Some(place.path("key").as_path()));
}
