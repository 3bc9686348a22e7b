//! The upper tail Q(z) = 1 - Phi(z) of the normal distribution in fixed point.
//!
//! Around each of 153 nodes, one sixteenth apart from 0 to 9.5, stands the Taylor polynomial of Q.
//! The first node's value is 1/2; each next one is the polynomial of the node before, evaluated one
//! sixteenth further. All numbers are integers in units of 2^-120, so no rounding depends on the
//! machine.

use std::sync::LazyLock;

/// The bits after the binary point of a probability.
pub(super) const TAIL_BITS: u32 = 120;
/// The bits after the binary point of z. The distance of two nodes, 1/16, is 2^64 units.
pub(super) const Z_BITS: u32 = 68;

/// The last node, in sixteenths. Beyond 9.5, Q is below 1.1e-21 < 2^-69.
const LAST_NODE: usize = 152;
/// The terms of a polynomial that leads to the next node; the remainder is below 2^-110.
const STEP_TERMS: usize = 20;
/// The terms that are kept. Within 1/32 of the node the remainder is below 2^-80.
const TERMS: usize = 14;
/// 1 / sqrt(2 pi) in units of 2^-120.
const DENSITY_AT_0: i128 = 0x0066_2114_cf50_d942_343f_2cf1_402e_ae39;

/// The coefficients of Q around a node, by ascending power.
type Polynomial = [i128; TERMS];

static NODES: LazyLock<Vec<Polynomial>> = LazyLock::new(nodes);

/// Q(z) in units of 2^-120, for a z of 0 or more in units of 2^-68.
///
/// The result is within 2^-70 of Q(z); where z was rounded down to a whole unit, within 2^-69 of
/// the true z's Q.
pub(super) fn upper_tail(z: u128) -> u128 {
    let node = (z + (1 << 63)) >> 64;
    let Some(polynomial) = usize::try_from(node).ok().and_then(|node| NODES.get(node)) else {
        return 0;
    };
    // The distance from the node, from -1/32 up to 1/32: the low bits as a signed number.
    let t = z as u64 as i64;
    let [first @ .., last] = polynomial;
    let value = first
        .iter()
        .rev()
        .fold(*last, |sum, &coefficient| coefficient + times(sum, t));
    value.max(0).cast_unsigned()
}

/// The product of a number in units of 2^-120 and one in units of 2^-68, to 2 units below.
fn times(value: i128, t: i64) -> i128 {
    let t = i128::from(t);
    let high = i128::from((value >> 64) as i64);
    let low = i128::from(value as u64);
    ((high * t) >> (Z_BITS - 64)) + ((low * t) >> Z_BITS)
}

fn nodes() -> Vec<Polynomial> {
    let mut tail = 1 << (TAIL_BITS - 1);
    let mut density = DENSITY_AT_0;
    let mut nodes = Vec::with_capacity(LAST_NODE + 1);
    for node in 0..=LAST_NODE {
        let density_terms = density_around(node, density);
        let tail_terms = integral(tail, &density_terms);
        nodes.push(std::array::from_fn(|power| tail_terms[power]));
        tail = one_sixteenth_further(&tail_terms);
        density = one_sixteenth_further(&density_terms);
    }
    nodes
}

/// The Taylor coefficients of the density around a node, from phi' = -z phi:
/// (n + 1) p_(n+1) = -(z p_n + p_(n-1)).
fn density_around(node: usize, density: i128) -> [i128; STEP_TERMS] {
    let z_sixteenths = node as i128;
    let mut terms = [0; STEP_TERMS];
    terms[0] = density;
    terms[1] = -(z_sixteenths * density / 16);
    for n in 1..STEP_TERMS - 1 {
        terms[n + 1] = -(z_sixteenths * terms[n] / 16 + terms[n - 1]) / (n as i128 + 1);
    }
    terms
}

/// The coefficients of Q, whose derivative is minus the density.
fn integral(tail: i128, density: &[i128; STEP_TERMS]) -> [i128; STEP_TERMS] {
    let mut terms = [tail; STEP_TERMS];
    for (n, term) in terms.iter_mut().enumerate().skip(1) {
        *term = -density[n - 1] / n as i128;
    }
    terms
}

/// The value of a polynomial at 1/16.
fn one_sixteenth_further(terms: &[i128; STEP_TERMS]) -> i128 {
    terms.iter().rev().fold(0, |sum, &term| term + (sum >> 4))
}
