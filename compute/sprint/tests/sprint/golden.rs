//! Frozen digests: the function is a rule of the protocol.

use std::fmt::Write as _;
use std::path::Path;

use super::*;

/// Set to 1 when the tests are built, this variable makes them rewrite their file.
const UPDATE: Option<&str> = option_env!("FREEWAY_UPDATE_GOLDEN");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One line per shape, seed and nonce: the digest of the trace, and that of the final state.
fn vectors() -> String {
    let shapes = [
        Shape::TINY,
        shape(2, 64, 1, 64),
        shape(2, 64, 5, 128),
        shape(16, 128, 4, 192),
        shape(64, 64, 2, 64),
        shape(3, 448, 3, 320),
        shape(4, 512, 2, 4_096),
        shape(2, 1_024, 1, 8_192),
    ];
    let mut text = String::new();
    for shape in shapes {
        for seed in [[0; 32], [0xff; 32], SEED] {
            let model = Model::streamed(shape, seed);
            for nonce in [0, 1, u64::MAX] {
                let input = Input { seed, host: HOST, device: DEVICE, nonce };
                let trace = &verify::traces(&model, Backend::best(), 2, &[input]).unwrap()[0];
                let (seed, digest) = (hex(&seed[..2]), hex(&trace.digest(shape, &input)));
                let _ =
                    writeln!(text, "{shape:?} seed {seed}.. nonce {nonce}: {digest} {}", hex(&trace.last()));
            }
        }
    }
    text
}

#[test]
fn golden_traces() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/traces.txt");
    let text = vectors();
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
         FREEWAY_UPDATE_GOLDEN=1 cargo test -p freeway-sprint golden",
        path.display(),
    );
}
