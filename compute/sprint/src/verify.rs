//! The check: traces of given nonces, and single groups of layers.

use freeway_kernels::{Backend, Unavailable, arithmetic::MAX_STATE};

use crate::forward::States;
use crate::input::Input;
use crate::model::Model;
use crate::runner;
use crate::trace::{Trace, state_digest};

/// Why something cannot be checked, or is wrong without being computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The machine lacks the backend.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The input belongs to another race.
    #[error("the input has another seed than the model")]
    Seed,
    /// There is no such group.
    #[error("there is no group {group}: the shape has {groups}")]
    Group {
        /// The one that was asked for.
        group: usize,
        /// How many there are.
        groups: usize,
    },
    /// A state of another size.
    #[error("a state of this shape has {expected} elements, not {found}")]
    Length {
        /// Elements of a state.
        expected: usize,
        /// Those that there are.
        found: usize,
    },
    /// A state that no computation has.
    #[error("an element of the state is outside +-{MAX_STATE}")]
    Range,
}

/// The traces of any inputs of the model's race, of whichever hosts, in their order: together, so that weights
/// which have to be made are made once per batch.
///
/// # Errors
///
/// If an input has another seed than the model, or this machine cannot run `backend`.
pub fn traces(
    model: &Model,
    backend: Backend,
    threads: usize,
    inputs: &[Input],
) -> Result<Vec<Trace>, VerifyError> {
    check(model, backend, inputs)?;
    let batch = runner::batch_nonces(model.shape(), model.is_stored());
    Ok(runner::run(model, backend, threads.max(1), batch, &mut Vec::new(), inputs))
}

/// The state of a nonce before a group of layers: what [`group`] takes. Zeros before the first.
///
/// # Errors
///
/// If the input has another seed than the model, there is no such group, or this machine cannot run `backend`.
pub fn state_before(
    model: &Model,
    backend: Backend,
    threads: usize,
    input: &Input,
    group: usize,
) -> Result<Vec<i32>, VerifyError> {
    check(model, backend, &[*input])?;
    let layers = checked_group(model, group)?;
    let mut states = States::new(model.shape(), backend, 1);
    states.layers(model, threads.max(1), &[input.key()], 0..layers.start);
    Ok(states.state(0).to_vec())
}

/// Computes one group of layers of one nonce from the state before it, and gives the digest of the state after it:
/// the boundary of that number in an honest trace. The caller checks that the [digest](state_digest) of `before` is
/// the boundary before, or that it is zero for the first group.
///
/// # Errors
///
/// If the input has another seed than the model, there is no such group, `before` has another length or elements that no
/// state has, or this machine cannot run `backend`.
pub fn group(
    model: &Model,
    backend: Backend,
    threads: usize,
    input: &Input,
    group: usize,
    before: &[i32],
) -> Result<[u8; 32], VerifyError> {
    check(model, backend, &[*input])?;
    let layers = checked_group(model, group)?;
    let expected = model.shape().state_len();
    if before.len() != expected {
        return Err(VerifyError::Length { expected, found: before.len() });
    }
    if before.iter().any(|element| element.unsigned_abs() > MAX_STATE.unsigned_abs()) {
        return Err(VerifyError::Range);
    }
    let mut states = States::new(model.shape(), backend, 1);
    states.state_mut(0).copy_from_slice(before);
    states.layers(model, threads.max(1), &[input.key()], layers);
    Ok(state_digest(states.state(0)))
}

fn check(model: &Model, backend: Backend, inputs: &[Input]) -> Result<(), VerifyError> {
    backend.check()?;
    if inputs.iter().any(|input| input.seed != *model.seed()) {
        return Err(VerifyError::Seed);
    }
    Ok(())
}

fn checked_group(model: &Model, group: usize) -> Result<core::ops::Range<usize>, VerifyError> {
    let groups = model.shape().groups();
    if group < groups {
        Ok(model.shape().group_layers(group))
    } else {
        Err(VerifyError::Group { group, groups })
    }
}
