//! Strategies that damage bytes: truncation, flipped bits, inserted, removed and repeated ranges,
//! and extreme numbers.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// One change of the bytes.
#[derive(Debug, Clone)]
enum Edit {
    Cut(Index),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Number(Index, u64),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    let extreme = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(1 << 63),
        Just(1 << 32),
        Just(i64::MAX as u64)
    ];
    prop_oneof![
        1 => at().prop_map(Edit::Cut),
        4 => (at(), 0..8_u32).prop_map(|(at, bit)| Edit::Flip(at, 1 << bit)),
        2 => (at(), vec(any::<u8>(), 1..12)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (at(), 1..200_usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        1 => (at(), 1..200_usize).prop_map(|(at, count)| Edit::Repeat(at, count)),
        2 => (at(), extreme).prop_map(|(at, number)| Edit::Number(at, number)),
    ]
}

/// Returns a strategy for `bytes` with one to four changes.
pub(crate) fn damaged(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    vec(edit(), 1..5).prop_map(move |edits| edits.iter().fold(bytes.clone(), apply))
}

/// Returns a strategy for text with one to four changes. Invalid UTF-8 becomes U+FFFD.
pub(crate) fn damaged_text(text: &str) -> impl Strategy<Value = String> {
    damaged(text.as_bytes().to_vec()).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn apply(mut bytes: Vec<u8>, edit: &Edit) -> Vec<u8> {
    let place = |at: &Index| at.index(bytes.len() + 1);
    match edit {
        Edit::Cut(at) => bytes.truncate(place(at)),
        Edit::Insert(at, more) => {
            let place = place(at);
            bytes.splice(place..place, more.iter().copied());
        }
        Edit::Remove(at, count) => {
            let place = place(at);
            bytes.drain(place..bytes.len().min(place + count));
        }
        Edit::Repeat(at, count) => {
            let place = place(at);
            bytes.extend_from_within(place..bytes.len().min(place + count));
        }
        Edit::Flip(at, bits) if !bytes.is_empty() => {
            let place = at.index(bytes.len());
            bytes[place] ^= bits;
        }
        Edit::Number(at, number) => {
            let place = place(at);
            for (byte, new) in bytes[place..].iter_mut().zip(number.to_le_bytes()) {
                *byte = new;
            }
        }
        Edit::Flip(..) => {}
    }
    bytes
}
