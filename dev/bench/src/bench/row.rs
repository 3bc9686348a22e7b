//! One row of `bench`: what was measured, and how it is written.

use serde_json::{Value, json};

use super::peer::Loop;
use crate::cli::PeerLoop;
use ddrs_common::cli::OutputFormat;
use ddrs_worker::engine::{Engine, TimeSplit};

/// Rates of one model in one precision; medians of what the repeats came to.
pub(super) struct Row {
    model: String,
    precision: String,
    device: String,
    batch: u64,
    chunk: u64,
    lanes: usize,
    rates: Vec<f64>,
    sample_seconds: Vec<f64>,
    gradients: Vec<f64>,
    /// Why there are no gradient draws.
    ascent_error: Option<String>,
    /// Seconds of all lanes, from the start of a run to its last result, and what they were spent
    /// on, over all repeats.
    lane_seconds: f64,
    spent: TimeSplit,
}

impl Row {
    pub(super) fn new(
        model: &str,
        precision: &str,
        batch: u64,
        chunk: u64,
        engine: &Engine,
    ) -> Self {
        Self {
            model: model.to_owned(),
            precision: precision.to_owned(),
            device: engine.device().to_owned(),
            batch,
            chunk,
            lanes: engine.threads(),
            rates: Vec::new(),
            sample_seconds: Vec::new(),
            gradients: Vec::new(),
            ascent_error: None,
            lane_seconds: 0.0,
            spent: TimeSplit::default(),
        }
    }

    /// Takes a run at a fixed sigma.
    pub(super) fn certified(
        &mut self,
        passes: u64,
        samples: u64,
        seconds: f64,
        before: TimeSplit,
        after: TimeSplit,
    ) {
        self.rates.push(passes as f64 / seconds);
        self.sample_seconds.push(seconds / samples as f64);
        self.lane_seconds += seconds * self.lanes as f64;
        self.spent.noise += after.noise - before.noise;
        self.spent.forward += after.forward - before.forward;
        self.spent.count += after.count - before.count;
        self.spent.wait += after.wait - before.wait;
    }

    /// Takes the gradient draws per second of a run, or why there are none.
    pub(super) fn ascended(&mut self, rate: Result<f64, String>) {
        match rate {
            Ok(rate) => self.gradients.push(rate),
            Err(error) => self.ascent_error = Some(error),
        }
    }

    /// Ours that is to be set beside a peer's: of the repeat last measured.
    pub(super) fn beside(&self, mode: PeerLoop) -> f64 {
        self.ours(mode).last().copied().unwrap_or_default()
    }

    fn ours(&self, mode: PeerLoop) -> &[f64] {
        if mode == PeerLoop::Sigma {
            &self.gradients
        } else {
            &self.rates
        }
    }

    pub(super) fn render(&self, format: OutputFormat, peers: &[Loop]) -> String {
        let row = self.json(peers);
        if format == OutputFormat::Json {
            return format!("{row}\n");
        }
        let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let percent = |key: &str| 100.0 * number(key);
        let mut text = format!(
            "{} {} on {}, passes of {} images, {} lanes: {:.0} passes/s, {:.2} s a sample, {:.0} gradient draws/s\n\
             of the lanes' time: forward {:.1}%, noise {:.1}%, counting {:.1}%, waiting {:.1}%; all but forward \
             {:.1}%\n",
            self.model,
            self.precision,
            self.device,
            self.batch,
            self.lanes,
            number("passes_per_second"),
            number("seconds_per_sample"),
            number("gradient_draws_per_second"),
            percent("forward_share"),
            percent("noise_share"),
            percent("count_share"),
            percent("wait_share"),
            percent("not_forward_share"),
        );
        if let Some(error) = &self.ascent_error {
            text += &format!("the ascent failed: {error}\n");
        }
        for peer in peers {
            let (mode, ratio) = (
                peer.mode.name(),
                number(&format!("ratio_to_{}", peer.mode.name())),
            );
            if let Some(rate) = median(&peer.rates) {
                let batch = peer.batches.first().copied().unwrap_or_default();
                text += &format!(
                    "the {mode} PyTorch loop in turn with it: {rate:.0} a second with {batch} images, ratio {ratio:.2}\n"
                );
            }
            if let Some(error) = &peer.error {
                text += &format!("the {mode} PyTorch loop failed: {error}\n");
            }
        }
        text
    }

    fn json(&self, peers: &[Loop]) -> Value {
        let share = |seconds: f64| seconds / self.lane_seconds;
        let mut row = json!({
            "model": self.model, "precision": self.precision, "device": self.device, "batch": self.batch, "chunk": self.chunk,
            "lanes": self.lanes, "repeats": self.rates.len(), "passes_per_second": median(&self.rates),
            "seconds_per_sample": median(&self.sample_seconds),
            "gradient_draws_per_second": median(&self.gradients),
            "forward_share": share(self.spent.forward), "noise_share": share(self.spent.noise),
            "count_share": share(self.spent.count), "wait_share": share(self.spent.wait),
            "not_forward_share": 1.0 - share(self.spent.forward),
        });
        if let Some(error) = &self.ascent_error {
            row["ascent_error"] = error.as_str().into();
        }
        for peer in peers {
            let mode = peer.mode.name();
            if let Some(rate) = median(&peer.rates) {
                row[format!("peer_{mode}_per_second")] = rate.into();
                row[format!("peer_{mode}_batch")] = peer.batches.first().copied().into();
                row[format!("ratio_to_{mode}")] =
                    median(self.ours(peer.mode)).map(|ours| ours / rate).into();
            }
            if let Some(error) = &peer.error {
                row[format!("peer_{mode}_error")] = error.as_str().into();
            }
        }
        row
    }
}

/// The middle of some values; of an even number of them, the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_leans_to_neither_side() {
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 100.0]), Some(3.5));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }
}
