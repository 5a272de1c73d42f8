//! One group of layers alone.

use freeway_kernels::arithmetic::MAX_STATE;
use freeway_sprint::trace::state_digest;
use freeway_sprint::verify::{VerifyError, group, state_before};

use super::*;

#[test]
fn every_group_leads_from_one_boundary_to_the_next() {
    // Ten layers: the last group has two.
    let shape = shape(3, 128, 10, 192);
    let stored = Model::stored(shape, SEED, Backend::best(), 1);
    let streamed = Model::streamed(shape, SEED);
    let input = input(77);
    let trace = check(&streamed, Backend::best(), 1, 77, 1).remove(0);
    assert_eq!(trace.boundaries.len(), 3);
    for backend in Backend::available() {
        for model in [&stored, &streamed] {
            for number in 0..3 {
                let before = state_before(model, backend, 2, &input, number).unwrap();
                match number {
                    0 => assert!(before.iter().all(|element| *element == 0)),
                    _ => assert_eq!(state_digest(&before), trace.boundaries[number - 1]),
                }
                let after = group(model, backend, 2, &input, number, &before).unwrap();
                assert_eq!(after, trace.boundaries[number], "{backend} {number}");
            }
        }
    }
}

#[test]
fn a_state_that_differs_a_little_leads_elsewhere() {
    let model = Model::streamed(Shape::TINY, SEED);
    let trace = check(&model, Backend::best(), 1, 5, 1).remove(0);
    let mut before = state_before(&model, Backend::best(), 1, &input(5), 1).unwrap();
    before[17] += 1;
    let after = group(&model, Backend::best(), 1, &input(5), 1, &before).unwrap();
    assert_ne!(after, trace.boundaries[1]);
}

#[test]
fn states_at_the_ends_of_their_range_are_the_same_everywhere() {
    let shape = shape(2, 64, 4, 4_096);
    let model = Model::streamed(shape, SEED);
    for pattern in [[MAX_STATE; 2], [-MAX_STATE; 2], [MAX_STATE, -MAX_STATE]] {
        let before: Vec<_> = pattern.into_iter().cycle().take(shape.state_len()).collect();
        let expected = group(&model, Backend::Scalar, 1, &input(1), 0, &before).unwrap();
        for backend in Backend::available() {
            assert_eq!(group(&model, backend, 1, &input(1), 0, &before), Ok(expected), "{backend}");
        }
    }
}

#[test]
fn what_cannot_be_checked_is_refused() {
    let model = Model::streamed(Shape::TINY, SEED);
    let length = Shape::TINY.state_len();
    let run =
        |input: &Input, number, before: &[i32]| group(&model, Backend::Scalar, 1, input, number, before);
    let other = Input { seed: [0; 32], ..input(1) };
    assert_eq!(run(&other, 0, &vec![0; length]), Err(VerifyError::Seed));
    assert_eq!(run(&input(1), 2, &vec![0; length]), Err(VerifyError::Group { group: 2, groups: 2 }));
    let refused = Err(VerifyError::Length { expected: length, found: length - 1 });
    assert_eq!(run(&input(1), 0, &vec![0; length - 1]), refused);
    for element in [MAX_STATE + 1, -MAX_STATE - 1, i32::MIN] {
        let mut before = vec![0; length];
        before[length - 1] = element;
        assert_eq!(run(&input(1), 0, &before), Err(VerifyError::Range));
    }
    assert_eq!(verify::traces(&model, Backend::Scalar, 1, &[other]), Err(VerifyError::Seed));
    for backend in Backend::ALL.into_iter().filter(|backend| !backend.is_available()) {
        let refused = verify::traces(&model, backend, 1, &[input(1)]);
        assert!(matches!(refused, Err(VerifyError::Unavailable(_))));
    }
}
