//! One row of `bench`: what was measured, and how it is written.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::OutputFormat;
use crate::engine::{Engine, Split};

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
    /// Seconds of all lanes, and what they were spent on, over all repeats.
    lane_seconds: f64,
    spent: Split,
    peers: BTreeMap<&'static str, Vec<f64>>,
}

impl Row {
    pub(super) fn new(model: &str, precision: &str, batch: u64, chunk: u64, engine: &Engine) -> Self {
        Self {
            model: model.to_owned(),
            precision: precision.to_owned(),
            device: engine.device().to_owned(),
            batch,
            chunk,
            lanes: engine.lanes(),
            rates: Vec::new(),
            sample_seconds: Vec::new(),
            gradients: Vec::new(),
            lane_seconds: 0.0,
            spent: Split::default(),
            peers: BTreeMap::new(),
        }
    }

    /// Takes a run at a fixed sigma.
    pub(super) fn certified(&mut self, passes: u64, samples: u64, seconds: f64, before: Split, after: Split) {
        self.rates.push(passes as f64 / seconds);
        self.sample_seconds.push(seconds / samples as f64);
        self.lane_seconds += seconds * self.lanes as f64;
        self.spent.noise += after.noise - before.noise;
        self.spent.forward += after.forward - before.forward;
        self.spent.count += after.count - before.count;
        self.spent.wait += after.wait - before.wait;
    }

    /// Takes an ascent of so many draws in so many seconds, summed over the groups of inputs that share the lanes.
    pub(super) fn ascended(&mut self, draws: u64, group_seconds: f64) {
        self.gradients.push(draws as f64 * self.lanes as f64 / group_seconds);
    }

    pub(super) fn peer(&mut self, mode: &'static str, rate: f64) {
        self.peers.entry(mode).or_default().push(rate);
    }

    pub(super) fn render(&self, format: OutputFormat) -> String {
        let row = self.json();
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
        for (mode, rates) in &self.peers {
            let ratio = number(&format!("ratio_to_{mode}"));
            text +=
                &format!("the {mode} PyTorch loop in turn with it: {:.0} a second, ratio {ratio:.2}\n", median(rates));
        }
        text
    }

    fn json(&self) -> Value {
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
        for (mode, rates) in &self.peers {
            let ours = if *mode == "sigma" { &self.gradients } else { &self.rates };
            row[format!("peer_{mode}_per_second")] = median(rates).into();
            row[format!("ratio_to_{mode}")] = (median(ours) / median(rates)).into();
        }
        row
    }
}

/// The middle of some values, the upper of two.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
