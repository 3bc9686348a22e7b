//! The integers of grid noise by tensor operations, for a device that makes its own noise. Nothing
//! here waits for the device.
//!
//! They are those of [`super::GridSampler`]. The bits that decide ties are drawn for every value,
//! since a choice of the values that need them would wait. All numbers of 32 bits are held in 64,
//! whose products wrap around as unsigned ones do.

use std::ops::Range;

use ddrs_common::grid::Thresholds;
use tch::{Device, Kind, TchError, Tensor};

use super::philox::{FACTORS, LANES, round_keys};
use super::source::{GROUP, PhaseKey, TIES};
use crate::device::move_to;

const LOW: i64 = 0xffff_ffff;

/// The thresholds of grid noise on a device, in the order of signed numbers.
pub struct DeviceThresholds {
    signed: Tensor,
    reach: i64,
}

impl DeviceThresholds {
    /// Copies thresholds to a device.
    pub fn new(thresholds: &Thresholds, device: Device) -> Result<Self, TchError> {
        let signed: Vec<i64> = thresholds
            .ascending()
            .iter()
            .map(|&threshold| threshold as i64 ^ i64::MIN)
            .collect();
        Ok(Self {
            signed: move_to(device, Tensor::f_from_slice(&signed)?)?,
            reach: i64::from(thresholds.reach()),
        })
    }

    /// Returns another handle on the same thresholds.
    #[must_use]
    pub fn share(&self) -> Self {
        Self {
            signed: self.signed.shallow_clone(),
            reach: self.reach,
        }
    }

    /// Returns the noise of some draws in steps, of shape (draws, values) and in 64-bit integers.
    pub fn noise(
        &self,
        key: PhaseKey,
        draws: Range<u32>,
        values: usize,
    ) -> Result<Tensor, TchError> {
        let first = words(key, draws.clone(), values, 0, self.signed.device())?;
        let ties = words(key, draws, values, TIES, self.signed.device())?;
        let number = first
            .f_bitwise_left_shift_tensor_scalar(32)?
            .f_bitwise_or_tensor(&ties)?
            .f_bitwise_xor(i64::MIN)?;
        number
            .f_bucketize(&self.signed, false, true)?
            .f_sub_scalar(self.reach)
    }
}

/// Returns 32 bits per value, of shape (draws, values).
fn words(
    key: PhaseKey,
    draws: Range<u32>,
    values: usize,
    first_block: u32,
    device: Device,
) -> Result<Tensor, TchError> {
    let groups = values.div_ceil(GROUP) as i64;
    let lanes = LANES as i64;
    let first = i64::from(first_block);
    let whole = (Kind::Int64, device);
    let blocks = Tensor::f_arange_start(first, first + groups * lanes, whole)?;
    let rows = Tensor::f_arange_start(i64::from(draws.start), i64::from(draws.end), whole)?;
    let shape = [rows.size()[0], groups, 1, lanes];
    let [third, fourth] = key.phase;
    let state = [
        blocks
            .f_view([1, groups, 1, lanes])?
            .f_expand(shape, false)?,
        rows.f_view([-1, 1, 1, 1])?.f_expand(shape, false)?,
        Tensor::f_full(shape, i64::from(third), whole)?,
        Tensor::f_full(shape, i64::from(fourth), whole)?,
    ];
    let words = round_keys(key.key).into_iter().try_fold(state, round)?;
    Tensor::f_cat(&words, 2)?
        .f_view([shape[0], groups * GROUP as i64])?
        .f_narrow(1, 0, values as i64)
}

fn round([a, b, c, d]: [Tensor; 4], [key_a, key_c]: [u32; 2]) -> Result<[Tensor; 4], TchError> {
    let x = a.f_mul_scalar(i64::from(FACTORS[0]))?;
    let y = c.f_mul_scalar(i64::from(FACTORS[1]))?;
    Ok([
        mixed(&y, &b, key_a)?,
        y.f_bitwise_and(LOW)?,
        mixed(&x, &d, key_c)?,
        x.f_bitwise_and(LOW)?,
    ])
}

/// The upper half of a product, xor a word and a key.
fn mixed(product: &Tensor, word: &Tensor, key: u32) -> Result<Tensor, TchError> {
    product
        .f_bitwise_right_shift_tensor_scalar(32)?
        .f_bitwise_and(LOW)?
        .f_bitwise_xor_tensor(word)?
        .f_bitwise_xor(i64::from(key))
}
