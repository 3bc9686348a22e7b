//! Which earlier balls of another class an input's ball can meet.

use std::ops::Range;

use anyhow::{Context, Result};
use ddrs_common::domain::{Class, Outcome};
use rayon::prelude::*;

use super::point::{Coordinate, Distance, Point};
use super::projection::Projection;

/// An earlier ball of another class that is near enough to matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Contact {
    /// Its number.
    pub(super) ball: usize,
    /// How far its centre is.
    pub(super) distance: Distance,
}

/// The balls of all certified inputs, numbered in dataset order: as certified until they are
/// settled, then as the memory holds them.
pub(super) struct Balls {
    balls: Vec<Ball>,
    shape: [usize; 3],
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ball {
    /// Its input's place in the dataset.
    pub(super) place: usize,
    /// The class predicted in it.
    pub(super) class: Class,
    /// Its radius; none where the memory does without it.
    pub(super) reach: Option<f64>,
    projection: Projection,
}

impl Balls {
    /// Takes every certificate as it is and reads each certified input once.
    pub(super) fn new<'a, T: Coordinate>(
        outcomes: &[Outcome],
        read: &(impl Fn(usize) -> Result<Point<'a, T>> + Sync),
    ) -> Result<Self> {
        let certified: Vec<_> = outcomes
            .iter()
            .enumerate()
            .filter_map(certificate)
            .collect();
        let shape = match certified.first() {
            Some(&(place, ..)) => read(place)?.shape(),
            None => [0; 3],
        };
        let ball = |&(place, class, radius): &(usize, Class, f64)| {
            let projection = Projection::new(&fetch(read, place, shape)?);
            Ok(Ball {
                place,
                class,
                reach: Some(radius),
                projection,
            })
        };
        Ok(Self {
            balls: certified.par_iter().map(ball).collect::<Result<_>>()?,
            shape,
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.balls.len()
    }

    /// One of them.
    pub(super) fn get(&self, ball: usize) -> &Ball {
        &self.balls[ball]
    }

    /// Settles what the memory holds of a ball: a radius not above the one before, or none.
    pub(super) fn settle(&mut self, ball: usize, reach: Option<f64>) {
        self.balls[ball].reach = reach;
    }

    /// For each ball of the block, the earlier ones of another class whose ball may meet it;
    /// complete as long as balls only shrink.
    pub(super) fn contacts<'a, T: Coordinate>(
        &self,
        block: Range<usize>,
        read: &(impl Fn(usize) -> Result<Point<'a, T>> + Sync),
    ) -> Result<Vec<Vec<Contact>>> {
        block
            .into_par_iter()
            .map(|ball| self.contacts_of(ball, read))
            .collect()
    }

    fn contacts_of<'a, T: Coordinate>(
        &self,
        ball: usize,
        read: &impl Fn(usize) -> Result<Point<'a, T>>,
    ) -> Result<Vec<Contact>> {
        let near: Vec<_> = (0..ball)
            .filter_map(|earlier| Some((earlier, self.meeting(ball, earlier)?)))
            .collect();
        if near.is_empty() {
            return Ok(Vec::new());
        }
        let centre = fetch(read, self.balls[ball].place, self.shape)?;
        let mut contacts = Vec::new();
        for (earlier, reach) in near {
            let distance = centre.distance(&fetch(read, self.balls[earlier].place, self.shape)?);
            if distance.nearest <= reach {
                contacts.push(Contact {
                    ball: earlier,
                    distance,
                });
            }
        }
        Ok(contacts)
    }

    /// The distance below which two balls meet, unless they do not matter to each other or are
    /// certainly farther apart.
    fn meeting(&self, ball: usize, earlier: usize) -> Option<f64> {
        let (one, other) = (&self.balls[ball], &self.balls[earlier]);
        if one.class == other.class {
            return None;
        }
        let reach = (one.reach? + other.reach?).next_up();
        (!one.projection.is_beyond(&other.projection, reach)).then_some(reach)
    }
}

fn certificate((place, outcome): (usize, &Outcome)) -> Option<(usize, Class, f64)> {
    match *outcome {
        Outcome::Certified { class, radius } => Some((place, class, radius.get())),
        Outcome::Abstained => None,
    }
}

fn fetch<'a, T: Coordinate>(
    read: &impl Fn(usize) -> Result<Point<'a, T>>,
    place: usize,
    shape: [usize; 3],
) -> Result<Point<'a, T>> {
    let point = read(place)?;
    point
        .check(shape)
        .with_context(|| format!("input {place} of the variant"))?;
    Ok(point)
}
