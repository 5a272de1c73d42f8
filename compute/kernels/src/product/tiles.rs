//! Tile registers: the four operations that the product needs, in hardware and as a model.

/// Registers of a processor with tiles.
pub(crate) const REGISTERS: usize = 8;
/// Rows of a tile.
pub(crate) const TILE_ROWS: usize = 16;
/// Bytes of a row: 64 operands, or sixteen sums.
pub(crate) const ROW_BYTES: usize = 64;

/// Eight registers of 16 rows of 64 bytes. Register numbers are below [`REGISTERS`].
pub(crate) trait Tiles {
    /// Sets a register to zero.
    fn zero<const T: u8>(&mut self);

    /// Loads a register from rows that are `stride` bytes apart.
    ///
    /// # Safety
    ///
    /// Sixteen times 64 bytes can be read there.
    unsafe fn load<const T: u8>(&mut self, from: *const u8, stride: usize);

    /// Stores a register to rows that are `stride` bytes apart.
    ///
    /// # Safety
    ///
    /// Sixteen times 64 bytes can be written there.
    unsafe fn store<const T: u8>(&mut self, to: *mut u8, stride: usize);

    /// `sums[m][n] += left[m][4 k + i] * right[k][4 n + i]` over `k` below 16 and `i` below 4: signed bytes,
    /// 32-bit sums without saturation.
    fn dot<const SUMS: u8, const LEFT: u8, const RIGHT: u8>(&mut self);
}

/// The registers of this processor's core.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Hardware {
    /// They belong to the thread that configured them.
    not_send: core::marker::PhantomData<*mut ()>,
}

#[cfg(target_arch = "x86_64")]
impl Hardware {
    /// Configures all registers of this thread to their full size. Dropping the value releases them.
    ///
    /// # Safety
    ///
    /// The processor has tiles with int8 products, and the process may use them.
    pub(crate) unsafe fn configure() -> Self {
        #[repr(C, align(64))]
        struct Configuration([u8; 64]);
        let mut configuration = Configuration([0; 64]);
        configuration.0[0] = 1; // palette
        for register in 0..REGISTERS {
            configuration.0[16 + 2 * register] = ROW_BYTES as u8;
            configuration.0[48 + register] = TILE_ROWS as u8;
        }
        // SAFETY: the caller promises that the instruction exists; it reads 64 bytes.
        unsafe {
            core::arch::asm!(
                "ldtilecfg [{0}]", in(reg) &raw const configuration,
                options(nostack, readonly, preserves_flags)
            );
        }
        Self { not_send: core::marker::PhantomData }
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for Hardware {
    fn drop(&mut self) {
        // SAFETY: as `self` exists, tiles do; afterwards they are in their initial state, which costs nothing
        // when tasks are switched.
        unsafe { core::arch::asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}

// Tile registers keep their contents from one statement to the next: the compiler has no other use for them (it
// touches them only for code compiled with the feature `amx-tile`, which nothing here is), the statements are
// volatile and stay in order, and a thread's registers survive task switches like all others.
#[cfg(target_arch = "x86_64")]
impl Tiles for Hardware {
    #[inline(always)]
    fn zero<const T: u8>(&mut self) {
        // SAFETY: `self` proves that this thread has configured tiles; no memory is touched.
        unsafe { core::arch::asm!("tilezero tmm{t}", t = const T, options(nostack, nomem, preserves_flags)) };
    }

    #[inline(always)]
    unsafe fn load<const T: u8>(&mut self, from: *const u8, stride: usize) {
        // SAFETY: as above, and the caller promises that the rows can be read.
        unsafe {
            core::arch::asm!(
                "tileloadd tmm{t}, [{from} + {stride}*1]",
                t = const T, from = in(reg) from, stride = in(reg) stride,
                options(nostack, readonly, preserves_flags)
            );
        }
    }

    #[inline(always)]
    unsafe fn store<const T: u8>(&mut self, to: *mut u8, stride: usize) {
        // SAFETY: as above, and the caller promises that the rows can be written.
        unsafe {
            core::arch::asm!(
                "tilestored [{to} + {stride}*1], tmm{t}",
                t = const T, to = in(reg) to, stride = in(reg) stride,
                options(nostack, preserves_flags)
            );
        }
    }

    #[inline(always)]
    fn dot<const SUMS: u8, const LEFT: u8, const RIGHT: u8>(&mut self) {
        // SAFETY: as above; no memory is touched.
        unsafe {
            core::arch::asm!(
                "tdpbssd tmm{sums}, tmm{left}, tmm{right}",
                sums = const SUMS, left = const LEFT, right = const RIGHT,
                options(nostack, nomem, preserves_flags)
            );
        }
    }
}

/// What the manual says that the registers do, so that layouts and loops are tested on every machine.
#[cfg(test)]
pub(crate) struct Model {
    registers: [[[u8; ROW_BYTES]; TILE_ROWS]; REGISTERS],
}

#[cfg(test)]
impl Model {
    /// Registers full of what must not matter.
    pub(crate) fn new() -> Self {
        Self { registers: [[[0x55; ROW_BYTES]; TILE_ROWS]; REGISTERS] }
    }
}

#[cfg(test)]
impl Tiles for Model {
    fn zero<const T: u8>(&mut self) {
        self.registers[T as usize] = [[0; ROW_BYTES]; TILE_ROWS];
    }

    unsafe fn load<const T: u8>(&mut self, from: *const u8, stride: usize) {
        for (index, row) in self.registers[T as usize].iter_mut().enumerate() {
            // SAFETY: the caller promises that the rows can be read.
            *row = unsafe { from.add(index * stride).cast::<[u8; ROW_BYTES]>().read() };
        }
    }

    unsafe fn store<const T: u8>(&mut self, to: *mut u8, stride: usize) {
        for (index, row) in self.registers[T as usize].iter().enumerate() {
            // SAFETY: the caller promises that the rows can be written.
            unsafe { to.add(index * stride).cast::<[u8; ROW_BYTES]>().write(*row) };
        }
    }

    fn dot<const SUMS: u8, const LEFT: u8, const RIGHT: u8>(&mut self) {
        let (left, right) = (self.registers[LEFT as usize], self.registers[RIGHT as usize]);
        for (sums, left) in self.registers[SUMS as usize].iter_mut().zip(left) {
            for (n, sum) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let mut value = i32::from_le_bytes(*sum);
                for (left, right) in left.as_chunks::<4>().0.iter().zip(right) {
                    for (i, left) in left.iter().enumerate() {
                        value += i32::from(*left as i8) * i32::from(right[4 * n + i] as i8);
                    }
                }
                *sum = value.to_le_bytes();
            }
        }
    }
}
