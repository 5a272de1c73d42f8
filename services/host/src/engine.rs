//! What computes nonces: the seam to the compute crates, and a cheap stand-in behind the same traits.

use std::sync::Arc;

use freeway_kernels::Backend;
use freeway_primitives::{Address, Digest, Domain};
use freeway_proofs::draw;
use freeway_proofs::sprint::{Position, Trace};
use freeway_sprint::{Input, Runner, Shape, UnknownShape, verify};

const CHEAP: Domain = Domain::new("freeway 1 cheap trace");

/// A race cannot be computed here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The chain asks for a shape that this program does not know.
    #[error("{0}; the chain asks for it, so this program is too old: update it")]
    UnknownShape(#[from] UnknownShape),
    /// This machine cannot compute it.
    #[error("this machine cannot compute the sprint: {0}")]
    Unable(String),
}

/// Whether a model keeps its weights in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Made once: for a race.
    Stored,
    /// Made as they are needed: to check a few nonces without the memory.
    Streamed,
}

/// Makes models.
pub trait Engine: Send + Sync {
    /// The model of a shape with the weights of a seed. Making stored ones, on `threads` threads, takes seconds.
    ///
    /// # Errors
    /// [`EngineError`] says why there is none.
    fn model(
        &self,
        shape: &str,
        seed: &Digest,
        weights: Weights,
        threads: usize,
    ) -> Result<Arc<dyn Model>, EngineError>;

    /// The multiply-adds of one nonce of a shape, if there is such a shape.
    fn macs_per_nonce(&self, shape: &str) -> Option<u64>;
}

/// The function of one race.
pub trait Model: Send + Sync {
    /// How many nonces at a time make good use of one thread.
    fn batch(&self) -> u32;

    /// Computes nonces of one device of a host, on the thread that asks.
    ///
    /// # Errors
    /// [`EngineError`] if this machine cannot.
    fn lane(&self, host: Address, device: u32) -> Result<Box<dyn Lane + '_>, EngineError>;

    /// The traces of single nonces of a host, in their order, on the calling thread.
    ///
    /// # Errors
    /// [`EngineError`] if this machine cannot.
    fn check(&self, host: Address, positions: &[Position]) -> Result<Vec<Trace>, EngineError>;
}

/// Nonces of one device, one after the other.
pub trait Lane {
    /// The traces of `count` nonces from `first` on. The two together are less than 2^64.
    fn run(&mut self, first: u64, count: u32) -> Vec<Trace>;
}

/// The real function, on the best backend of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Exact {
    backend: Backend,
}

impl Default for Exact {
    fn default() -> Self {
        Self { backend: Backend::best() }
    }
}

impl Exact {
    /// The backend's name.
    pub fn backend(&self) -> String {
        self.backend.to_string()
    }
}

struct ExactModel {
    model: freeway_sprint::Model,
    backend: Backend,
}

impl Engine for Exact {
    fn model(
        &self,
        shape: &str,
        seed: &Digest,
        weights: Weights,
        threads: usize,
    ) -> Result<Arc<dyn Model>, EngineError> {
        let (shape, backend): (Shape, _) = (shape.parse()?, self.backend);
        let model = match weights {
            Weights::Stored => freeway_sprint::Model::stored(shape, seed.0, backend, threads.max(1)),
            Weights::Streamed => freeway_sprint::Model::streamed(shape, seed.0),
        };
        Ok(Arc::new(ExactModel { model, backend }))
    }

    fn macs_per_nonce(&self, shape: &str) -> Option<u64> {
        shape.parse().ok().map(|shape: Shape| shape.macs_per_nonce())
    }
}

impl Model for ExactModel {
    fn batch(&self) -> u32 {
        let runner = Runner::new(&self.model, [0; 32], 0, self.backend, 1);
        runner.map_or(1, |runner| u32::try_from(runner.batch()).unwrap_or(u32::MAX))
    }

