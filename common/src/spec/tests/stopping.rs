//! Stopping rules and the ways of choosing sigma.

use std::path::Path;

use super::super::*;
use super::{EXAMPLE, LEAST, check, check_change, read, sigma};
use crate::domain::{Alpha, Radii};

#[test]
fn stopping_rules_and_methods_out_of_range_are_refused() {
    for (from, to, error) in [
        (
            "chunk = 500",
            "stopping = 'early' #",
            "37: certify.stopping: invalid value: string \"early\", expected \"fixed\", { radii = \
             [...] } or { loss = ... }",
        ),
        (
            "chunk = 500",
            "stopping = [0.5] #",
            "37: certify.stopping: invalid type: sequence, expected \"fixed\", { radii = [...] } \
             or { loss = ... }",
        ),
        (
            "chunk = 500",
            "stopping = {} #",
            "37: certify.stopping: must have one key, radii or loss",
        ),
        (
            "chunk = 500",
            "stopping = { radii = [0], loss = 0.1 } #",
            "37: certify.stopping: must have one key, radii or loss",
        ),
        (
            "chunk = 500",
            "stopping = { radii = [] } #",
            "37: certify.stopping.radii: must not be empty",
        ),
        (
            "chunk = 500",
            "stopping = { radii = [1, 1] } #",
            "37: certify.stopping.radii[1]: 1 does not lie above 1 before it",
        ),
        (
            "chunk = 500",
            "stopping = { radii = [-1] } #",
            "37: certify.stopping.radii[0]: must be a finite number, 0 or more, not -1",
        ),
        (
            "chunk = 500",
            "stopping = { loss = 1 } #",
            "37: certify.stopping.loss: must be strictly between 0 and 1, not 1",
        ),
        (
            "iterations = 100",
            "method = 'search'",
            "29: smoothing.data-dependent.learning-rate: has no meaning for method search, only \
             for gradient",
        ),
        (
            "iterations = 100",
            "rounds = 2",
            "27: smoothing.data-dependent.rounds: has no meaning for method gradient, only for \
             search",
        ),
    ] {
        check_change(EXAMPLE, from, to, error);
    }
}

#[test]
fn a_rule_that_keeps_a_part_of_alpha_back_needs_more_draws() {
    let early = "n = 10\nstopping = { radii = [0] }";
    check(
        &LEAST.replace("n = 1000", early),
        "14: certify.n: 10 draws can never certify at alpha 0.001; at least 11 are needed",
    );
    let radii = Stopping::Radii(Radii::new(&[0.0]).unwrap());
    assert_eq!(
        read(&LEAST.replace("n = 1000", &early.replace("10", "11")))
            .certify
            .stopping,
        radii
    );
    let tiny = LEAST
        .replace("n = 1000", "n = 2000\nstopping = { loss = 0.1 }")
        .replace("0.001", "1e-301");
    let error = parse(&tiny, Path::new("s.toml")).unwrap_err().to_string();
    assert!(
        error.starts_with("s.toml:16: certify.alpha: must be at least 1e-100, not"),
        "{error}"
    );
}

#[test]
fn a_stopping_rule_is_shown_as_it_is_written() {
    for rule in ["{ radii = [0, 0.25, 1] }", "{ loss = 0.01 }"] {
        let text = LEAST.replace("n = 1000", &format!("n = 1000\nstopping = {rule}"));
        assert_eq!(read(&text).certify.stopping.to_string(), rule);
    }
    assert_eq!(Stopping::Fixed.to_string(), "fixed");
}

#[test]
fn the_parts_of_alpha_never_make_more_than_the_whole() {
    let radii = Stopping::Radii(Radii::new(&[0.0]).unwrap());
    for alpha in [0.5, 0.05, 0.01, 0.001, 0.3, 1e-6, 1.0 / 3.0, 1e-300] {
        let alpha = Alpha::new(alpha).unwrap();
        let (before, at) = (
            radii.alpha_before_n(alpha).unwrap().get(),
            radii.alpha_at_n(alpha).get(),
        );
        assert!(
            before + at <= alpha.get() && before + at > alpha.get() * (1.0 - 1e-14),
            "{alpha}"
        );
        assert_eq!(
            (
                Stopping::Fixed.alpha_before_n(alpha),
                Stopping::Fixed.alpha_at_n(alpha)
            ),
            (None, alpha)
        );
    }
}

#[test]
fn a_search_has_its_own_keys_and_defaults() {
    let table = "[smoothing.data-dependent]\nmethod = 'search'\n";
    let search = |keys: &str| {
        read(&format!("{LEAST}{table}{keys}"))
            .smoothing
            .data_dependent
    };
    let default = search("");
    assert_eq!(
        (default.method, default.draws),
        (
            SigmaMethod::Search {
                rounds: 3,
                candidates: 5
            },
            8
        )
    );
    let given = search("rounds = 2\ncandidates = 9\ndraws = 32\nclamp = 0.01\nrange = [0.1, 1]");
    assert_eq!(
        (given.method, given.draws),
        (
            SigmaMethod::Search {
                rounds: 2,
                candidates: 9
            },
            32
        )
    );
    assert_eq!((given.clamp, given.range), (0.01, (sigma(0.1), sigma(1.0))));
    for bad in ["rounds = 0", "candidates = 2", "draws = 0"] {
        assert!(
            parse(&format!("{LEAST}{table}{bad}"), Path::new("s.toml")).is_err(),
            "{bad}"
        );
    }
}
