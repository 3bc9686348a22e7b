//! `[smoothing.file]`.

use std::path::Path;

use super::{LEAST, check, read, sigma};
use crate::domain::{Choice, SampleIndex, Sigma};
use crate::grid::{DataFacts, Grid, ImageFacts};
use crate::spec::{Sweep, sweep_id};

fn text() -> String {
    let file = "choice = ['file']\n[smoothing.file]\npath = 's.npy'\nlargest = 0.75\n[certify]";
    LEAST
        .replace("sigma = [0.5]\n", "")
        .replace("[certify]", file)
        .replace("[[model]]", "offset = 2\nstride = 3\n[[model]]")
}

fn with_sigmas(values: &[f64]) -> Sweep {
    let sigmas: Vec<Sigma> = values.iter().copied().map(sigma).collect();
    read(&text()).with_file_sigmas(sigmas).unwrap()
}

#[test]
fn a_file_gives_one_variant_per_model_named_by_the_largest_sigma() {
    let sweep = read(&text());
    let variants = sweep.variants();
    assert_eq!(variants.len(), 1);
    assert_eq!(variants[0].name.as_str(), "m/file/0.75");
    assert_eq!(
        (variants[0].choice, variants[0].sigma0),
        (Choice::File, sigma(0.75))
    );
    assert_eq!(sweep.widest_sigma(), sigma(0.75));
    assert_eq!(sweep.sigma_file().unwrap().path, Path::new("sweeps/s.npy"));
    let both = text()
        .replace("'file'", "'fixed', 'file'")
        .replace("[smoothing]", "[smoothing]\nsigma = [0.25, 0.5]");
    let names: Vec<String> = read(&both)
        .variants()
        .iter()
        .map(|variant| variant.name.to_string())
        .collect();
    assert_eq!(names, ["m/fixed/0.25", "m/fixed/0.5", "m/file/0.75"]);
}

#[test]
fn one_choice_may_be_written_without_brackets() {
    assert_eq!(read(&text().replace("['file']", "'file'")), read(&text()));
}

#[test]
fn sigmas_belong_to_the_selected_samples_in_their_order() {
    assert_eq!(read(&text()).file_sigma(SampleIndex(2)), None);
    let sweep = with_sigmas(&[0.25, 0.5]);
    let of = |index| sweep.file_sigma(SampleIndex(index));
    assert_eq!((of(2), of(5)), (Some(sigma(0.25)), Some(sigma(0.5))));
    assert_eq!((of(0), of(3), of(8)), (None, None, None));
    let wide = read(&text()).with_file_sigmas(vec![sigma(0.25), sigma(0.76)]);
    assert_eq!(
        wide.unwrap_err().to_string(),
        "sigma 0.76 of selected sample 1 is above smoothing.file.largest, 0.75"
    );
}

#[test]
fn every_sigma_is_part_of_the_id_and_the_file_is_not() {
    let data = DataFacts {
        len: 10,
        digest: [0; 32],
        images: ImageFacts {
            shape: [3, 32, 32],
            grid: Grid::BYTES,
        },
    };
    let id = |sweep: &Sweep| sweep_id(sweep, &data, &[[1; 32]]);
    let first = id(&with_sigmas(&[0.25, 0.5]));
    assert_ne!(first, id(&with_sigmas(&[0.25, 0.5_f64.next_up()])));
    assert_ne!(first, id(&with_sigmas(&[0.5, 0.25])));
    let elsewhere = read(&text().replace("'s.npy'", "'run'\nvariant = 'm/fixed/0.5'"));
    let elsewhere = elsewhere
        .with_file_sigmas(vec![sigma(0.25), sigma(0.5)])
        .unwrap();
    assert_eq!(first, id(&elsewhere));
    // A table that no choice uses changes nothing.
    let unused = text().replace("choice = ['file']", "sigma = [0.5]");
    let start = unused.find("[smoothing.file]").unwrap();
    let mut without = unused.clone();
    without.replace_range(start..unused.find("[certify]").unwrap(), "");
    assert_eq!(id(&read(&unused)), id(&read(&without)));
}

#[test]
fn a_file_needs_its_table_and_the_table_its_keys() {
    let without = text();
    let start = without.find("[smoothing.file]").unwrap();
    let mut without = without.clone();
    without.replace_range(start..without.find("[certify]").unwrap(), "");
    let error = crate::spec::parse(&without, Path::new("s.toml")).unwrap_err();
    let message = "smoothing.file: is required by the choice \"file\", and missing";
    assert!(error.to_string().ends_with(message), "{error}");
    for (from, to, error) in [
        (
            "path = 's.npy'\n",
            "",
            "14: smoothing.file.path: is required and missing",
        ),
        (
            "largest = 0.75\n",
            "",
            "14: smoothing.file.largest: is required and missing",
        ),
        (
            "0.75",
            "0",
            "16: smoothing.file.largest: must be a finite number above 0, not 0",
        ),
    ] {
        check(&text().replace(from, to), error);
    }
}
