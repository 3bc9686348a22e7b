//! Checks that a record is of a sweep and follows from its own counts. Whatever the counts do not
//! decide is compared with the specification: the record repeats it and may not differ.
//!
//! What only the data can decide, the label and the distance to the grid, is checked in
//! `certified_data`.

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::certify::{ClassBounds, EstimationCounts, SampleBounds, SelectedRules};
use ddrs_common::domain::{
    Certification, Choice, Class, Outcome, Radius, Record, SampleIndex, Sigma, Statement,
};
use ddrs_common::grid::GridLoss;
use ddrs_common::plan::Plan;
use ddrs_common::spec::{BoundRule, SelectedSpec, Sweep, Variant};

use super::check_plan::PlanRules;
use super::check_selected::{check_levels, check_selection, check_without_experts};

/// The rules for the records of one sweep.
pub(crate) struct RecordRules {
    sweep: Sweep,
    plan: Plan,
    variants: Vec<Variant>,
    loss: GridLoss,
}

impl RecordRules {
    /// `loss` is that of the sweep's images on the grid.
    pub(crate) fn new(sweep: &Sweep, plan: &Plan, loss: GridLoss) -> Self {
        Self {
            sweep: sweep.clone(),
            plan: plan.clone(),
            variants: sweep.variants(),
            loss,
        }
    }

    /// Checks a record, and returns the slot of its sample.
    ///
    /// # Errors
    /// When the record is not of this sweep, or does not follow from its counts. The error says
    /// what is wrong with it.
    pub(crate) fn check(&self, record: &Record) -> Result<u64> {
        let slot = self.slot(record)?;
        let variant = &self.variants[(slot / self.plan.samples()) as usize];
        let rules = VariantRules {
            sweep: &self.sweep,
            variant,
            loss: self.loss,
        };
        if let Ok(certification) = &record.result {
            rules.check_file_sigma(record.index, certification.sigma)?;
            rules.check(certification)?;
            rules.check_class("label", Some(record.label))?;
        }
        Ok(slot)
    }

    /// Finds the sample among those of the sweep.
    fn slot(&self, record: &Record) -> Result<u64> {
        let sweep = &self.sweep;
        let seed = sweep.seed;
        ensure!(
            record.seed == seed,
            "its seed is {}, but the sweep's is {seed}",
            record.seed
        );
        let mut variants = self.variants.iter();
        let variant = variants.position(|variant| variant.name == record.variant);
        let variant = variant.context("the sweep has no such variant")?;
        let position = self.plan.position(record.index);
        let position = position.context("the sweep does not select this index")?;
        Ok(self.plan.slot(variant, position))
    }
}

/// The rules for the records of one variant.
struct VariantRules<'a> {
    sweep: &'a Sweep,
    variant: &'a Variant,
    loss: GridLoss,
}

