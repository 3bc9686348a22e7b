//! The tables of the best speeds.

use super::Contestant;
use super::training::OurTraining;

/// The best speed of one contestant so far.
pub(super) struct Speed {
    pub(super) name: String,
    /// Images per second.
    pub(super) rate: f64,
    is_peer: bool,
    /// Passes forward and backward per step.
    passes: u32,
}

impl Speed {
    /// The speed of a contestant that has not run.
    pub(super) fn none(contestant: &Contestant) -> Self {
        match contestant {
            Contestant::Ours(training) => Self::of_ours(training),
            Contestant::Peer { layout } => Self::of_peer(layout),
        }
    }

    fn of_peer(layout: &str) -> Self {
        Self {
            name: format!("pytorch eager, {layout}"),
            rate: 0.0,
            is_peer: true,
            passes: 1,
        }
    }

    fn of_ours(training: &OurTraining) -> Self {
        Self {
            name: training.name.clone(),
            rate: 0.0,
            is_peer: false,
            passes: training.passes,
        }
    }

    /// Keeps the better of the best speed and that of another round.
    pub(super) fn add(&mut self, rate: f64) {
        self.rate = self.rate.max(rate);
    }

    fn cost_line(&self, first: f64) -> String {
        let Self {
            name, rate, passes, ..
        } = self;
        let cost = first / rate;
        format!("{name:<46} {rate:>10.0} {cost:>10.2} {passes:>10}\n")
    }

    fn ratio_line(&self, fastest: f64) -> String {
        let Self { name, rate, .. } = self;
        let ratio = rate / fastest;
        format!("{name:<46} {rate:>10.0} {ratio:>21.2}x\n")
    }
}

/// Renders speeds with their ratios to the faster peer: ours first, then the peers, then ours with
/// other batch statistics.
pub(super) fn ratios(best: &[Speed]) -> String {
    let peers = best.iter().filter(|speed| speed.is_peer);
    let fastest = peers.map(|speed| speed.rate).fold(0.0, f64::max);
    let mut text = format!(
        "\n{:<46} {:>10} {:>22}\n",
        "", "images/s", "of the faster peer"
    );
    for speed in in_table_order(best) {
        text += &speed.ratio_line(fastest);
    }
    text
}

fn in_table_order(best: &[Speed]) -> Vec<&Speed> {
    let (peers, ours): (Vec<_>, Vec<_>) = best.iter().partition(|speed| speed.is_peer);
    let mut rows = ours;
    let after_first = rows.len().min(1);
    rows.splice(after_first..after_first, peers);
    rows
}

/// Renders speeds with their costs: the time of a step relative to the first row's.
pub(super) fn costs(best: &[Speed]) -> String {
    let first = best.first().map_or(f64::NAN, |speed| speed.rate);
    let mut text = format!(
        "\n{:<46} {:>10} {:>10} {:>10}\n",
        "", "images/s", "cost", "passes"
    );
    for speed in best {
        text += &speed.cost_line(first);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed(name: &str, rate: f64, is_peer: bool) -> Speed {
        Speed {
            name: name.to_owned(),
            rate,
            is_peer,
            passes: 3,
        }
    }

    #[test]
    fn ratios_are_to_the_faster_peer_and_ours_comes_first() {
        let table = ratios(&[
            speed("peer 1", 50.0, true),
            speed("ours", 200.0, false),
            speed("peer 2", 100.0, true),
            speed("groups", 300.0, false),
        ]);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert!(
            rows[0].starts_with("ours") && rows[0].ends_with("2.00x"),
            "{table}"
        );
        assert!(
            rows[1].starts_with("peer 1") && rows[1].ends_with("0.50x"),
            "{table}"
        );
        assert!(rows[3].starts_with("groups"), "{table}");
    }

    #[test]
    fn a_step_that_takes_twice_as_long_costs_two() {
        let table = costs(&[speed("gaussian", 100.0, false), speed("macer", 50.0, false)]);
        let last = table.lines().next_back().unwrap_or_default();
        let words: Vec<&str> = last.split_whitespace().collect();
        assert_eq!(words, ["macer", "50", "2.00", "3"]);
    }
}
