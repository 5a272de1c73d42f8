//! The loop: batches in, weights out, with a checkpoint now and then.

use std::time::{Duration, Instant};

use super::TrainError;
use super::batches::{self, Batch, Stage};
use super::folder::{Checkpoint, Folder};
use super::framework::Framework;
use super::vocabulary::Vocabulary;
use crate::architecture::Shape;
use crate::corpus::conversations::Conversations;
use crate::optimiser::{Optimiser, Schedule};

/// How a run is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// From which everything random follows.
    pub seed: u64,
    /// Padded tokens per batch.
    pub area: usize,
    /// Learning rates and number of steps.
    pub schedule: Schedule,
    /// What is learned, with the step at which it begins, in this order; the first begins at 0.
    pub stages: Vec<(usize, Stage)>,
    /// Steps between two reports.
    pub report: usize,
    /// Steps between two checkpoints.
    pub checkpoint: usize,
}

impl Plan {
    fn stage(&self, step: usize) -> Stage {
        self.stages
            .iter()
            .rfind(|(start, _)| *start <= step)
            .map_or(Stage::Conversations, |(_, stage)| *stage)
    }
}

/// What a run says now and then.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Steps taken, and to take.
    pub steps: (usize, usize),
    /// Mean loss since the last report, in nats per token.
    pub loss: f32,
    /// Length of the last gradient.
    pub gradient: f32,
    /// Learning rate.
    pub rate: f32,
    /// Padded tokens a second since the last report.
    pub tokens_per_second: f64,
    /// What is left at this speed.
    pub left: Duration,
    /// Target tokens and padded tokens so far, over all runs.
    pub seen: (u64, u64),
}

/// Trains until the schedule ends, going on from the folder's checkpoint if there is one; returns the weights.
///
/// # Errors
/// If files fail, or the loss is no number any more.
pub fn train(
    shape: Shape,
    plan: &Plan,
    conversations: &Conversations,
    vocabulary: &Vocabulary,
    folder: &Folder,
    mut tell: impl FnMut(Report, &[Vec<f32>]),
) -> Result<Vec<Vec<f32>>, TrainError> {
    let (framework, tensors, last) = (Framework::new(shape), shape.tensors(), plan.schedule.steps);
    let Checkpoint { mut weights, mut optimiser, mut seen } = match folder.read_checkpoint(&shape)? {
        Some(checkpoint) => checkpoint,
        None => Checkpoint {
            weights: shape.initial(plan.seed),
            optimiser: Optimiser::new(&tensors),
            seen: (0, 0),
        },
    };
    // A resumed run draws the batches that it has seen and passes them by: drawing is a small part of a step.
    let (resumed, mut passed, mut round) = (optimiser.steps, 0, 0);
    let mut since = (Instant::now(), 0_u64, 0.0_f32, 0_usize);
    while optimiser.steps < last {
        let stage = plan.stage(passed);
        let all = batches::round(conversations, vocabulary, (plan.seed, round), stage, plan.area)?;
        round += 1;
        for batch in &all {
            if plan.stage(passed) != stage {
                break;
            }
            passed += 1;
            if passed <= resumed {
                continue;
            }
            let rate = plan.schedule.rate(optimiser.steps);
            let step = framework.step(&weights, batch);
            if !step.loss.is_finite() {
                return Err(TrainError::Diverged { loss: step.loss, step: optimiser.steps });
            }
            let gradient = optimiser.step(&tensors, &mut weights, &step.gradients, rate);
            seen = (seen.0 + batch.targets.len() as u64, seen.1 + batch.tokens.len() as u64);
            since = (since.0, since.1 + batch.tokens.len() as u64, since.2 + step.loss, since.3 + 1);
            let done = optimiser.steps;
            if done.is_multiple_of(plan.report) || done == last {
                let speed = since.1 as f64 / since.0.elapsed().as_secs_f64();
                let left = since.0.elapsed().div_f64(since.3 as f64).mul_f64((last - done) as f64);
                let loss = since.2 / since.3 as f32;
                let steps = (done, last);
                tell(Report { steps, loss, gradient, rate, tokens_per_second: speed, left, seen }, &weights);
                since = (Instant::now(), 0, 0.0, 0);
            }
            if done.is_multiple_of(plan.checkpoint) || done == last {
                let checkpoint = Checkpoint { weights, optimiser, seen };
                folder.write_checkpoint(&shape, &checkpoint)?;
                Checkpoint { weights, optimiser, seen } = checkpoint;
            }
            if done == last {
                break;
            }
        }
    }
    Ok(weights)
}

