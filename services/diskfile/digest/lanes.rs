//! MD5 of several bodies at once, in the lanes of vectors (RFC 1321): its steps hang on each other, so that a processor hashes
//! four or eight bodies in hardly more time than one.

use pulp::{Arch, NullaryFnOnce};
use wide::u32x4;

/// Bodies in one vector.
const WIDTH: usize = 4;
/// Most bodies at once.
pub(super) const LANES_MAX: usize = 2 * WIDTH;

/// What MD5 takes at a time.
pub(super) type Block = [u8; 64];
/// What has come of a body's blocks so far.
pub(super) type State = [u32; 4];
/// Before the first block.
pub(super) const BEGIN: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The constants of the steps.
const TABLE: [[u32; 16]; 4] = [
    [
        0xd76a_a478,
        0xe8c7_b756,
        0x2420_70db,
        0xc1bd_ceee,
        0xf57c_0faf,
        0x4787_c62a,
        0xa830_4613,
        0xfd46_9501,
        0x6980_98d8,
        0x8b44_f7af,
        0xffff_5bb1,
        0x895c_d7be,
        0x6b90_1122,
        0xfd98_7193,
        0xa679_438e,
        0x49b4_0821,
    ],
    [
        0xf61e_2562,
        0xc040_b340,
        0x265e_5a51,
        0xe9b6_c7aa,
        0xd62f_105d,
        0x0244_1453,
        0xd8a1_e681,
        0xe7d3_fbc8,
        0x21e1_cde6,
        0xc337_07d6,
        0xf4d5_0d87,
        0x455a_14ed,
        0xa9e3_e905,
        0xfcef_a3f8,
        0x676f_02d9,
        0x8d2a_4c8a,
    ],
    [
        0xfffa_3942,
        0x8771_f681,
        0x6d9d_6122,
        0xfde5_380c,
        0xa4be_ea44,
        0x4bde_cfa9,
        0xf6bb_4b60,
        0xbebf_bc70,
        0x289b_7ec6,
        0xeaa1_27fa,
        0xd4ef_3085,
        0x0488_1d05,
        0xd9d4_d039,
        0xe6db_99e5,
        0x1fa2_7cf8,
        0xc4ac_5665,
    ],
    [
        0xf429_2244,
        0x432a_ff97,
        0xab94_23a7,
        0xfc93_a039,
        0x655b_59c3,
        0x8f0c_cc92,
        0xffef_f47d,
        0x8584_5dd1,
        0x6fa8_7e4f,
        0xfe2c_e6e0,
        0xa301_4314,
        0x4e08_11a1,
        0xf753_7e82,
        0xbd3a_f235,
        0x2ad7_d2bb,
        0xeb86_d391,
    ],
];
const ROTATIONS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// One word of each body, in some vectors that the processor works at side by side.
type Words<const VECTORS: usize> = [u32x4; VECTORS];

/// Hashes as many blocks as all bodies have. There are as many bodies as `VECTORS` have lanes, or fewer.
pub(super) fn compress<const VECTORS: usize>(states: &mut [State], bodies: &[&[Block]]) {
    let count = bodies.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
    let lanes = lanes_of::<VECTORS>(bodies, count);
    let words = Arch::new().dispatch(Blocks { lanes, count, before: gather(states) });
    for (lane, state) in states.iter_mut().enumerate() {
        for (word, vectors) in state.iter_mut().zip(&words) {
            let vector = vectors.get(lane / WIDTH).map(|vector| vector.to_array());
            *word = vector.and_then(|lanes| lanes.get(lane % WIDTH).copied()).unwrap_or_default();
        }
    }
}

/// So many blocks of each body, after these words.
struct Blocks<'b, const VECTORS: usize> {
    lanes: Lanes<'b, VECTORS>,
    count: usize,
    before: [Words<VECTORS>; 4],
}

/// Compiled for each of the instruction sets that the processor may have: newer ones take fewer instructions for a step.
impl<const VECTORS: usize> NullaryFnOnce for Blocks<'_, VECTORS> {
    type Output = [Words<VECTORS>; 4];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let mut words = self.before;
        for at in 0..self.count {
            words = after(words, &message(&self.lanes, at));
        }
        words
    }
}

type Lanes<'b, const VECTORS: usize> = [[&'b [Block]; WIDTH]; VECTORS];

/// The first `count` blocks of each body. A lane without a body has those of the first, for nothing.
fn lanes_of<'b, const VECTORS: usize>(bodies: &[&'b [Block]], count: usize) -> Lanes<'b, VECTORS> {
    let lane = |index: usize| bodies.get(index).or(bodies.first()).and_then(|blocks| blocks.get(..count));
    std::array::from_fn(|vector| std::array::from_fn(|at| lane(vector * WIDTH + at).unwrap_or_default()))
}

