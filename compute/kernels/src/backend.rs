//! The implementations, and which of them run on this machine.

use core::fmt;
use core::str::FromStr;

#[cfg(target_arch = "x86_64")]
mod x86;

/// An implementation of the products and row functions. All give the same bits.
///
/// Every variant exists on every platform, so that configurations and messages can name it; whether it can run
/// is [`available`](Self::available). A further one (NEON with its `sdot`, CUDA with its `mma`) is a variant
/// here, its detection in `x86.rs` or a sibling, one file beside `product/vnni.rs` that fills blocks of 32
/// columns, one beside `served/product/vnni.rs`, and, where it pays, a level in `rows.rs` and `chacha.rs`. Nothing
/// above this crate changes; a device with memory of its own would keep [`Stored`](crate::Stored) there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// Plain Rust, written from the formulas: the reference.
    Scalar,
    /// 256-bit vectors (x86-64 since 2013).
    Avx2,
    /// 512-bit vectors with byte dot products (x86-64 servers since 2019, AMD since Zen 4).
    Vnni,
    /// Tile registers (Intel servers since Sapphire Rapids).
    Amx,
}

/// How wide the vectors of everything but the products are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Backend {
    /// All, from the slowest to the fastest.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Avx2, Self::Vnni, Self::Amx];

    /// Its name in configurations and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Vnni => "vnni",
            Self::Amx => "amx",
        }
    }

    /// Whether it runs on this machine. Asking for [`Amx`](Self::Amx) makes the process ask the kernel, once,
    /// for permission to use tile registers.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::avx2(),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => x86::vnni(),
            #[cfg(target_arch = "x86_64")]
            Self::Amx => x86::amx(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Vnni | Self::Amx => false,
        }
    }

    /// Those that run on this machine, from the slowest to the fastest; the first is [`Scalar`](Self::Scalar).
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|backend| backend.is_available()).collect()
    }

    /// The fastest that runs on this machine.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|backend| backend.is_available()).unwrap_or(Self::Scalar)
    }

    /// This backend, if it runs on this machine.
    pub fn check(self) -> Result<Self, Unavailable> {
        if self.is_available() { Ok(self) } else { Err(Unavailable(self)) }
    }

    /// Its level, after a check that the machine has it: what makes calls of vectorised functions sound.
    ///
    /// # Panics
    ///
    /// If the backend is not available.
    pub(crate) fn level(self) -> Level {
        if let Err(error) = self.check() {
            panic!("{error}");
        }
        match self {
            Self::Scalar => Level::Scalar,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Level::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Vnni | Self::Amx => Level::Avx512,
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Vnni | Self::Amx => Level::Scalar,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no backend has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no backend {0:?}; those available on this machine are {list}", list = names(&Backend::available()))]
pub struct UnknownBackend(String);

/// A backend that this machine cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend {0} does not run on this machine; those available are {list}", list = names(&Backend::available()))]
pub struct Unavailable(pub Backend);

/// Their names, separated by commas.
fn names(backends: &[Backend]) -> String {
    backends.iter().map(|backend| backend.name()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|backend| backend.name() == text);
        known.ok_or_else(|| UnknownBackend(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse(), Ok(backend));
        }
        let error = "cuda".parse::<Backend>().unwrap_err();
        assert!(error.to_string().contains("scalar"), "{error}");
    }

    #[test]
    fn the_reference_is_always_there() {
        assert_eq!(Backend::available()[0], Backend::Scalar);
        assert!(Backend::best().check().is_ok());
        for backend in Backend::ALL {
            if let Err(error) = backend.check() {
                assert!(error.to_string().contains("does not run"), "{error}");
            }
        }
    }
}
