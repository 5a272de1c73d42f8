//! Neither backend nor threads, batches or storage change a bit.

use proptest::prelude::*;

use super::*;

/// Checks everything against the reference for some nonces.
fn everywhere(shape: Shape, first: u64, count: usize) {
    let streamed = Model::streamed(shape, SEED);
    let stored = Model::stored(shape, SEED, Backend::best(), 2);
    let expected = race(&stored, Backend::Scalar, 1, 1, first, count);
    let (digest, state) = reference::trace(shape, &input(first));
    assert_eq!(expected[0].digest(shape, &input(first)), digest, "{shape:?}");
    assert_eq!(expected[0].last(), freeway_sprint::trace::state_digest(&state));
    for backend in Backend::available() {
        for (threads, batch) in [(1, count), (2, 1), (3, 2)] {
            assert!(race(&stored, backend, threads, batch, first, count) == expected, "{shape:?} {backend}");
            assert!(
                race(&streamed, backend, threads, batch, first, count) == expected,
                "{shape:?} {backend}"
            );
        }
        assert!(check(&stored, backend, 2, first, count) == expected, "{shape:?} {backend}");
        assert!(check(&streamed, backend, 2, first, count) == expected, "{shape:?} {backend}");
    }
}

#[test]
fn the_tiny_shape_is_the_same_everywhere() {
    everywhere(Shape::TINY, 7, 40);
}

#[test]
fn shapes_at_the_edges_are_the_same_everywhere() {
    everywhere(shape(2, 64, 1, 64), u64::MAX - 2, 3);
    everywhere(shape(64, 64, 2, 64), 0, 3);
    everywhere(shape(2, 128, 2, 4_096), 0, 3);
    // Where the product of gate and value is shifted by five.
    everywhere(shape(3, 448, 1, 192), 0, 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn random_shapes_are_the_same_everywhere(
        tokens in 2u32..20,
        width in 1u32..5,
        layers in 1u32..7,
        hidden in 1u32..7,
        first: u32,
        count in 1usize..9,
    ) {
        everywhere(shape(tokens, 64 * width, layers, 64 * hidden), first.into(), count);
    }
}

#[test]
fn any_part_of_the_input_changes_the_trace() {
    let model = Model::streamed(Shape::TINY, SEED);
    let traces =
        |model: &Model, input: Input| verify::traces(model, Backend::best(), 1, &[input]).unwrap().remove(0);
    let trace = traces(&model, input(1));
    for other in [Input { host: [9; 32], ..input(1) }, Input { device: 9, ..input(1) }, input(2)] {
        let other = traces(&model, other);
        assert!(other.boundaries.iter().zip(&trace.boundaries).all(|(a, b)| a != b));
    }
    let seed = [9; 32];
    let other = traces(&Model::streamed(Shape::TINY, seed), Input { seed, ..input(1) });
    assert!(other.boundaries.iter().zip(&trace.boundaries).all(|(a, b)| a != b));
}

#[test]
fn runs_continue_where_others_end() {
    let model = Model::stored(Shape::TINY, SEED, Backend::best(), 1);
    let mut runner = Runner::new(&model, HOST, DEVICE, Backend::best(), 2).unwrap();
    let whole = runner.run(50, 200);
    let parts: Vec<_> =
        [(50, 3), (53, 100), (153, 97)].into_iter().flat_map(|(a, n)| runner.run(a, n)).collect();
    assert!(whole == parts);
    assert!(runner.run(0, 0).is_empty());
}

#[test]
fn measuring_gives_the_same_digest_on_every_backend() {
    let measure = |backend, threads| {
        freeway_sprint::bench::measure(Shape::TINY, backend, threads, core::time::Duration::ZERO).unwrap()
    };
    let expected = measure(Backend::Scalar, 1);
    for backend in Backend::available() {
        let measured = measure(backend, 2);
        assert_eq!(measured.digest, expected.digest, "{backend}");
        assert!(measured.nonces_per_second > 0.0 && measured.peak_share > 0.0);
    }
}
