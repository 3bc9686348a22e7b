//! Checks `[smoothing.selected]`.

use super::model::ModelList;
use super::section::SpecTable;
use crate::domain::MAX_LEVELS;
use crate::spec::raw::{RawForm, RawLevel, RawSelected};
use crate::spec::{LevelSpec, ModelSpec, SelectedForm, SelectedSpec, SpecError};

pub(super) fn selected(
    at: &SpecTable,
    raw: RawSelected,
    experts: &ModelList,
) -> Result<SelectedSpec, SpecError> {
    let tau = at.sigma("tau", at.required("tau", raw.tau)?)?;
    let levels = levels(at, at.required("levels", raw.levels)?, experts.models)?;
    let within = at.table("selector");
    let selector = experts.another(&within, raw.selector)?;
    if levels.iter().all(|level| level.classes.is_empty()) {
        check_classes(&within, selector.classes, levels.len())?;
    } else {
        check_groups(at, &levels, selector.classes)?;
    }
    Ok(SelectedSpec {
        tau,
        form: form(raw.form),
        levels,
        selector,
    })
}

fn form(raw: RawForm) -> SelectedForm {
    match raw {
        RawForm::Simple => SelectedForm::Simple,
        RawForm::Strong => SelectedForm::Strong,
    }
}

fn levels(
    at: &SpecTable,
    raw: Vec<RawLevel>,
    models: &[ModelSpec],
) -> Result<Vec<LevelSpec>, SpecError> {
    check_level_count(at, raw.len())?;
    let raw = raw.into_iter().enumerate();
    let levels: Vec<LevelSpec> = raw
        .map(|(i, raw)| level(&at.table(&format!("levels[{i}]")), raw, models))
        .collect::<Result<_, _>>()?;
    at.distinct("levels", &levels)?;
    check_same_classes(at, &levels, models)?;
    Ok(levels)
}

fn check_level_count(at: &SpecTable, count: usize) -> Result<(), SpecError> {
    if (2..=MAX_LEVELS).contains(&count) {
        return Ok(());
    }
    let message = format!("must have 2 to {MAX_LEVELS} levels, not {count}");
    Err(at.error("levels", message))
}

fn level(at: &SpecTable, raw: RawLevel, models: &[ModelSpec]) -> Result<LevelSpec, SpecError> {
    let sigma = at.sigma("sigma", at.required("sigma", raw.sigma)?)?;
    let name = at.required("model", raw.model)?;
    let model = models.iter().position(|model| model.name == name);
    Ok(LevelSpec {
        sigma,
        model: model.ok_or_else(|| unknown_model(at, &name, models))?,
        classes: raw.classes,
    })
}

fn unknown_model(at: &SpecTable, name: &str, models: &[ModelSpec]) -> SpecError {
    let known: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    let known = known.join(", ");
    at.error(
        "model",
        format!("no [[model]] has the name {name:?}; there are: {known}"),
    )
}

/// Checks that the experts have one number of classes: a class must mean the same at every level.
fn check_same_classes(
    at: &SpecTable,
    levels: &[LevelSpec],
    models: &[ModelSpec],
) -> Result<(), SpecError> {
    let classes = |level: &LevelSpec| models[level.model].classes;
    let expected = classes(&levels[0]);
    let Some(i) = levels.iter().position(|level| classes(level) != expected) else {
        return Ok(());
    };
    let found = classes(&levels[i]);
    let message = format!("has {found} classes, but that of levels[0] has {expected}");
    Err(at.error(&format!("levels[{i}].model"), message))
}

fn check_classes(at: &SpecTable, classes: u32, levels: usize) -> Result<(), SpecError> {
    if classes as usize == levels {
        return Ok(());
    }
    let message =
        format!("must be {levels}, one per level, not {classes}; or give each level its `classes`");
    Err(at.error("classes", message))
}

/// Checks that each class of the selector selects exactly one level.
fn check_groups(at: &SpecTable, levels: &[LevelSpec], classes: u32) -> Result<(), SpecError> {
    let mut owner = vec![None; classes as usize];
    for (i, level) in levels.iter().enumerate() {
        let key = format!("levels[{i}].classes");
        if level.classes.is_empty() {
            let message = "must name classes of the selector, as other levels do";
            return Err(at.error(&key, message.to_owned()));
        }
        for &class in &level.classes {
            take_class(&mut owner, class, i).map_err(|message| at.error(&key, message))?;
        }
    }
    let Some(free) = owner.iter().position(Option::is_none) else {
        return Ok(());
    };
    let message = format!("class {free} of the selector is in the `classes` of no level");
    Err(at.error("levels", message))
}

/// Gives a class to level `i`, or says why it cannot have it.
fn take_class(owner: &mut [Option<usize>], class: u32, i: usize) -> Result<(), String> {
    let classes = owner.len();
    let Some(place) = owner.get_mut(class as usize) else {
        return Err(format!(
            "class {class} does not exist: the selector has {classes} classes, from 0 on"
        ));
    };
    match place.replace(i) {
        None => Ok(()),
        Some(other) => Err(format!("class {class} is also in levels[{other}]")),
    }
}
