//! `[smoothing.selected]`.

use std::fmt::Write as _;
use std::path::Path;

use super::{LEAST, check, read, sigma};
use crate::domain::{Alpha, Choice};
use crate::grid::{DataFacts, Grid, ImageFacts};
use crate::spec::{BoundRule, LevelSpec, SelectedForm, parse, sweep_id};

const DATA: DataFacts = DataFacts {
    len: 10,
    digest: [0; 32],
    images: ImageFacts {
        shape: [3, 32, 32],
        grid: Grid::BYTES,
    },
};

/// A second model, and levels of both.
fn text() -> String {
    let second = "[[model]]\nname = 'b'\npath = 'b.pt'\nclasses = 10\n[smoothing]";
    let selected = "choice = ['fixed', 'selected']
[smoothing.selected]
tau = 0.5
levels = [{ sigma = 0.25, model = 'b' }, { sigma = 0.5, model = 'm' }]
[smoothing.selected.selector]
name = 's'
path = 's.pt'
classes = 2
[certify]";
    LEAST
        .replace("[smoothing]", second)
        .replace("[certify]", selected)
}

fn check_text(from: &str, to: &str, error: &str) {
    let text = text();
    assert_eq!(text.matches(from).count(), 1, "{from:?}");
    check(&text.replace(from, to), error);
}

#[test]
fn levels_name_their_experts_and_the_selector_is_one_more_network() {
    let sweep = read(&text());
    let selected = sweep.smoothing.selected.clone().unwrap();
    assert_eq!(
        selected.levels,
        [(0.25, 1), (0.5, 0)].map(|(value, model)| LevelSpec {
            sigma: sigma(value),
            model,
            classes: Vec::new(),
        })
    );
    assert_eq!(selected.form, SelectedForm::Strong);
    let names: Vec<&str> = sweep.networks().iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["m", "b", "s"]);
    let variants = sweep.variants();
    let found: Vec<String> = variants.iter().map(|v| v.name.to_string()).collect();
    assert_eq!(found, ["m/fixed/0.5", "b/fixed/0.5", "s/selected/0.5"]);
    assert_eq!(sweep.networks_of(&variants[1]), [1]);
    assert_eq!(sweep.networks_of(&variants[2]), [2, 1, 0]);
}

#[test]
fn one_network_may_serve_several_levels() {
    let sweep = read(&text().replace("model = 'b'", "model = 'm'"));
    let variants = sweep.variants();
    assert_eq!(sweep.networks_of(variants.last().unwrap()), [2, 0]);
}

/// Three classes of the selector, two levels.
fn grouped() -> String {
    text()
        .replace("model = 'b' }", "model = 'b', classes = [2, 0] }")
        .replace("model = 'm' }", "model = 'm', classes = [1] }")
        .replace("classes = 2", "classes = 3")
}

#[test]
fn the_classes_of_a_level_select_it() {
    let selected = read(&grouped()).smoothing.selected.unwrap();
    assert_eq!(selected.level_counts(&[5, 7, 100]), [105, 7]);
    let selected = read(&text()).smoothing.selected.unwrap();
    assert_eq!(selected.level_counts(&[5, 7]), [5, 7]);
}

#[test]
fn each_class_of_the_selector_selects_one_level() {
    for (from, to, error) in [
        (
            "[1]",
            "[1, 2]",
            "19: smoothing.selected.levels[1].classes: class 2 is also in levels[0]",
        ),
        (
            "[1]",
            "[3]",
            "19: smoothing.selected.levels[1].classes: class 3 does not exist: the \
             selector has 3 classes, from 0 on",
        ),
        (
            "[2, 0]",
            "[2]",
            "19: smoothing.selected.levels: class 0 of the selector is in \
             the `classes` of no level",
        ),
        (
            ", classes = [1]",
            "",
            "19: smoothing.selected.levels[1].classes: must name classes of the \
             selector, as other levels do",
        ),
    ] {
        let text = grouped();
        assert_eq!(text.matches(from).count(), 1, "{from:?}");
        check(&text.replace(from, to), error);
    }
}

#[test]
fn a_sweep_that_only_selects_needs_no_list_of_sigmas() {
    let only = text()
        .replace("choice = ['fixed', 'selected']", "choice = ['selected']")
        .replace("sigma = [0.5]\n", "");
    let variants = read(&only).variants();
    assert_eq!(variants.len(), 1);
    assert_eq!(variants[0].choice, Choice::Selected);
}

#[test]
fn levels_that_no_variant_uses_change_neither_networks_nor_id() {
    let unused = text().replace("choice = ['fixed', 'selected']\n", "");
    let table = unused.find("[smoothing.selected]").unwrap()..unused.find("[certify]").unwrap();
    let mut without = unused.clone();
    without.replace_range(table, "");
    let digests = [[1; 32], [2; 32]];
    let id = |text: &str| sweep_id(&read(text), &DATA, &digests);
    assert_eq!(id(&unused), id(&without));
    assert_eq!(read(&unused).networks().len(), 2);
}

#[test]
fn two_classes_are_refused_only_where_a_level_is_selected() {
    let two = text().replace("alpha = 0.001", "alpha = 0.001\nbound = 'two-class'");
    assert_ne!(two, text());
    let refused = parse(&two, Path::new("s.toml")).unwrap_err().to_string();
    let reason = "certify.bound: two-class is not available where a level is selected";
    assert!(refused.contains(reason), "{refused}");
    let unused = two.replace("choice = ['fixed', 'selected']\n", "");
    assert_eq!(read(&unused).certify.bound, BoundRule::TwoClass);
}

