//! Processor time, for measurements on machines that are shared.

use core::time::Duration;

/// The time that processors have spent on this process, all threads together, if the system tells. Unlike the time
/// on the wall it does not grow while others have the processor.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub fn processor_time() -> Option<Duration> {
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: core::ffi::c_int, time: *mut Time) -> core::ffi::c_int;
    }
    const CLOCK_PROCESS_CPUTIME_ID: core::ffi::c_int = 2;
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: the structure is that of the C library on 64-bit Linux, and the call fills it or fails.
    let status = unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let (seconds, nanoseconds) = (u64::try_from(time.seconds).ok()?, u32::try_from(time.nanoseconds).ok()?);
    (status == 0).then(|| Duration::new(seconds, nanoseconds))
}

/// Other systems are not asked.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub fn processor_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_processor_time() {
        let Some(before) = processor_time() else { return };
        crate::peak(crate::Backend::Scalar, Duration::from_millis(20));
        assert!(processor_time().unwrap() > before);
    }
}