    fn lane(&self, host: Address, device: u32) -> Result<Box<dyn Lane + '_>, EngineError> {
        let runner = Runner::new(&self.model, host.0, device, self.backend, 1);
        Ok(Box::new(ExactLane(runner.map_err(|error| EngineError::Unable(error.to_string()))?)))
    }

    fn check(&self, host: Address, positions: &[Position]) -> Result<Vec<Trace>, EngineError> {
        let seed = *self.model.seed();
        let input = |position: &Position| {
            let Position { device, nonce } = *position;
            Input { seed, host: host.0, device, nonce }
        };
        let inputs: Vec<Input> = positions.iter().map(input).collect();
        let traces = verify::traces(&self.model, self.backend, 1, &inputs)
            .map_err(|error| EngineError::Unable(error.to_string()))?;
        let digest = |(trace, input): (freeway_sprint::Trace, _)| trace.digest(self.model.shape(), input);
        Ok(traces.into_iter().zip(&inputs).map(digest).map(Trace).collect())
    }
}

struct ExactLane<'a>(Runner<'a>);

impl Lane for ExactLane<'_> {
    fn run(&mut self, first: u64, count: u32) -> Vec<Trace> {
        let traces = self.0.run(first, count as usize);
        let digest = |(nonce, trace): (u64, freeway_sprint::Trace)| {
            Trace(trace.digest(self.0.shape(), &self.0.input(nonce)))
        };
        (first..).zip(traces).map(digest).collect()
    }
}

/// Traces from a hash: for tests and the simulation, where what is proven does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cheap;

/// The trace that [`Cheap`] gives a nonce.
pub fn cheap_trace(seed: &Digest, host: &Address, position: Position) -> Trace {
    let parts: [&[u8]; 3] = [&host.0, &position.device.to_le_bytes(), &position.nonce.to_le_bytes()];
    Trace(draw::derive(seed, CHEAP, &parts).0)
}

struct CheapModel(Digest);

struct CheapLane(Digest, Address, u32);

impl Engine for Cheap {
    fn model(&self, _: &str, seed: &Digest, _: Weights, _: usize) -> Result<Arc<dyn Model>, EngineError> {
        Ok(Arc::new(CheapModel(*seed)))
    }

    fn macs_per_nonce(&self, _: &str) -> Option<u64> {
        None
    }
}

impl Model for CheapModel {
    fn batch(&self) -> u32 {
        1
    }

    fn lane(&self, host: Address, device: u32) -> Result<Box<dyn Lane + '_>, EngineError> {
        Ok(Box::new(CheapLane(self.0, host, device)))
    }

    fn check(&self, host: Address, positions: &[Position]) -> Result<Vec<Trace>, EngineError> {
        Ok(positions.iter().map(|position| cheap_trace(&self.0, &host, *position)).collect())
    }
}

impl Lane for CheapLane {
    fn run(&mut self, first: u64, count: u32) -> Vec<Trace> {
        let trace = |nonce| cheap_trace(&self.0, &self.1, Position { device: self.2, nonce });
        (first..first.saturating_add(u64::from(count))).map(trace).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_checks_finds_what_the_racer_found() {
        let (seed, host) = (Digest([1; 32]), Address([2; 32]));
        let positions = [0, 3, 7].map(|nonce| Position { device: 1, nonce });
        for engine in [&Exact::default() as &dyn Engine, &Cheap] {
            let model = engine.model("tiny", &seed, Weights::Stored, 2).unwrap();
            let raced = model.lane(host, 1).unwrap().run(0, 8);
            let expected = [raced[0], raced[3], raced[7]];
            assert_eq!(model.check(host, &positions).unwrap(), expected);
            let streamed = engine.model("tiny", &seed, Weights::Streamed, 1).unwrap();
            assert_eq!(streamed.check(host, &positions).unwrap(), expected);
            assert_ne!(model.check(Address([3; 32]), &positions).unwrap(), expected);
        }
    }

    #[test]
    fn an_unknown_shape_says_what_to_do() {
        let error = Exact::default().model("huge", &Digest::ZERO, Weights::Streamed, 1).err().unwrap();
        assert!(error.to_string().contains("\"huge\"") && error.to_string().contains("update it"), "{error}");
        assert_eq!(Exact::default().macs_per_nonce("tiny"), Some(Shape::TINY.macs_per_nonce()));
    }
}
