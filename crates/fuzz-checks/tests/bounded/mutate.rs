//! Small changes to known bytes, drawn from a seed.

/// What parsers stumble over.
const WORDS: [&[u8]; 30] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b"0",
    b"-1",
    b"1e999",
    b"18446744073709551615",
    b"\"data\"",
    b"\"shape\"",
    b"\"inputs\"",
    b"\"parameters\"",
    b"\"binary_data_size\"",
    b"\"datatype\"",
    b"\"FP32\"",
    b"\"BYTES\"",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x1f\x8b",
    b"[[[[[[[[[[[[[[[[",
];
/// A change never makes more than this.
const BYTES_MAX: usize = 32 * 1024;

/// Makes new bytes from old.
pub struct Mutator<'a> {
    state: u64,
    seeds: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    pub fn new(seed: u64, seeds: &'a [Vec<u8>]) -> Self {
        Self { state: seed, seeds }
    }

    /// A seed with one to eight changes.
    pub fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.seed().to_vec();
        for _ in 0..=self.below(8) {
            self.change(&mut bytes);
            bytes.truncate(BYTES_MAX);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let end = at + self.below((bytes.len() - at).min(64) + 1);
        match self.below(8) {
            0 if at < bytes.len() => bytes[at] = self.draw() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let word = WORDS[self.below(WORDS.len())];
                drop(bytes.splice(at..at, word.iter().copied()));
            }
            5 => {
                let word = WORDS[self.below(WORDS.len())];
                let end = bytes.len().min(at + word.len());
                drop(bytes.splice(at..end, word.iter().copied()));
            }
            6 => {
                let part = bytes[at..end].repeat(1 + self.below(40));
                drop(bytes.splice(at..at, part));
            }
            _ => {
                let other = self.seed();
                let from = self.below(other.len() + 1);
                let to = from + self.below((other.len() - from).min(200) + 1);
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }

    fn seed(&mut self) -> &'a [u8] {
        let index = self.below(self.seeds.len());
        &self.seeds[index]
    }

    fn below(&mut self, n: usize) -> usize {
        (self.draw() >> 11) as usize % n.max(1)
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}
