//! Counters of a launch, which show how well a kernel uses the hardware.

/// Counters, summed over all blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instructions executed by a warp, whatever the number of active lanes.
    pub instructions: u64,
    /// Products on tensor cores.
    pub mma: u64,
    pub global_bytes_loaded: u64,
    pub global_bytes_stored: u64,
    /// Global loads of a thread, of any width.
    pub global_accesses: u64,
    /// Global loads of 16 bytes, the widest.
    pub global_accesses_of_16_bytes: u64,
    /// Passes through shared memory without bank conflicts.
    pub shared_accesses: u64,
    /// Additional passes caused by bank conflicts.
    pub shared_conflict_passes: u64,
    /// Branches that diverge.
    pub divergent_branches: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.instructions += other.instructions;
        self.mma += other.mma;
        self.global_bytes_loaded += other.global_bytes_loaded;
        self.global_bytes_stored += other.global_bytes_stored;
        self.global_accesses += other.global_accesses;
        self.global_accesses_of_16_bytes += other.global_accesses_of_16_bytes;
        self.shared_accesses += other.shared_accesses;
        self.shared_conflict_passes += other.shared_conflict_passes;
        self.divergent_branches += other.divergent_branches;
    }

    /// Counts an access of one thread to global memory.
    pub fn global_access(&mut self, bytes: usize, is_store: bool) {
        let moved =
            if is_store { &mut self.global_bytes_stored } else { &mut self.global_bytes_loaded };
        *moved += bytes as u64;
        self.global_accesses += 1;
        self.global_accesses_of_16_bytes += u64::from(bytes == 16);
    }

    /// Counts an access of a warp's lanes to `bytes` bytes at each address in shared memory.
    ///
    /// Memory has 32 banks of 4-byte words. Lanes are served together as long as they access at most 128 bytes, in as many
    /// passes as the busiest bank has distinct words.
    pub fn shared_access(&mut self, addresses: &[usize], bytes: usize) {
        const BANKS: usize = 32;
        let words_each = bytes.div_ceil(4);
        for together in addresses.chunks(BANKS / words_each) {
            let mut words = [usize::MAX; BANKS];
            let used = together.len() * words_each;
            for (slot, &address) in words.chunks_mut(words_each).zip(together) {
                for (word, value) in slot.iter_mut().zip(address / 4..) {
                    *word = value;
                }
            }
            let words = &mut words[..used];
            words.sort_unstable();
            let mut passes = [0u8; BANKS];
            let mut last = usize::MAX;
            for &word in words.iter() {
                passes[word % BANKS] += u8::from(word != last);
                last = word;
            }
            let passes = passes.into_iter().max().unwrap_or(1);
            self.shared_accesses += 1;
            self.shared_conflict_passes += u64::from(passes) - 1;
        }
    }
}
