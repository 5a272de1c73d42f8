//! AdamW with a warm-up, a cosine and clipped gradients, on plain vectors.

use crate::architecture::TensorSpec;

/// Learning rates: a linear rise, then a fall along a cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Highest learning rate.
    pub peak: f32,
    /// Steps of the rise.
    pub warm_up: usize,
    /// Steps altogether.
    pub steps: usize,
}

/// Learning rate at the end, as a share of the peak.
const LAST: f32 = 0.02;

impl Schedule {
    /// The learning rate of `step`, from 0.
    pub fn rate(&self, step: usize) -> f32 {
        if step < self.warm_up {
            return self.peak * (step + 1) as f32 / self.warm_up as f32;
        }
        let done = (step - self.warm_up) as f32 / self.steps.saturating_sub(self.warm_up).max(1) as f32;
        let cosine = 0.5 * (1.0 + (done.min(1.0) * std::f32::consts::PI).cos());
        self.peak * (LAST + (1.0 - LAST) * cosine)
    }
}

/// Momentum of the gradient.
const BETA_1: f32 = 0.9;
/// Momentum of its square: short, as there are few steps.
const BETA_2: f32 = 0.98;
/// What keeps the quotient finite.
const EPSILON: f32 = 1e-8;
/// How much matrices shrink, times the learning rate.
const DECAY: f32 = 0.05;
/// Longest gradient; longer ones are scaled down.
const LONGEST: f32 = 1.0;

/// The optimiser's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimiser {
    /// Steps taken.
    pub steps: usize,
    /// Running mean of the gradient, per tensor.
    pub first: Vec<Vec<f32>>,
    /// Running mean of its square, per tensor.
    pub second: Vec<Vec<f32>>,
}

impl Optimiser {
    /// A fresh state for tensors of these shapes.
    pub fn new(tensors: &[TensorSpec]) -> Self {
        let zeros = || tensors.iter().map(|tensor| vec![0.0; tensor.elements()]).collect::<Vec<_>>();
        Self { steps: 0, first: zeros(), second: zeros() }
    }

    /// Moves `weights` against `gradients`; returns the gradient's length before it was clipped.
    pub fn step(
        &mut self,
        tensors: &[TensorSpec],
        weights: &mut [Vec<f32>],
        gradients: &[Vec<f32>],
        rate: f32,
    ) -> f32 {
        self.steps += 1;
        let squares: f64 = gradients.iter().flatten().map(|&value| f64::from(value) * f64::from(value)).sum();
        let length = squares.sqrt() as f32;
        let scale = if length > LONGEST { LONGEST / length } else { 1.0 };
        let count = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (correction_1, correction_2) = (1.0 - BETA_1.powi(count), 1.0 - BETA_2.powi(count));
        for (index, tensor) in tensors.iter().enumerate() {
            let keep = if tensor.decays() { 1.0 - rate * DECAY } else { 1.0 };
            let state = self.first[index].iter_mut().zip(&mut self.second[index]);
            for ((weight, gradient), (first, second)) in
                weights[index].iter_mut().zip(&gradients[index]).zip(state)
            {
                let gradient = gradient * scale;
                *first = BETA_1 * *first + (1.0 - BETA_1) * gradient;
                *second = BETA_2 * *second + (1.0 - BETA_2) * gradient * gradient;
                let step = (*first / correction_1) / ((*second / correction_2).sqrt() + EPSILON);
                *weight = *weight * keep - rate * step;
            }
        }
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Start;

    #[test]
    fn a_bowl_is_descended() {
        let tensors = [TensorSpec { name: "x".to_owned(), dimensions: vec![2], start: Start::Zeros }];
        let mut weights = vec![vec![3.0_f32, -2.0]];
        let mut optimiser = Optimiser::new(&tensors);
        for _ in 0..500 {
            let gradients = vec![weights[0].iter().map(|x| 2.0 * x).collect()];
            optimiser.step(&tensors, &mut weights, &gradients, 0.02);
        }
        assert!(weights[0].iter().all(|x| x.abs() < 0.05), "{weights:?}");
    }

    #[test]
    fn rate_rises_and_falls() {
        let schedule = Schedule { peak: 1.0, warm_up: 10, steps: 110 };
        assert!(schedule.rate(0) < schedule.rate(9));
        assert!((schedule.rate(10) - 1.0).abs() < 1e-6);
        assert!((schedule.rate(110) - LAST).abs() < 1e-6);
        assert!((schedule.rate(1000) - LAST).abs() < 1e-6);
    }
}
