//! Finds the earlier balls of another class that an input's ball can meet.

use std::ops::Range;

use anyhow::{Context, Result};
use ddrs_common::domain::{Class, Outcome};
use rayon::prelude::*;

use super::point::{Coordinate, Distance, Point};
use super::projection::Projection;

/// An earlier ball of another class that is near enough to matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Contact {
    /// The number of the ball.
    pub(super) ball: usize,
    /// The distance of its centre.
    pub(super) distance: Distance,
}

/// The balls of all certified inputs, numbered in dataset order. A ball is as certified until it is
/// settled, and then as the memory stores it.
pub(super) struct Balls {
    balls: Vec<Ball>,
    shape: [usize; 3],
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ball {
    /// The position of its input in the dataset.
    pub(super) place: usize,
    /// The class predicted in it.
    pub(super) class: Class,
    /// The radius; `None` for a ball that the memory does not store.
    pub(super) reach: Option<f64>,
    projection: Projection,
}

/// An earlier ball that may be a contact.
struct NearBall {
    ball: usize,
    /// The distance below which the two balls meet.
    meeting_distance: f64,
}

impl NearBall {
    /// Returns the contact, if the balls meet at this distance of their centres.
    fn contact(&self, distance: Distance) -> Option<Contact> {
        (distance.nearest <= self.meeting_distance).then_some(Contact {
            ball: self.ball,
            distance,
        })
    }
}

/// A certified input: its position, class and radius.
#[derive(Debug, Clone, Copy)]
struct CertifiedInput {
    place: usize,
    class: Class,
    radius: f64,
}

impl Balls {
    /// Takes every certificate as it is, and reads each certified input once.
    pub(super) fn new<'a, T: Coordinate>(
        outcomes: &[Outcome],
        read: &(impl Fn(usize) -> Result<Point<'a, T>> + Sync),
    ) -> Result<Self> {
        let certificates = certificates(outcomes);
        let shape = shape_of_first(&certificates, read)?;
        let balls = certificates
            .par_iter()
            .map(|&certificate| ball(certificate, read, shape));
        Ok(Self {
            balls: balls.collect::<Result<_>>()?,
            shape,
        })
    }

    /// Returns the number of balls.
    pub(super) fn len(&self) -> usize {
        self.balls.len()
    }

    /// Returns the ball with this number.
    pub(super) fn get(&self, ball: usize) -> &Ball {
        &self.balls[ball]
    }

    /// Settles what the memory stores of a ball: a radius that is not above the one before, or
    /// `None`.
    pub(super) fn settle(&mut self, ball: usize, reach: Option<f64>) {
        self.balls[ball].reach = reach;
    }

    /// Returns, for each ball of the block, the earlier balls of another class that it may meet.
    /// The lists stay complete as long as balls only shrink.
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
        let near = self.near(ball);
        if near.is_empty() {
            return Ok(Vec::new());
        }
        let centre = self.centre(ball, read)?;
        let mut contacts = Vec::new();
        for candidate in near {
            let distance = centre.distance(&self.centre(candidate.ball, read)?);
            contacts.extend(candidate.contact(distance));
        }
        Ok(contacts)
    }

    /// Returns the earlier balls whose projections do not show that they are too far apart.
    fn near(&self, ball: usize) -> Vec<NearBall> {
        (0..ball)
            .filter_map(|earlier| {
                Some(NearBall {
                    ball: earlier,
                    meeting_distance: self.meeting_distance(ball, earlier)?,
                })
            })
            .collect()
    }

    fn centre<'a, T: Coordinate>(
        &self,
        ball: usize,
        read: &impl Fn(usize) -> Result<Point<'a, T>>,
    ) -> Result<Point<'a, T>> {
        read_checked(read, self.balls[ball].place, self.shape)
    }

    /// Returns the distance below which two balls meet; `None` if they do not matter to each other
    /// or are certainly farther apart.
    fn meeting_distance(&self, ball: usize, earlier: usize) -> Option<f64> {
        let one = &self.balls[ball];
        let other = &self.balls[earlier];
        if one.class == other.class {
            return None;
        }
        let reach = (one.reach? + other.reach?).next_up();
        (!one.is_beyond(other, reach)).then_some(reach)
    }
}

impl Ball {
    /// Returns true if the centres are certainly at least `reach` apart.
    fn is_beyond(&self, other: &Self, reach: f64) -> bool {
        self.projection.is_beyond(&other.projection, reach)
    }
}

fn shape_of_first<'a, T: Coordinate>(
    certificates: &[CertifiedInput],
    read: &impl Fn(usize) -> Result<Point<'a, T>>,
) -> Result<[usize; 3]> {
    match certificates.first() {
        Some(first) => Ok(read(first.place)?.shape()),
        None => Ok([0; 3]),
    }
}

fn certificates(outcomes: &[Outcome]) -> Vec<CertifiedInput> {
    let outcomes = outcomes.iter().enumerate();
    outcomes.filter_map(certificate).collect()
}

fn certificate((place, outcome): (usize, &Outcome)) -> Option<CertifiedInput> {
    match *outcome {
        Outcome::Certified { class, radius } => Some(CertifiedInput {
            place,
            class,
            radius: radius.get(),
        }),
        Outcome::Abstained => None,
    }
}

fn ball<'a, T: Coordinate>(
    certificate: CertifiedInput,
    read: &impl Fn(usize) -> Result<Point<'a, T>>,
    shape: [usize; 3],
) -> Result<Ball> {
    let point = read_checked(read, certificate.place, shape)?;
    Ok(Ball {
        place: certificate.place,
        class: certificate.class,
        reach: Some(certificate.radius),
        projection: Projection::new(&point),
    })
}

fn read_checked<'a, T: Coordinate>(
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
