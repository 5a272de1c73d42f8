//! What an x86-64 processor and its operating system allow.

use core::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

/// 256-bit vectors with fused multiply-add and conversion from half precision: every processor that has the first
/// for integers has the others too, except for some from a small maker.
pub(super) fn avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// 512-bit vectors with the byte, quadword and dot product extensions.
pub(super) fn vnni() -> bool {
    avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

/// Tile registers with int8 products, next to everything of [`vnni`], permitted by the kernel.
pub(super) fn amx() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| vnni() && has_tiles() && state_enabled() && permitted())
}

/// CPUID leaf 7, EDX: bit 24 is AMX-TILE, bit 25 is AMX-INT8.
fn has_tiles() -> bool {
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).edx & TILE_AND_INT8 == TILE_AND_INT8
}

/// XCR0 bits 17 and 18: the system saves tile configuration and tile data when it switches tasks.
fn state_enabled() -> bool {
    const TILE_STATE: u32 = 1 << 17 | 1 << 18;
    // CPUID leaf 1, ECX bit 27 (OSXSAVE): XGETBV may be executed.
    if __cpuid_count(1, 0).ecx & 1 << 27 == 0 {
        return false;
    }
    let low: u32;
    // SAFETY: OSXSAVE was just checked, and XCR0 (register 0) always exists then; nothing else is touched.
    unsafe {
        core::arch::asm!(
            "xgetbv",
            in("ecx") 0, out("eax") low, out("edx") _,
            options(nomem, nostack, preserves_flags)
        );
    }
    low & TILE_STATE == TILE_STATE
}

/// Linux hands out the large state of tiles only to processes that ask: arch_prctl(ARCH_REQ_XCOMP_PERM, 18).
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_PRCTL: u64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    let status: i64;
    // SAFETY: the system call takes two integers, no memory of ours; the kernel clobbers rcx and r11 only.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => status,
            in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    status == 0
}

/// How other systems grant tiles is not known here.
#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}
