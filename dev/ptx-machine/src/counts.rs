//! What a launch did, in numbers that say whether a kernel makes good use of the hardware.

/// Summed over all blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Executed by a warp, whatever the number of its active lanes.
    pub instructions: u64,
    /// Products on tensor cores.
    pub mma: u64,
    pub global_bytes_loaded: u64,
    pub global_bytes_stored: u64,
    /// By a thread, of whatever width.
    pub global_accesses: u64,
    /// Those of 16 bytes, the widest.
    pub global_accesses_of_16_bytes: u64,
    /// Passes through shared memory that would do if there were no bank conflicts.
    pub shared_accesses: u64,
    /// Passes that bank conflicts add.
    pub shared_conflict_passes: u64,
    /// Branches that part the lanes of a warp.
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

    /// An access by one thread to global memory.
    pub fn global_access(&mut self, bytes: usize, is_store: bool) {
        let moved =
            if is_store { &mut self.global_bytes_stored } else { &mut self.global_bytes_loaded };
        *moved += bytes as u64;
        self.global_accesses += 1;
        self.global_accesses_of_16_bytes += u64::from(bytes == 16);
    }

    /// An access by the lanes of a warp to `bytes` at each of some addresses in shared memory.
    ///
    /// Memory has 32 banks of 4-byte words. As many lanes as want 128 bytes together are served at
    /// once, in as many passes as the busiest bank has different words to give.
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
