//! Memory: certificates with different sigma made consistent with each other (Alfarra et al. 2022,
//! Algorithm 2).
//!
//! Each certificate is a ball in which one class is predicted. With one sigma for all inputs the
//! balls agree, because they speak of one classifier; when each input has its own sigma, two balls
//! of different classes may overlap. Going through the inputs in dataset order, each ball is made
//! to agree with those before it:
//! - inside an earlier ball of another class, an input takes that class and the largest ball that
//!   stays inside;
//! - otherwise its radius shrinks until it touches no ball of another class;
//! - an abstention neither enters the memory nor changes.
//!
//! Balls are open. Distances round against the claim, so what is stored is disjoint in exact
//! arithmetic too. A ball that took another class lies inside one in the memory, and so says
//! nothing that the memory does not hold already: it is not stored, and no ball in the memory is
//! ever larger than its own certificate.
//!
//! In reading order: [`resolve`], [`Point`], then `contact` (which earlier balls an input can meet)
//! and `projection` (which pairs are too far apart to look at).

mod contact;
mod point;
mod projection;

#[cfg(test)]
mod tests;

pub use point::{Coordinate, Point};

use anyhow::{Context, Result};
use ddrs_common::domain::{Class, Outcome, Radius};

use contact::{Balls, Contact};

/// How many inputs look for contacts at once, on all cores, before they are resolved one after the
/// other. Between blocks the balls shrink, so that later inputs find fewer.
const BLOCK: usize = 512;

/// Algorithm 2 over the outcomes of one variant in dataset order; the result is in the same order.
///
/// `read` gives the point of an input by its place in `outcomes`, where it is certified; from
/// several threads, once for each input and again where two certificates come close, so that a
/// dataset need not fit in memory. Points must all have one shape.
///
/// Afterwards no two balls of different classes overlap, every ball of a new class lies inside one
/// that an earlier input certified and no ball of an unchanged class has grown.
///
/// # Errors
/// Those of `read`, and points that cannot be compared, by their place.
pub fn resolve<'a, T: Coordinate>(
    outcomes: &[Outcome],
    read: impl Fn(usize) -> Result<Point<'a, T>> + Sync,
) -> Result<Vec<Outcome>> {
    let mut balls = Balls::new(outcomes, &read)?;
    let mut resolved = outcomes.to_vec();
    for start in (0..balls.len()).step_by(BLOCK) {
        let block = start..balls.len().min(start + BLOCK);
        for (ball, contacts) in block.clone().zip(balls.contacts(block, &read)?) {
            let inside = largest_inside(&balls, &contacts);
            let apart = || {
                (
                    balls.get(ball).class,
                    largest_apart(&balls, ball, &contacts),
                )
            };
            let (class, radius) = inside.unwrap_or_else(apart);
            balls.settle(ball, inside.is_none().then_some(radius));
            let place = balls.get(ball).place;
            let radius =
                Radius::new(radius).with_context(|| format!("input {place} of the variant"))?;
            resolved[place] = Outcome::Certified { class, radius };
        }
    }
    Ok(resolved)
}

/// The class of the earlier balls that the input certainly lies inside of, and the radius of the
/// largest ball around it that stays inside one of them. They are of one class, because balls of
/// different classes do not overlap.
fn largest_inside(balls: &Balls, contacts: &[Contact]) -> Option<(Class, f64)> {
    let inside = contacts.iter().filter_map(|contact| {
        let earlier = balls.get(contact.ball);
        let room = earlier.reach? - contact.distance.farthest;
        (room > 0.0).then(|| (earlier.class, room.next_down()))
    });
    inside.max_by(|one, other| one.1.total_cmp(&other.1))
}

/// The radius at which an input's ball touches no earlier one, its own where none is near. Zero for
/// an input that may lie inside one but not certainly: an open ball without radius is empty and
/// contradicts nothing.
fn largest_apart(balls: &Balls, ball: usize, contacts: &[Contact]) -> f64 {
    let gap = |contact: &Contact| {
        Some((contact.distance.nearest - balls.get(contact.ball).reach?).next_down())
    };
    // A ball has its radius until it is settled, which is what this is for.
    let own = balls.get(ball).reach.unwrap_or(0.0);
    contacts.iter().filter_map(gap).fold(own, f64::min).max(0.0)
}
