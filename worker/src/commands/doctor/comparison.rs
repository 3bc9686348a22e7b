//! The result of a comparison: how one precision on the device differs from fp32 on the CPU.

use std::fmt;

use serde::Serialize;

/// The share of draws whose class may differ in fp32. Only draws whose two largest scores are
/// almost equal can differ, and they are fewer than one in a hundred.
const FP32_MAY_DIFFER: f64 = 0.01;

/// The reason when scores of fp16 are not finite.
pub(super) const OVERFLOW: &str = "scores are not finite: fp16 ends at 65504";

/// The difference between one precision on the device and fp32 on the CPU.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) model: String,
    pub(super) device: String,
    pub(super) precision: &'static str,
    /// The reason why nothing could be compared.
    pub(super) reason: Option<String>,
    pub(super) draws: i64,
    /// Draws whose class differs.
    pub(super) disagreements: i64,
    /// Draws of the most frequent class on the CPU. If it is almost all of them, there was little
    /// to disagree about.
    pub(super) most_frequent: i64,
    /// The largest difference of a score, relative to the largest score.
    pub(super) largest_difference: f64,
    /// True if the device returned the same bits again after other work.
    pub(super) repeats: bool,
    /// True if every image had the same bits in passes of `images_of_pass` images and of twice that
    /// number, so that a worker may choose between them. `None` if there were too few draws.
    pub(super) same_in_larger_passes: Option<bool>,
    pub(super) images_of_pass: i64,
    pub(super) fused: usize,
    pub(super) candidates: usize,
    /// True if the weights are random, not trained.
    #[serde(skip)]
    pub(super) random: bool,
}

impl Comparison {
    /// Returns the difference that rounding does not explain, if there is one.
    pub(super) fn problem(&self) -> Option<String> {
        let problem = match &self.reason {
            Some(reason) => self.is_unexpected(reason).then(|| reason.clone()),
            None => self.difference(),
        };
        problem.map(|problem| {
            format!(
                "{} {} on {}: {problem}",
                self.model, self.precision, self.device
            )
        })
    }

    fn is_unexpected(&self, reason: &str) -> bool {
        // No CPU supports tf32.
        let tf32_on_cpu = self.precision == "tf32" && self.device == "cpu";
        // The activations of random weights exceed 65,504 after about a hundred layers.
        let overflow = self.random && reason == OVERFLOW;
        !tf32_on_cpu && !overflow
    }

    fn difference(&self) -> Option<String> {
        if !self.repeats {
            return Some("the same images gave other scores the second time".to_owned());
        }
        let share = self.disagreements as f64 / self.draws as f64;
        (self.precision == "fp32" && share > FP32_MAY_DIFFER).then(|| {
            format!(
                "{} of {} draws have another class than on the cpu",
                self.disagreements, self.draws
            )
        })
    }

    fn repeats_text(&self) -> &'static str {
        if self.repeats {
            "the same bits again"
        } else {
            "OTHER BITS the second time"
        }
    }

    fn passes_text(&self) -> String {
        let Some(same) = self.same_in_larger_passes else {
            return "too few draws to try passes of two sizes".to_owned();
        };
        let bits = if same { "the same bits" } else { "other bits" };
        let images = self.images_of_pass;
        format!("{bits} in passes of {images} images and of {}", 2 * images)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            model,
            precision,
            device,
            draws,
            ..
        } = self;
        write!(f, "compare   {model} {precision} on {device}: ")?;
        if let Some(reason) = &self.reason {
            return write!(f, "{reason}");
        }
        write!(
            f,
            "{} of {draws} draws have another class than fp32 on the cpu ({} of one class there); \
             scores within {:.1e}; {}; {}; {} of {} convolutions fused",
            self.disagreements,
            self.most_frequent,
            self.largest_difference,
            self.repeats_text(),
            self.passes_text(),
            self.fused,
            self.candidates
        )
    }
}
