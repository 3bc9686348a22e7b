//! Memory: makes certificates with different sigmas consistent with each other (Alfarra et al.
//! 2022, Algorithm 2).
//!
//! Each certificate is a ball in which one class is predicted. With one sigma for all inputs the
//! balls agree, because they are statements about one classifier. When each input has its own
//! sigma, two balls of different classes may overlap. In dataset order, each ball is made to agree
//! with those before it:
//! - An input inside an earlier ball of another class takes that class, and the largest ball that
//!   stays inside.
//! - For any other input the radius shrinks until its ball touches no ball of another class.
//! - An abstention does not enter the memory and does not change.
//!
//! Balls are open. Rounding only ever makes a ball smaller, so the stored balls are disjoint in
//! exact arithmetic too. A ball that took another class lies inside one in the memory and adds
//! nothing to it, so it is not stored. No ball in the memory is ever larger than its certificate.
//!
//! The same search finds certificates of one classifier that contradict each other ([`overlaps`]).
//!
//! In reading order: [`resolve`], [`overlaps`], [`Point`], then `contact` (the earlier balls that
//! an input's ball can meet) and `projection` (a cheap test that skips pairs that are too far
//! apart).

mod contact;
mod point;
mod projection;

#[cfg(test)]
mod tests;

pub(crate) use point::{Coordinate, Point};

use std::ops::Range;

use anyhow::{Context, Result};
use ddrs_common::domain::{Class, Outcome, Radius};

use contact::{Balls, Contact};

/// The number of inputs that look for contacts together, on all cores, before they are resolved one
/// after the other. The balls shrink between blocks, so later inputs find fewer contacts.
const BLOCK: usize = 512;

/// Applies Algorithm 2 to the outcomes of one variant in dataset order; the result has the same
/// order.
///
/// `read` returns the point of a certified input by its position in `outcomes`. It is called from
/// several threads, once per input and again where two certificates are close, so that a dataset
/// need not fit in memory. All points must have one shape.
///
/// Afterwards no two balls of different classes overlap, every ball of a new class lies inside one
/// that an earlier input certified, and no ball of an unchanged class has grown.
///
/// # Errors
/// Those of `read`, and the position of a point that cannot be compared.
pub(crate) fn resolve<'a, T: Coordinate>(
    outcomes: &[Outcome],
    read: impl Fn(usize) -> Result<Point<'a, T>> + Sync,
) -> Result<Vec<Outcome>> {
    let mut balls = Balls::new(outcomes, &read)?;
    let mut resolved = outcomes.to_vec();
    for block in blocks(balls.len()) {
        let contacts = balls.contacts(block.clone(), &read)?;
        for (ball, contacts) in block.zip(contacts) {
            let place = balls.get(ball).place;
            resolved[place] = resolve_ball(&mut balls, ball, &contacts)?;
        }
    }
    Ok(resolved)
}

/// Two certificates of different classes whose balls certainly overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Overlap {
    /// The position of the earlier input in the outcomes.
    pub first: usize,
    /// The position of the other one.
    pub second: usize,
    /// An upper bound on the distance of the two inputs, which is below the sum of their radii.
    pub distance: f64,
}

/// Finds the certificates of different classes whose balls overlap, in dataset order. If all of
/// them are about one classifier, at least one of each pair is false: at a point in both balls the
/// classifier would predict both classes.
///
/// `read` is called as by [`resolve`].
///
/// # Errors
/// As [`resolve`].
pub(crate) fn overlaps<'a, T: Coordinate>(
    outcomes: &[Outcome],
    read: impl Fn(usize) -> Result<Point<'a, T>> + Sync,
) -> Result<Vec<Overlap>> {
    let balls = Balls::new(outcomes, &read)?;
    let contacts = balls.contacts(0..balls.len(), &read)?;
    let pairs = contacts.iter().enumerate();
    Ok(pairs
        .flat_map(|(ball, contacts)| contacts.iter().map(move |contact| (ball, contact)))
        .filter_map(|(ball, contact)| overlap(&balls, ball, contact))
        .collect())
}

fn overlap(balls: &Balls, ball: usize, contact: &Contact) -> Option<Overlap> {
    let second = balls.get(ball);
    let first = balls.get(contact.ball);
    let distance = contact.distance.farthest;
    let meet = (first.reach? + second.reach?).next_down();
    (distance < meet).then_some(Overlap {
        first: first.place,
        second: second.place,
        distance,
    })
}

fn blocks(count: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = (0..count).step_by(BLOCK);
    starts.map(move |start| start..count.min(start + BLOCK))
}

/// Makes one ball agree with the memory; returns the outcome of its input.
fn resolve_ball(balls: &mut Balls, ball: usize, contacts: &[Contact]) -> Result<Outcome> {
    if let Some((class, radius)) = largest_inside(balls, contacts) {
        // A ball inside another one is not stored.
        balls.settle(ball, None);
        return certified(balls.get(ball).place, class, radius);
    }
    let radius = largest_apart(balls, ball, contacts);
    balls.settle(ball, Some(radius));
    let ball = balls.get(ball);
    certified(ball.place, ball.class, radius)
}

fn certified(place: usize, class: Class, radius: f64) -> Result<Outcome> {
    let radius = Radius::new(radius).with_context(|| format!("input {place} of the variant"))?;
    Ok(Outcome::Certified { class, radius })
}

/// Returns the class of the earlier balls that the input certainly lies inside, and the radius of
/// the largest ball around it that stays inside one of them. They have one class, because balls of
/// different classes do not overlap.
fn largest_inside(balls: &Balls, contacts: &[Contact]) -> Option<(Class, f64)> {
    contacts
        .iter()
        .filter_map(|contact| inside(balls, contact))
        .max_by(|one, other| one.1.total_cmp(&other.1))
}

/// Returns the class of an earlier ball and the radius that stays inside it, if the input certainly
/// lies inside.
fn inside(balls: &Balls, contact: &Contact) -> Option<(Class, f64)> {
    let earlier = balls.get(contact.ball);
    let room = earlier.reach? - contact.distance.farthest;
    (room > 0.0).then(|| (earlier.class, room.next_down()))
}

/// Returns the radius at which an input's ball touches no earlier one, and its own radius where no
/// ball is near. The radius is 0 for an input that may lie inside a ball but not certainly: an open
/// ball without radius is empty and contradicts nothing.
fn largest_apart(balls: &Balls, ball: usize, contacts: &[Contact]) -> f64 {
    // A ball keeps its radius until it is settled, which happens after this.
    let own = balls.get(ball).reach.unwrap_or(0.0);
    let gaps = contacts.iter().filter_map(|contact| gap(balls, contact));
    gaps.fold(own, f64::min).max(0.0)
}

/// Returns the largest radius that certainly does not touch an earlier ball.
fn gap(balls: &Balls, contact: &Contact) -> Option<f64> {
    let reach = balls.get(contact.ball).reach?;
    Some((contact.distance.nearest - reach).next_down())
}
