//! The smoothed classifiers that an attack misleads, so that the whole pipeline answers otherwise.

use ddrs_common::attack::AttackTarget;
use ddrs_common::domain::{Choice, Class};
use ddrs_common::spec::{SelectedSpec, Sweep, Variant};
use ddrs_worker::attack::Surface;
use ddrs_worker::engine::LoadedNetwork;

/// Returns the classifiers to mislead for one certificate, the most promising ones first.
/// `networks` are those of the variant, in the order of [`Sweep::networks_of`].
pub(super) fn surfaces<'a>(
    sweep: &Sweep,
    variant: &Variant,
    networks: &[&'a LoadedNetwork],
    target: &AttackTarget,
) -> Vec<Surface<'a>> {
    match sweep.selected_by(variant) {
        Some(selected) => of_levels(selected, networks, target),
        None => of_sigmas(variant, networks[0], target),
    }
}

/// The network at the sigma where the choice starts, and at that of the certificate. A file gives
/// the sigma of the certificate alone.
fn of_sigmas<'a>(
    variant: &Variant,
    network: &'a LoadedNetwork,
    target: &AttackTarget,
) -> Vec<Surface<'a>> {
    let mut sigmas = vec![variant.sigma0, target.sigma];
    sigmas.dedup();
    if variant.choice == Choice::File {
        sigmas = vec![target.sigma];
    }
    let class = target.class;
    sigmas
        .into_iter()
        .map(|sigma| Surface {
            network,
            sigma,
            class,
        })
        .collect()
}

/// The expert of the level that was selected, the selector, which should select that level no more,
/// and the experts of the other levels.
fn of_levels<'a>(
    selected: &SelectedSpec,
    networks: &[&'a LoadedNetwork],
    target: &AttackTarget,
) -> Vec<Surface<'a>> {
    let level = target.level.unwrap_or(0);
    let selector = Surface {
        network: networks[0],
        sigma: selected.tau,
        class: Class(level),
    };
    let own = level as usize;
    let others = (0..selected.levels.len()).filter(|&place| place != own);
    let experts = others.map(|place| expert(selected, networks, place, target));
    [expert(selected, networks, own, target), selector]
        .into_iter()
        .chain(experts)
        .collect()
}

fn expert<'a>(
    selected: &SelectedSpec,
    networks: &[&'a LoadedNetwork],
    level: usize,
    target: &AttackTarget,
) -> Surface<'a> {
    Surface {
        network: networks[selected.place_of_expert(level)],
        sigma: selected.levels[level].sigma,
        class: target.class,
    }
}
