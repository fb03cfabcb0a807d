//! [`Bytes`]: choices that an input makes, byte by byte.

/// Input of a target. At its end, every choice is 0.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one byte.
    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// Takes two bytes.
    pub fn short(&mut self) -> usize {
        u16::from_le_bytes(self.array()).into()
    }

    /// Takes three bytes.
    pub fn offset(&mut self) -> usize {
        let [low, middle, high] = self.array();
        u32::from_le_bytes([low, middle, high, 0]) as usize
    }

    /// Takes eight bytes.
    pub fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// Takes one byte, and returns a number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    /// Takes one byte, and returns the item that it chooses.
    pub fn choose<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Takes up to `len` bytes.
    pub fn slice(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Takes all bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Takes the length of a text and the text; bytes that are not UTF-8 are replaced.
    pub fn text(&mut self) -> String {
        let len = self.byte().into();
        String::from_utf8_lossy(self.slice(len)).into_owned()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.slice(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }
}
