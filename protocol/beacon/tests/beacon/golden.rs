//! Everything that is signed, hashed or stored, frozen in `tests/golden/vectors.txt`.

use std::path::Path;

use freeway_primitives::{Canonical, Height};

use crate::kit::*;
use crate::vectors::Vectors;

#[test]
fn golden_vectors_are_what_they_were() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vectors.txt");
    let mut vectors = Vectors::new("freeway-beacon", path);
    let net = Net::new(&[4, 2, 1], 9);
    vectors.add_with("seats", &net.round.seats().encode(), net.round.id());
    let dealings = net.dealings(&net.everybody());
    for (i, dealing) in net.everybody().into_iter().map(|i| (i, &dealings[&net.address(i)])) {
        vectors.add_with(format!("dealing.{i}"), &dealing.encode(), dealing.digest());
    }
    let board = net.board(&dealings);
    for i in net.everybody() {
        vectors.add(format!("acks.{i}"), &net.acks(&board, &[i])[&net.address(i)].encode());
    }
    let acks = complaint(&net, &board, 2, 0);
    vectors.add("acks.complaint", &acks.encode());
    let log = net.logs(&board, &[(net.address(2), acks)].into(), &[0, 1])[&net.address(0)].encode();
    vectors.add("log", &log);
    let finished = net.finish();
    vectors.add("group", &finished.group.encode());
    for (i, shares) in finished.shares.iter().enumerate() {
        vectors.add(format!("partials.{i}"), &shares.sign(HEIGHT).encode());
    }
    for height in [HEIGHT, Height(1_001)] {
        let value = finished.value(height, &net.everybody());
        vectors.add_with(format!("value.{height}"), &value.encode(), value.randomness());
    }
    vectors.check();
}