impl VariantRules<'_> {
    fn check(&self, certification: &Certification) -> Result<()> {
        self.check_statement(certification)?;
        self.check_alpha(certification)?;
        self.check_classes(certification)?;
        match self.sweep.selected_by(self.variant) {
            Some(levels) => self.check_selected(certification, levels),
            None => self.check_one_network(certification),
        }
    }

    fn check_one_network(&self, certification: &Certification) -> Result<()> {
        ensure!(
            certification.level.is_none(),
            "it has the draws of a selector, but its variant selects no level"
        );
        self.check_sigma(certification)?;
        self.check_n0(certification)?;
        check_outcome(certification, self.radius(certification)?)
    }

    /// Computes the bounds of selector and experts again, and the radius.
    fn check_selected(&self, certification: &Certification, levels: &SelectedSpec) -> Result<()> {
        let loss = self.loss.at_distance(certification.off_grid);
        let rules = SelectedRules::new(&self.sweep.certify, levels, loss);
        let selection = check_selection(certification, &rules, levels)?;
        let at_level = if certification.n == 0 {
            check_without_experts(certification, &rules, selection)?;
            None
        } else {
            self.check_n0(certification)?;
            self.radius(certification)?
        };
        check_levels(&rules, selection, at_level)?;
        let expected = at_level.and_then(|radius| rules.radius(selection, radius));
        check_outcome(certification, expected)
    }

    fn check_statement(&self, certification: &Certification) -> Result<()> {
        let expected = Statement::of(self.variant.choice);
        // Records of earlier versions do not name it.
        let found = certification.statement.unwrap_or(expected);
        ensure!(
            found == expected,
            "its statement is {:?}, but this variant's is {:?}",
            found.as_str(),
            expected.as_str()
        );
        Ok(())
    }

    fn check_sigma(&self, certification: &Certification) -> Result<()> {
        let Certification { sigma, sigma0, .. } = *certification;
        let own = self.variant.sigma0;
        ensure!(
            sigma0 == own,
            "its sigma0 is {sigma0}, but the variant's is {own}"
        );
        match self.variant.choice {
            Choice::Fixed => ensure!(
                sigma == own,
                "its sigma is {sigma}, but the variant's is fixed at {own}"
            ),
            Choice::DataDependent => {
                let (lower, upper) = self.sweep.smoothing.data_dependent.range;
                ensure!(
                    (lower..=upper).contains(&sigma),
                    "its sigma is {sigma}, outside the range [{lower}, {upper}] of the choice"
                );
            }
            // `check_selection` compares it with the level's, `check_file_sigma` with the file's.
            Choice::Selected | Choice::File => {}
        }
        Ok(())
    }

    /// Compares the sigma of a sample with the one that the file gave for it.
    fn check_file_sigma(&self, index: SampleIndex, sigma: Sigma) -> Result<()> {
        if self.variant.choice != Choice::File {
            return Ok(());
        }
        let expected = self.sweep.file_sigma(index);
        let expected = expected.context("the manifest has no sigma for it")?;
        ensure!(
            sigma == expected,
            "its sigma is {sigma}, but smoothing.file gave {expected}"
        );
        Ok(())
    }

    fn check_n0(&self, certification: &Certification) -> Result<()> {
        let expected = self.sweep.certify.n0;
        let n0 = certification.n0;
        ensure!(
            n0 == expected.get(),
            "its n0 is {n0}, but the sweep's is {expected}"
        );
        Ok(())
    }

    fn check_alpha(&self, certification: &Certification) -> Result<()> {
        let expected = self.sweep.certify.alpha;
        let alpha = certification.alpha;
        ensure!(
            alpha == expected,
            "its alpha is {alpha}, but the sweep's is {expected}"
        );
        Ok(())
    }

    fn check_classes(&self, certification: &Certification) -> Result<()> {
        let prediction = match certification.outcome {
            Outcome::Certified { class, .. } => Some(class),
            Outcome::Abstained => None,
        };
        let runner_up = certification.runner_up.map(|other| other.class);
        self.check_class("prediction", prediction)?;
        self.check_class("runner_up", runner_up)?;
        ensure!(
            runner_up.is_none() || runner_up != prediction,
            "its runner_up is its prediction"
        );
        Ok(())
    }

    fn check_class(&self, field: &str, class: Option<Class>) -> Result<()> {
        let classes = self.classes();
        match class {
            Some(Class(class)) if class >= classes => {
                bail!("its {field} is {class}, but the model has {classes} classes")
            }
            _ => Ok(()),
        }
    }

    /// The number of classes. The networks of a variant come with the selector first; all others
    /// have the same classes.
    fn classes(&self) -> u32 {
        let networks = self.sweep.networks();
        let places = self.sweep.networks_of(self.variant);
        places.last().map_or(0, |&place| networks[place].classes)
    }

    /// Computes the bounds on the class again, and the radius that they give.
    fn radius(&self, certification: &Certification) -> Result<Option<Radius>> {
        let sample = self.sample(certification);
        let expected = self.bounds(&sample, certification)?;
        let found = ClassBounds {
            p_lower: certification.p_lower,
            p_upper: certification.p_upper,
        };
        ensure!(
            found == expected,
            "it has {}, but its counts give {}",
            in_words(found),
            in_words(expected)
        );
        Ok(sample.radius(expected))
    }

    fn sample(&self, certification: &Certification) -> SampleBounds<'_> {
        SampleBounds {
            spec: &self.sweep.certify,
            sigma: certification.sigma,
            loss: self.loss.at_distance(certification.off_grid),
        }
    }

    fn bounds(
        &self,
        sample: &SampleBounds<'_>,
        certification: &Certification,
    ) -> Result<ClassBounds> {
        let rule = self.rule(certification)?;
        self.plan_rules().check(certification, rule)?;
        let counts = EstimationCounts {
            n: certification.n,
            count: certification.count,
            runner_up: certification.runner_up.map_or(0, |other| other.count),
        };
        sample.of(rule, counts).with_context(|| {
            format!(
                "its n is {}, where the sweep's draws do not end",
                certification.n
            )
        })
    }

    fn plan_rules(&self) -> PlanRules<'_> {
        PlanRules {
            spec: &self.sweep.certify,
            classes: self.classes(),
            may_lack_counts: !self.loss.has_grid(),
        }
    }

    /// The rule by which the record was bounded: that of two classes has an upper bound.
    fn rule(&self, certification: &Certification) -> Result<BoundRule> {
        if certification.p_upper.is_none() {
            return Ok(BoundRule::OneClass);
        }
        ensure!(
            self.sweep.certify.bound == BoundRule::TwoClass,
            "it has p_upper, but the sweep bounds one class"
        );
        ensure!(
            certification.runner_up.is_some(),
            "it has p_upper, but no runner_up"
        );
        Ok(BoundRule::TwoClass)
    }
}

fn in_words(bounds: ClassBounds) -> String {
    let p_lower = format!("p_lower {}", bounds.p_lower);
    match bounds.p_upper {
        Some(p_upper) => format!("{p_lower} and p_upper {p_upper}"),
        None => p_lower,
    }
}

fn check_outcome(certification: &Certification, expected: Option<Radius>) -> Result<()> {
    let found = match certification.outcome {
        Outcome::Certified { radius, .. } => Some(radius),
        Outcome::Abstained => None,
    };
    match (found, expected) {
        (Some(found), Some(expected)) => ensure!(
            found == expected,
            "its radius is {found}, but its counts and sigma give {expected}"
        ),
        (Some(_), None) => bail!("it is certified, but its counts do not certify a class"),
        (None, Some(radius)) => bail!("it abstains, but its counts certify radius {radius}"),
        (None, None) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
