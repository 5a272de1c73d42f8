//! The sprint: an exact transformer that proves compute.
//!
//! In a race, each host computes this function for as many nonces as it can. Its weights come from the race's seed,
//! so that nobody has them before; its input is a nonce, so that no two computations are the same; all of it is
//! integer arithmetic, so that **anyone recomputes any nonce bit for bit**, on any machine, in any batch, with or
//! without stored weights.
//!
//! | module | what it knows |
//! |---|---|
//! | [`shape`] | the dimensions of the function, and those that have names |
//! | [`input`] | what is computed: seed, host, device, nonce, and the keys made of them |
//! | [`model`] | the weights: stored, or made when they are needed |
//! | [`forward`] | the function itself, layer by layer |
//! | [`overflow`] | why no integer overflows |
//! | [`trace`] | what one nonce leaves behind: a digest for every four layers |
//! | [`runner`] | the race: traces of consecutive nonces on many threads |
//! | [`verify`] | the check: traces of given nonces, and of single groups of layers |
//! | [`mod@bench`] | how fast it is, as a share of what the hardware could do |
//!
//! # Example
//!
//! ```
//! use freeway_kernels::Backend;
//! use freeway_sprint::{Input, Model, Runner, Shape, verify};
//!
//! let (seed, host, backend) = ([1; 32], [2; 32], Backend::best());
//! // The host has room for the weights, and computes many nonces ...
//! let model = Model::stored(Shape::TINY, seed, backend, 1);
//! let traces = Runner::new(&model, host, 0, backend, 1)?.run(100, 5);
//! // ... the verifier makes them as they are needed, and computes one.
//! let model = Model::streamed(Shape::TINY, seed);
//! let input = Input { seed, host, device: 0, nonce: 103 };
//! assert_eq!(verify::traces(&model, backend, 1, &[input])?, traces[3..4]);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

pub mod bench;
pub mod forward;
pub mod input;
pub mod model;
pub mod overflow;
pub mod runner;
pub mod shape;
pub mod trace;
pub mod verify;

pub use input::Input;
pub use model::Model;
pub use runner::Runner;
pub use shape::{Shape, ShapeError, UnknownShape};
pub use trace::Trace;