fn gather<const VECTORS: usize>(states: &[State]) -> [Words<VECTORS>; 4] {
    let word = |lane: usize, word: usize| states.get(lane).and_then(|state| state.get(word)).copied();
    std::array::from_fn(|at| {
        std::array::from_fn(|vector| {
            u32x4::new(std::array::from_fn(|lane| word(vector * WIDTH + lane, at).unwrap_or_default()))
        })
    })
}

/// The sixteen words of one block of each body.
#[inline(always)]
fn message<const VECTORS: usize>(lanes: &Lanes<'_, VECTORS>, block: usize) -> [Words<VECTORS>; 16] {
    let mut message = [[u32x4::ZERO; VECTORS]; 16];
    for (vector, lanes) in lanes.iter().enumerate() {
        for quarter in 0..16 / WIDTH {
            let rows = lanes.map(|blocks| {
                let (words, _) = blocks[block].as_chunks::<4>();
                u32x4::new(std::array::from_fn(|at| u32::from_le_bytes(words[WIDTH * quarter + at])))
            });
            for (at, column) in transposed(rows).into_iter().enumerate() {
                message[WIDTH * quarter + at][vector] = column;
            }
        }
    }
    message
}

#[inline(always)]
fn transposed(rows: [u32x4; WIDTH]) -> [u32x4; WIDTH] {
    let rows = rows.map(u32x4::to_array);
    std::array::from_fn(|column| u32x4::new(rows.map(|row| row[column])))
}

/// What comes of one block. All steps are written out, so that order and rotations are constants of the instructions.
#[inline(always)]
fn after<const VECTORS: usize>(
    before: [Words<VECTORS>; 4],
    message: &[Words<VECTORS>; 16],
) -> [Words<VECTORS>; 4] {
    let [mut a, mut b, mut c, mut d] = before;
    macro_rules! round {
        ($number:literal, $order:expr, $mix:expr, $($at:literal)*) => { $(
            a = step::<VECTORS, $number, { $at }>(message, $order, $mix, [a, b, c, d]);
            d = step::<VECTORS, $number, { $at + 1 }>(message, $order, $mix, [d, a, b, c]);
            c = step::<VECTORS, $number, { $at + 2 }>(message, $order, $mix, [c, d, a, b]);
            b = step::<VECTORS, $number, { $at + 3 }>(message, $order, $mix, [b, c, d, a]);
        )* };
    }
    round!(0, |at| at, |x, y, z| z ^ (x & (y ^ z)), 0 4 8 12);
    round!(1, |at| 5 * at + 1, |x, y, z| y ^ (z & (x ^ y)), 0 4 8 12);
    round!(2, |at| 3 * at + 5, |x, y, z| x ^ y ^ z, 0 4 8 12);
    round!(3, |at| 7 * at, |x, y, z| y ^ (x | !z), 0 4 8 12);
    let words = [a, b, c, d];
    std::array::from_fn(|word| std::array::from_fn(|vector| before[word][vector] + words[word][vector]))
}

/// One step. `order` says which word of the message comes when.
#[inline(always)]
fn step<const VECTORS: usize, const ROUND: usize, const AT: usize>(
    message: &[Words<VECTORS>; 16],
    order: impl Fn(usize) -> usize,
    mix: impl Fn(u32x4, u32x4, u32x4) -> u32x4,
    [a, b, c, d]: [Words<VECTORS>; 4],
) -> Words<VECTORS> {
    let (word, constant, rotation) =
        (message[order(AT) % 16], u32x4::splat(TABLE[ROUND][AT]), ROTATIONS[ROUND][AT % 4]);
    std::array::from_fn(|vector| {
        let sum = mix(b[vector], c[vector], d[vector]) + a[vector] + constant + word[vector];
        ((sum << rotation) | (sum >> (32 - rotation))) + b[vector]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the implementation for one body has it, whatever the others are, however many there are.
    #[test]
    fn lanes_do_not_mix() {
        let bodies: Vec<Vec<Block>> = (0..LANES_MAX)
            .map(|lane| {
                let byte = |at: usize| (at * 31 + lane * 97 + at / 251) as u8;
                (0..5 + lane).map(|block| std::array::from_fn(|at| byte(block * 64 + at))).collect()
            })
            .collect();
        for count in 1..=LANES_MAX {
            let bodies: Vec<&[Block]> = bodies.iter().take(count).map(Vec::as_slice).collect();
            let begin: Vec<State> =
                (0..count).map(|lane| BEGIN.map(|word| word.wrapping_mul(2 * lane as u32 + 1))).collect();
            let mut states = begin.clone();
            match count {
                0..=WIDTH => compress::<1>(&mut states, &bodies),
                _ => compress::<2>(&mut states, &bodies),
            }
            for ((mut expected, body), state) in begin.into_iter().zip(&bodies).zip(states) {
                md5::block_api::compress(&mut expected, &body[..5]);
                assert_eq!(state, expected, "{count} bodies");
            }
        }
    }
}
