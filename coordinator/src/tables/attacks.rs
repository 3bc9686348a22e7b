//! The attacks on the certificates of a run: reads them, and checks that each belongs to the sweep.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ddrs_common::attack::{AttackRecord, AttackTally, AttackTarget, reaches};
use ddrs_common::domain::{Record, SampleIndex, VariantName};
use ddrs_common::record_file::read_numbered;
use ddrs_common::spec::Sweep;

use super::check_record::RecordRules;
use super::variant_records::VariantRecords;
use crate::manifest::Manifest;
use crate::run_dir::RunDir;

/// Reads the attacks of a run, if there are any, and counts them for each variant.
///
/// # Errors
/// When the file cannot be read, or an attack is not one on a certificate of this run.
pub(super) fn add(
    dir: &RunDir,
    manifest: &Manifest,
    sweep: &Sweep,
    variants: &mut [VariantRecords],
) -> Result<()> {
    let path = dir.attacks();
    if !path.exists() {
        return Ok(());
    }
    let attacks = read_numbered(&path)?;
    check_all(&path, &attacks, manifest, sweep, variants)?;
    let mut by_variant: BTreeMap<VariantName, Vec<AttackRecord>> = BTreeMap::new();
    for (_, attack) in attacks {
        let name = attack.point.variant.clone();
        by_variant.entry(name).or_default().push(attack);
    }
    for records in variants {
        let attacks = by_variant.remove(&records.variant.name).unwrap_or_default();
        records.attacks = tallies(&records.records, &attacks);
    }
    Ok(())
}

fn tallies(records: &[Record], attacks: &[AttackRecord]) -> Vec<AttackTally> {
    let reaches = reaches(attacks).into_iter();
    reaches
        .map(|reach| AttackTally::count(reach, records, attacks))
        .collect()
}

fn check_all(
    path: &Path,
    attacks: &[(usize, AttackRecord)],
    manifest: &Manifest,
    sweep: &Sweep,
    variants: &[VariantRecords],
) -> Result<()> {
    let certificates = certificates(variants);
    let rules = AttackRules {
        manifest,
        sweep,
        certificates: &certificates,
    };
    for (line, attack) in attacks {
        let checked = rules.check(attack);
        checked.map_err(|error| {
            let path = path.display();
            anyhow!("{path}, line {line}: {error:#}; delete the line, and attack again")
        })?;
    }
    Ok(())
}

type Certificates<'a> = BTreeMap<(&'a VariantName, SampleIndex), &'a Record>;

fn certificates(variants: &[VariantRecords]) -> Certificates<'_> {
    let records = variants.iter().flat_map(|variant| &variant.records);
    records
        .map(|record| ((&record.variant, record.index), record))
        .collect()
}

/// The requirements on attacks: they try certificates of this sweep, and their points were
/// certified by the same pipeline with other noise.
struct AttackRules<'a> {
    manifest: &'a Manifest,
    sweep: &'a Sweep,
    certificates: &'a Certificates<'a>,
}

impl AttackRules<'_> {
    fn check(&self, attack: &AttackRecord) -> Result<()> {
        ensure!(
            attack.sweep == self.manifest.sweep.id,
            "an attack on sweep {}, but this is sweep {}",
            attack.sweep,
            self.manifest.sweep.id
        );
        self.check_target(attack)?;
        self.check_point(&attack.point).context("its point")
    }

    /// Checks the certificate that was attacked.
    fn check_target(&self, attack: &AttackRecord) -> Result<()> {
        let point = &attack.point;
        let Some(record) = self.certificates.get(&(&point.variant, point.index)) else {
            bail!("{} index {} has no record", point.variant, point.index)
        };
        let target = AttackTarget::of(record, attack.reach);
        let attacked = target.filter(|target| target.radius == attack.radius);
        ensure!(
            attacked.is_some_and(|target| target.class == attack.certified),
            "{} index {} is not certified for class {} at radius {}",
            point.variant,
            point.index,
            attack.certified.0,
            attack.radius
        );
        ensure!(record.label == point.label, "its label is not the record's");
        Ok(())
    }

    /// Checks the record of the point, as those of the run are checked.
    fn check_point(&self, point: &Record) -> Result<()> {
        ensure!(
            point.seed != self.sweep.seed,
            "it was certified with the noise of the certificate"
        );
        let sweep = Sweep {
            seed: point.seed,
            ..self.sweep.clone()
        };
        let plan = self.manifest.sweep.plan()?;
        RecordRules::new(&sweep, &plan, self.manifest.sweep.loss())
            .check(point)
            .map(drop)
    }
}
