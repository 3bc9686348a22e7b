//! Projected gradient ascent within an L2 ball: the search for adversarial points that SmoothAdv
//! trains against (Salman et al. 2019) and that attacks on certificates use.

use tch::{Kind, TchError, Tensor};

/// The smallest norm of a gradient that has a direction. An image with a smaller gradient does not
/// move, for instance one whose label has, in floating point, a probability of 1 under every draw.
const MIN_NORM: f64 = 1e-12;

/// The points within `radius` of each image in L2 that are images themselves: within \[0, 1\].
pub(crate) struct ImageBall<'a> {
    /// The images, of shape (B, channels, height, width).
    pub(crate) images: &'a Tensor,
    /// The radius around each.
    pub(crate) radius: f64,
}

impl ImageBall<'_> {
    /// Moves points of the ball by `steps` steps of `length` along their gradients, and back into
    /// the ball after each step.
    ///
    /// `gradient` receives the number of the step and the points, and returns one gradient per
    /// point, of any length.
    pub(crate) fn ascend<E: From<TchError>>(
        &self,
        start: Tensor,
        steps: u32,
        length: f64,
        mut gradient: impl FnMut(u32, &Tensor) -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        let mut points = start;
        for step in 0..steps {
            let gradient = gradient(step, &points)?;
            points = self.limit(&moved(&points, &gradient, length)?)?;
        }
        Ok(points)
    }

    /// Returns the points moved into the ball: toward its image, then into \[0, 1\].
    pub(crate) fn limit(&self, points: &Tensor) -> Result<Tensor, TchError> {
        let offset = project(&points.f_sub(self.images)?, self.radius)?;
        self.images.f_add(&offset)?.f_clamp(0.0, 1.0)
    }
}

/// Returns the derivative of the sum of `losses` by `leaf`.
pub(crate) fn derivative(losses: &Tensor, leaf: &Tensor) -> Result<Tensor, TchError> {
    let sum = losses.f_sum(None::<Kind>)?;
    Ok(Tensor::f_run_backward(&[&sum], &[leaf], false, false)?.remove(0))
}

/// Scales each image's gradient or offset to an L2 norm of 1.
pub(crate) fn unit(offset: &Tensor) -> Result<Tensor, TchError> {
    offset.f_div(&norms(offset)?.f_clamp_min(MIN_NORM)?)
}

/// Moves each image by `length` along its gradient.
fn moved(images: &Tensor, gradient: &Tensor, length: f64) -> Result<Tensor, TchError> {
    images.f_add(&unit(gradient)?.f_mul_scalar(length)?)
}

/// Scales offsets outside the ball of this radius to its surface. An offset of 0 stays.
fn project(offset: &Tensor, radius: f64) -> Result<Tensor, TchError> {
    let scale = norms(offset)?
        .f_clamp_min(MIN_NORM)?
        .f_reciprocal()?
        .f_mul_scalar(radius)?
        .f_clamp_max(1.0)?;
    offset.f_mul(&scale)
}

/// Returns the L2 norm of each image, of shape (B, 1, 1, 1).
fn norms(images: &Tensor) -> Result<Tensor, TchError> {
    let all: Vec<i64> = (1..images.dim() as i64).collect();
    images
        .f_square()?
        .f_sum_dim_intlist(&all[..], true, None)?
        .f_sqrt()
}
