//! One row of `bench`: the measurements, and their text or JSON.

use std::fmt::Write as _;

use ddrs_common::cli::OutputFormat;
use ddrs_worker::engine::TimeSplit;
use serde_json::{Value, json};

use super::median::median;
use super::network::BenchNetwork;
use super::peer::PeerTimes;
use crate::cli::PeerLoop;

/// The rates of one model in one precision. Medians over the repeats are printed.
#[derive(Default)]
pub(super) struct SpeedRow {
    model: String,
    precision: String,
    device: String,
    /// Images per forward pass.
    batch: u64,
    chunk: u64,
    threads: usize,
    /// Passes per second.
    rates: Vec<f64>,
    sample_seconds: Vec<f64>,
    /// Gradient draws per second.
    gradients: Vec<f64>,
    /// The reason why there are no gradient draws.
    ascent_error: Option<String>,
    /// Seconds of all threads from the start of a run to its last result, over all repeats.
    thread_seconds: f64,
    /// The use of those seconds.
    spent: TimeSplit,
}

/// One run at a fixed sigma.
pub(super) struct CertifiedRun {
    pub(super) passes: u64,
    pub(super) samples: u64,
    pub(super) seconds: f64,
    /// The engine's times before the run.
    pub(super) before: TimeSplit,
    /// The engine's times after it.
    pub(super) after: TimeSplit,
}

impl SpeedRow {
    /// Creates a row without measurements.
    pub(super) fn new(network: &BenchNetwork, chunk: u64, images_per_pass: u64) -> Self {
        Self {
            model: network.file.model.to_owned(),
            precision: network.file.precision.to_owned(),
            device: network.engine.device().to_owned(),
            batch: images_per_pass,
            chunk,
            threads: network.engine.threads(),
            ..Self::default()
        }
    }

    /// Adds a run at a fixed sigma.
    pub(super) fn add_certified(&mut self, run: &CertifiedRun) {
        self.rates.push(run.passes as f64 / run.seconds);
        self.sample_seconds.push(run.seconds / run.samples as f64);
        self.thread_seconds += run.seconds * self.threads as f64;
        self.add_spent(&run.before, &run.after);
    }

    fn add_spent(&mut self, before: &TimeSplit, after: &TimeSplit) {
        self.spent.noise += after.noise - before.noise;
        self.spent.forward += after.forward - before.forward;
        self.spent.count += after.count - before.count;
        self.spent.wait += after.wait - before.wait;
    }

    /// Adds the gradient draws per second of a run, or the reason why they are missing.
    pub(super) fn add_ascent(&mut self, rate: Result<f64, String>) {
        match rate {
            Ok(rate) => self.gradients.push(rate),
            Err(error) => self.ascent_error = Some(error),
        }
    }

    /// Returns our rate in the last repeat, in the unit of a peer's loop.
    pub(super) fn last_rate(&self, mode: PeerLoop) -> f64 {
        self.rates_like(mode).last().copied().unwrap_or_default()
    }

    fn rates_like(&self, mode: PeerLoop) -> &[f64] {
        if mode == PeerLoop::Sigma {
            &self.gradients
        } else {
            &self.rates
        }
    }

    /// Renders the row with its peers, as text or as one line of JSON.
    pub(super) fn render(&self, format: OutputFormat, peers: &[PeerTimes]) -> String {
        match format {
            OutputFormat::Json => format!("{}\n", self.json(peers)),
            OutputFormat::Text => self.text(peers),
        }
    }

    fn text(&self, peers: &[PeerTimes]) -> String {
        let row = self.json(peers);
        let peers = peers.iter().map(|peer| peer_lines(&row, peer));
        let peers: String = peers.collect();
        self.speed_line(&row) + &share_line(&row) + &self.error_line() + &peers
    }

    fn error_line(&self) -> String {
        let error = self.ascent_error.as_ref();
        error.map_or_else(String::new, |error| format!("the ascent failed: {error}\n"))
    }