#[test]
fn each_setting_of_a_selected_variant_changes_the_id() {
    let id = |text: &str| sweep_id(&read(text), &DATA, &[[1; 32]; 3]);
    let whole = text();
    for (from, to) in [
        ("tau = 0.5", "tau = 0.25"),
        ("tau = 0.5", "tau = 0.5\nform = 'simple'"),
        ("sigma = 0.25, model = 'b'", "sigma = 0.12, model = 'b'"),
        ("sigma = 0.25, model = 'b'", "sigma = 0.25, model = 'm'"),
        ("name = 's'\npath", "name = 't'\npath"),
    ] {
        assert_ne!(id(&whole), id(&whole.replace(from, to)), "{to}");
    }
    let other = grouped().replace("[2, 0]", "[2]").replace("[1]", "[1, 0]");
    assert_ne!(id(&grouped()), id(&other));
}

#[test]
fn the_bounds_that_may_fail_together_share_alpha() {
    let alpha = Alpha::new(0.001).unwrap();
    let three = "model = 'b' }, { sigma = 1, model = 'b' }";
    let more = text()
        .replace("model = 'b' }", three)
        .replace("classes = 2", "classes = 3");
    for (text, of_selector) in [(text(), 1.0), (more, 2.0)] {
        let spec = read(&text).smoothing.selected.unwrap();
        let selector = spec.alpha_of_selector(alpha).get();
        let level = spec.alpha_of_other_level(alpha).get();
        let sum = of_selector * selector + level;
        assert!(sum <= 0.001 && sum > 0.000_999_999, "{sum}");
        assert!((level - 0.0005).abs() < 1e-12, "{level}");
    }
    let simple = text().replace("tau = 0.5", "tau = 0.5\nform = 'simple'");
    let spec = read(&simple).smoothing.selected.unwrap();
    assert_eq!(spec.alpha_of_selector(alpha), alpha);
}

#[test]
fn a_table_that_cannot_be_meant_is_refused_with_its_line() {
    let cases = [
        (
            "[smoothing.selected]\n",
            "x = 1\n[smoothing.selected]\n",
            "17: smoothing.x: unknown field `x`, expected one of `sigma`, `choice`, \
             `data-dependent`, `selected`, `file`",
        ),
        (
            "tau = 0.5",
            "tau = 0",
            "18: smoothing.selected.tau: must be a finite number above 0, not 0",
        ),
        (
            "tau = 0.5\n",
            "",
            "17: smoothing.selected.tau: is required and missing",
        ),
        (
            "tau = 0.5",
            "tau = 0.5\nform = 'both'",
            "19: smoothing.selected.form: unknown variant `both`, expected `simple` or `strong`",
        ),
        (
            "{ sigma = 0.25, model = 'b' }, ",
            "",
            "19: smoothing.selected.levels: must have 2 to 8 levels, not 1",
        ),
        (
            "sigma = 0.25, model = 'b'",
            "sigma = 0.5, model = 'm'",
            "19: smoothing.selected.levels[1]: is the same as smoothing.selected.levels[0]",
        ),
        (
            "sigma = 0.25, model = 'b'",
            "model = 'b'",
            "19: smoothing.selected.levels[0].sigma: is required and missing",
        ),
        (
            "sigma = 0.25, model = 'b'",
            "sigma = 0.25, model = 'c'",
            "19: smoothing.selected.levels[0].model: no [[model]] has the name \
             \"c\"; there are: m, b",
        ),
        (
            "path = 'b.pt'\nclasses = 10",
            "path = 'b.pt'\nclasses = 9",
            "19: smoothing.selected.levels[1].model: has 10 classes, but that of levels[0] has 9",
        ),
        (
            "name = 's'\npath",
            "name = 'b'\npath",
            "21: smoothing.selected.selector.name: \"b\" is already the name of model[1]",
        ),
        (
            "classes = 2",
            "classes = 3",
            "23: smoothing.selected.selector.classes: must be 2, one per level, not 3; \
             or give each level its `classes`",
        ),
        (
            "n = 1000",
            "n = 10",
            "26: certify.n: 10 draws can never certify at the part 0.0004999999999999998 \
             of alpha that a selector has; at least 11 are needed",
        ),
    ];
    for (from, to, error) in cases {
        // The name of the sweep and of the selector look alike.
        check_text(from, to, error);
    }
}

#[test]
fn a_choice_without_its_table_is_refused() {
    let text = LEAST.replace("sigma = [0.5]", "sigma = [0.5]\nchoice = ['selected']");
    check(
        &text,
        "10: smoothing.selected: is required by the choice \"selected\", and missing",
    );
}

#[test]
fn arrays_in_place_of_tables_are_refused() {
    for (from, to, error) in [
        (
            "levels = [{ sigma = 0.25, model = 'b' }, { sigma = 0.5, model = 'm' }]",
            "levels = [[0.25, 'b'], [0.5, 'm']]",
            "19: smoothing.selected.levels: must be an array of tables, \
             [{ sigma = 0.25, model = \"a\" }, ...]",
        ),
        (
            "[smoothing.selected.selector]",
            "[[smoothing.selected.selector]]",
            "20: smoothing.selected.selector: must be one table",
        ),
    ] {
        check_text(from, to, error);
    }
}

#[test]
fn more_levels_than_phases_have_names_are_refused() {
    let mut many = String::from("levels = [{ sigma = 0.25, model = 'b' }");
    for i in 1..9 {
        let _ = write!(many, ", {{ sigma = {i}, model = 'm' }}");
    }
    let two = "levels = [{ sigma = 0.25, model = 'b' }, { sigma = 0.5, model = 'm' }";
    check_text(
        two,
        &many,
        "19: smoothing.selected.levels: must have 2 to 8 levels, not 9",
    );
}
