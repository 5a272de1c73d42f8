//! How fast a backend's own instruction is, with operands in registers and nothing else to do.

use core::hint::black_box;
use core::time::Duration;
use std::time::Instant;

use crate::backend::Backend;

/// Steps of a reading: some tens to hundreds of microseconds, much less than the slices of time that a system gives to
/// others on a busy machine.
const STEPS: u64 = 1 << 14;

/// Operations per second of this core at its best within `duration`: two for each multiply-add, only the
/// instruction that products of this backend are made of, on registers.
///
/// The best of many short readings: a machine shared with others is sometimes slower, but never faster than it is.
/// For the reference it is plain multiplication and addition, as far as the compiler leaves them plain.
///
/// # Panics
///
/// If `backend` is not available.
pub fn peak(backend: Backend, duration: Duration) -> f64 {
    let (run, operations): (fn(u64), u64) = match backend {
        Backend::Scalar => (scalar, 2 * 8),
        #[cfg(target_arch = "x86_64")]
        Backend::Avx2 => (x86::avx2_checked, 2 * x86::AVX2_PRODUCTS),
        #[cfg(target_arch = "x86_64")]
        Backend::Vnni => (x86::vnni_checked, 2 * x86::VNNI_PRODUCTS),
        #[cfg(target_arch = "x86_64")]
        Backend::Amx => (x86::amx_checked, 2 * x86::AMX_PRODUCTS),
        #[cfg(not(target_arch = "x86_64"))]
        Backend::Avx2 | Backend::Vnni | Backend::Amx => (scalar, 2 * 8),
    };
    let _ = backend.level();
    let start = Instant::now();
    let mut best = 0.0f64;
    loop {
        let reading = Instant::now();
        run(STEPS);
        let seconds = reading.elapsed().as_secs_f64();
        best = best.max((STEPS * operations) as f64 / seconds);
        if start.elapsed() >= duration {
            return best;
        }
    }
}

fn scalar(steps: u64) {
    let (a, w) = (black_box([3i32; 8]), black_box([5i32; 8]));
    let mut sums = [0i32; 8];
    for _ in 0..steps {
        // Opaque, so that the steps cannot be folded into one multiplication.
        let w = black_box(w[0]);
        for (sum, a) in sums.iter_mut().zip(a) {
            *sum = sum.wrapping_add(a.wrapping_mul(w));
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! Loops of one instruction. Enough accumulators hide its latency: ten would do on every processor so far.

    use core::arch::asm;
    use core::arch::x86_64::{_mm256_set1_epi16, _mm512_set1_epi8};

    use crate::backend::Backend;

    /// Multiply-adds in a step: twelve times sixteen.
    pub(super) const AVX2_PRODUCTS: u64 = 12 * 16;
    /// Multiply-adds in a step: sixteen times 64.
    pub(super) const VNNI_PRODUCTS: u64 = 16 * 64;
    /// Multiply-adds in a step: four times 16 x 16 x 64.
    pub(super) const AMX_PRODUCTS: u64 = 4 * 16 * 16 * 64;

    pub(super) fn avx2_checked(steps: u64) {
        assert!(Backend::Avx2.is_available());
        // SAFETY: just checked.
        unsafe { avx2(steps) }
    }

    pub(super) fn vnni_checked(steps: u64) {
        assert!(Backend::Vnni.is_available());
        // SAFETY: just checked.
        unsafe { vnni(steps) }
    }

    pub(super) fn amx_checked(steps: u64) {
        assert!(Backend::Amx.is_available());
        // SAFETY: just checked.
        let tiles = unsafe { crate::product::tiles::Hardware::configure() };
        // SAFETY: the registers are configured; the loop touches nothing else.
        unsafe {
            asm!(
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                "tilezero tmm4", "tilezero tmm5", "tilezero tmm6", "tilezero tmm7",
                "2:",
                "tdpbssd tmm0, tmm4, tmm6", "tdpbssd tmm1, tmm4, tmm7",
                "tdpbssd tmm2, tmm5, tmm6", "tdpbssd tmm3, tmm5, tmm7",
                "dec {steps}",
                "jnz 2b",
                steps = inout(reg) steps => _,
                options(nostack, nomem)
            );
        }
        drop(tiles);
    }

    /// # Safety
    ///
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    unsafe fn avx2(steps: u64) {
        let (a, w) = (_mm256_set1_epi16(3), _mm256_set1_epi16(5));
        // SAFETY: only vector registers are used, all of them declared.
        unsafe {
            asm!(
                "2:",
                "vpmaddwd {t}, {a}, {w}", "vpaddd ymm0, ymm0, {t}", "vpmaddwd {u}, {a}, {w}", "vpaddd ymm1, ymm1, {u}",
                "vpmaddwd {t}, {a}, {w}", "vpaddd ymm2, ymm2, {t}", "vpmaddwd {u}, {a}, {w}", "vpaddd ymm3, ymm3, {u}",
                "vpmaddwd {t}, {a}, {w}", "vpaddd ymm4, ymm4, {t}", "vpmaddwd {u}, {a}, {w}", "vpaddd ymm5, ymm5, {u}",
                "vpmaddwd {t}, {a}, {w}", "vpaddd ymm6, ymm6, {t}", "vpmaddwd {u}, {a}, {w}", "vpaddd ymm7, ymm7, {u}",
                "vpmaddwd {t}, {a}, {w}", "vpaddd ymm8, ymm8, {t}", "vpmaddwd {u}, {a}, {w}", "vpaddd ymm9, ymm9, {u}",
                "vpmaddwd {t}, {a}, {w}", "vpaddd ymm10, ymm10, {t}", "vpmaddwd {u}, {a}, {w}", "vpaddd ymm11, ymm11, {u}",
                "dec {steps}",
                "jnz 2b",
                steps = inout(reg) steps => _, a = in(ymm_reg) a, w = in(ymm_reg) w,
                t = out(ymm_reg) _, u = out(ymm_reg) _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                options(nostack, nomem)
            );
        }
    }

    /// # Safety
    ///
    /// The processor has AVX-512 VNNI.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn vnni(steps: u64) {
        let (a, w) = (_mm512_set1_epi8(3), _mm512_set1_epi8(5));
        // SAFETY: only vector registers are used, all of them declared.
        unsafe {
            asm!(
                "2:",
                "vpdpbusd zmm0, {a}, {w}", "vpdpbusd zmm1, {a}, {w}", "vpdpbusd zmm2, {a}, {w}", "vpdpbusd zmm3, {a}, {w}",
                "vpdpbusd zmm4, {a}, {w}", "vpdpbusd zmm5, {a}, {w}", "vpdpbusd zmm6, {a}, {w}", "vpdpbusd zmm7, {a}, {w}",
                "vpdpbusd zmm8, {a}, {w}", "vpdpbusd zmm9, {a}, {w}", "vpdpbusd zmm10, {a}, {w}", "vpdpbusd zmm11, {a}, {w}",
                "vpdpbusd zmm12, {a}, {w}", "vpdpbusd zmm13, {a}, {w}", "vpdpbusd zmm14, {a}, {w}", "vpdpbusd zmm15, {a}, {w}",
                "dec {steps}",
                "jnz 2b",
                steps = inout(reg) steps => _, a = in(zmm_reg) a, w = in(zmm_reg) w,
                out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _,
                options(nostack, nomem)
            );
        }
    }
}
