//! Long comparisons of the backends, by
//! `cargo test --release -p freeway-sprint --test sprint long -- --ignored --nocapture`.

#![allow(clippy::print_stdout, reason = "what was compared is the purpose of the long test")]

use super::*;

/// Compares all backends but the reference on all nonces, and the reference on the first.
fn compare(shape: Shape, count: usize, by_reference: usize) {
    let model = Model::stored(shape, SEED, Backend::best(), 2);
    let fast: Vec<_> =
        Backend::available().into_iter().filter(|backend| *backend != Backend::Scalar).collect();
    let run = |backend: Backend, threads, count: usize| {
        Runner::new(&model, HOST, DEVICE, backend, threads).unwrap().run(0, count)
    };
    let expected = run(Backend::best(), 2, count);
    for backend in fast {
        assert!(run(backend, 1, count) == expected, "{shape} {backend}");
        println!("{shape}: {count} traces of {backend} agree");
    }
    assert!(run(Backend::Scalar, 2, by_reference) == expected[..by_reference], "{shape} scalar");
    println!("{shape}: {by_reference} traces of the reference agree");
    let streamed = Model::streamed(shape, SEED);
    let count = count.min(256);
    assert!(check(&streamed, Backend::best(), 2, 0, count) == expected[..count], "{shape} streamed");
    println!("{shape}: {count} traces without stored weights agree");
}

#[test]
#[ignore = "a minute of processor time in a release build; the command is above"]
fn long_tiny() {
    compare(Shape::TINY, 100_000, 100_000);
}

#[test]
#[ignore = "half a minute of processor time and 1 GiB of memory in a release build; the command is above"]
fn long_a() {
    compare(Shape::A, 256, 4);
}