/// Mean loss over batches, weighted by the shares of their targets.
pub fn validate(shape: Shape, weights: &[Vec<f32>], batches: &[Batch]) -> f32 {
    let framework = Framework::new(shape);
    let (mut sum, mut count) = (0.0, 0.0_f32);
    for batch in batches {
        let share: f32 = batch.shares.iter().sum();
        sum += framework.evaluate(weights, batch) * share;
        count += share;
    }
    sum / count.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Family;

    #[test]
    fn a_killed_run_goes_on_as_if_nothing_had_happened() {
        let conversations = Conversations::load().expect("the corpus can be read");
        let vocabulary = Vocabulary::learn(&conversations, 1).expect("a vocabulary can be learned");
        let shape = Shape {
            layers: 1,
            width: 32,
            heads: 2,
            kv_heads: 1,
            head: 16,
            hidden: 32,
            ..Shape::small(Family::Qwen3, vocabulary.size())
        };
        let schedule = Schedule { peak: 1e-3, warm_up: 2, steps: 6 };
        let plan = Plan {
            seed: 3,
            area: 128,
            schedule,
            stages: vec![(0, Stage::Conversations), (3, Stage::Beginnings), (5, Stage::Conversations)],
            report: 2,
            checkpoint: 2,
        };
        let run = |folder: &Folder, plan: &Plan| {
            let mut losses = Vec::new();
            let tell = |report: Report, _: &[Vec<f32>]| losses.push(report.loss);
            let weights = train(shape, plan, &conversations, &vocabulary, folder, tell).expect("a run");
            (weights, losses)
        };
        let (first, second) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let whole = run(&Folder::open(first.path()).expect("a folder"), &plan);
        assert_eq!(whole.1.len(), 3);
        assert!(whole.1[2] < whole.1[0], "{:?}", whole.1);
        // The same schedule, cut after two steps: a run that stops there and one that goes on from its checkpoint.
        let folder = Folder::open(second.path()).expect("a folder");
        let framework = Framework::new(shape);
        let batches =
            batches::round(&conversations, &vocabulary, (plan.seed, 0), Stage::Conversations, plan.area)
                .expect("batches");
        let (mut weights, mut optimiser) = (shape.initial(plan.seed), Optimiser::new(&shape.tensors()));
        for (step, batch) in batches[..2].iter().enumerate() {
            let gradients = framework.step(&weights, batch).gradients;
            optimiser.step(&shape.tensors(), &mut weights, &gradients, plan.schedule.rate(step));
        }
        folder
            .write_checkpoint(&shape, &Checkpoint { weights, optimiser, seen: (0, 0) })
            .expect("a checkpoint");
        assert_eq!(run(&folder, &plan).0, whole.0);
    }

    #[test]
    fn a_model_is_read_as_it_was_written() {
        let conversations = Conversations::load().expect("the corpus can be read");
        let vocabulary = Vocabulary::learn(&conversations, 1).expect("a vocabulary can be learned");
        let place = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(place.path()).expect("a folder");
        let shape = Shape::small(Family::Qwen2, vocabulary.size());
        let weights = shape.initial(1);
        folder.write_model(&shape, &vocabulary, &weights).expect("a model");
        let (read_shape, read_vocabulary, read_weights) =
            folder.read_model(Family::Qwen2, false).expect("a model");
        assert_eq!((read_shape, read_weights), (shape, weights));
        assert_eq!(
            read_vocabulary.encode("12 hosts").expect("tokens"),
            vocabulary.encode("12 hosts").expect("tokens")
        );
        assert!(folder.read_model(Family::Qwen3, false).is_err());
        std::fs::write(place.path().join("model.safetensors"), b"nothing").expect("a file");
        assert!(folder.read_model(Family::Qwen2, false).is_err());
    }
}