    fn speed_line(&self, row: &Value) -> String {
        let Self {
            model,
            precision,
            device,
            batch,
            threads,
            ..
        } = self;
        let rate = number(row, "passes_per_second");
        let sample = number(row, "seconds_per_sample");
        let gradients = number(row, "gradient_draws_per_second");
        format!(
            "{model} {precision} on {device}, passes of {batch} images, {threads} threads: \
             {rate:.0} passes/s, {sample:.2} s per sample, {gradients:.0} gradient draws/s\n"
        )
    }

    fn json(&self, peers: &[PeerTimes]) -> Value {
        let mut row = self.own_json();
        if let Some(error) = &self.ascent_error {
            row["ascent_error"] = error.as_str().into();
        }
        for peer in peers {
            self.add_peer(&mut row, peer);
        }
        row
    }

    fn own_json(&self) -> Value {
        let mut row = self.rates_json();
        for (key, share) in self.shares() {
            row[key] = share.into();
        }
        row
    }

    fn rates_json(&self) -> Value {
        json!({
            "model": self.model,
            "precision": self.precision,
            "device": self.device,
            "batch": self.batch,
            "chunk": self.chunk,
            "lanes": self.threads,
            "repeats": self.rates.len(),
            "passes_per_second": median(&self.rates),
            "seconds_per_sample": median(&self.sample_seconds),
            "gradient_draws_per_second": median(&self.gradients),
        })
    }

    /// Returns the shares of the threads' time by their keys.
    fn shares(&self) -> [(&'static str, f64); 5] {
        let share = |seconds: f64| seconds / self.thread_seconds;
        let forward = share(self.spent.forward);
        [
            ("forward_share", forward),
            ("noise_share", share(self.spent.noise)),
            ("count_share", share(self.spent.count)),
            ("wait_share", share(self.spent.wait)),
            ("not_forward_share", 1.0 - forward),
        ]
    }

    fn add_peer(&self, row: &mut Value, peer: &PeerTimes) {
        if let Some(rate) = peer.rate() {
            self.add_peer_rate(row, peer, rate);
        }
        if let Some(error) = &peer.error {
            let mode = peer.mode.name();
            row[format!("peer_{mode}_error")] = error.as_str().into();
        }
    }

    fn add_peer_rate(&self, row: &mut Value, peer: &PeerTimes, rate: f64) {
        let mode = peer.mode.name();
        let ours = median(self.rates_like(peer.mode));
        row[format!("peer_{mode}_per_second")] = rate.into();
        row[format!("peer_{mode}_batch")] = peer.batch().into();
        row[format!("ratio_to_{mode}")] = ours.map(|ours| ours / rate).into();
    }
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or(f64::NAN)
}

fn share_line(row: &Value) -> String {
    let percent = |key: &str| 100.0 * number(row, key);
    format!(
        "of the threads' time: forward {:.1}%, noise {:.1}%, counting {:.1}%, waiting {:.1}%; \
         all but forward {:.1}%\n",
        percent("forward_share"),
        percent("noise_share"),
        percent("count_share"),
        percent("wait_share"),
        percent("not_forward_share"),
    )
}

fn peer_lines(row: &Value, peer: &PeerTimes) -> String {
    let rate = peer.rate();
    let mut text = rate.map_or_else(String::new, |rate| rate_line(row, peer, rate));
    if let Some(error) = &peer.error {
        let mode = peer.mode.name();
        writeln!(text, "the {mode} PyTorch loop failed: {error}").ok();
    }
    text
}

fn rate_line(row: &Value, peer: &PeerTimes, rate: f64) -> String {
    let mode = peer.mode.name();
    let ratio = number(row, &format!("ratio_to_{mode}"));
    let batch = peer.batch().unwrap_or_default();
    format!(
        "the {mode} PyTorch loop in turn with it: {rate:.0} per second with {batch} images, \
         ratio {ratio:.2}\n"
    )
}
