#![allow(clippy::unwrap_used)]

use super::*;

/// The usual number of rows of a pass on the CPU.
const ROWS: u64 = 50;
const NONE: Option<&Tensor> = None;

/// Tries a program on passes of images of 3 x 8 x 8 values, and returns the error if it is refused.
fn refusal_of_rows(
    program: Scores,
    classes: u32,
    rows: u64,
    precision: Precision,
) -> Option<String> {
    let kind = match precision {
        Precision::Bf16 => Kind::BFloat16,
        _ => Kind::Float,
    };
    let trial = CouplingTrial::new(program, classes, [3, 8, 8], Device::Cpu, kind).unwrap();
    let refused = trial.check(rows, precision).err();
    refused.map(|error| error.to_string())
}

/// Tries a program of two classes in fp32.
fn refusal(program: Scores) -> Option<String> {
    refusal_of_rows(program, 2, ROWS, Precision::Fp32)
}

fn two_scores(score: &Tensor) -> Tensor {
    Tensor::stack(&[score.shallow_clone(), -score], 1)
}

/// The mean value of each image.
fn means(images: &Tensor) -> Tensor {
    images.mean_dim([1, 2, 3].as_slice(), false, None)
}

/// The mean of all images of a pass, for each of them.
fn mean_of_pass(images: &Tensor) -> Tensor {
    means(images) * 0.0 + means(images).mean(None)
}

fn assert_coupled(refusal: Option<String>) {
    let error = refusal.unwrap();
    assert!(
        error.contains("change with the other images of its pass")
            && error.contains("batch normalisation"),
        "{error}"
    );
}

#[test]
fn a_program_that_scores_each_image_by_itself_is_accepted() {
    let program = |images: &Tensor| Ok(two_scores(&means(images)));
    let zero = |images: &Tensor| Ok(two_scores(&(means(images) * 0.0)));
    let offset = |images: &Tensor| Ok(two_scores(&(means(images) * 0.2)) + 1000.0);
    let programs: [Scores; 3] = [&program, &zero, &offset];
    for program in programs {
        for (rows, precision) in [
            (1, Precision::Fp32),
            (2, Precision::Bf16),
            (ROWS, Precision::Fp32),
            (ROWS, Precision::Bf16),
        ] {
            assert_eq!(
                refusal_of_rows(program, 2, rows, precision),
                None,
                "{rows} rows"
            );
        }
    }
}

#[test]
fn a_convolutional_program_is_accepted_in_every_precision() {
    for (precision, kind) in [
        (Precision::Fp32, Kind::Float),
        (Precision::Bf16, Kind::BFloat16),
    ] {
        let weight = Tensor::arange(16 * 27, (Kind::Float, Device::Cpu));
        let weight = weight.sin().view([16, 3, 3, 3]).to_kind(kind);
        let program = |images: &Tensor| {
            let layer = images.f_conv2d(&weight, NONE, [1, 1], [1, 1], [1, 1], 1)?;
            let features = layer.relu().mean_dim([2, 3].as_slice(), false, None);
            features.f_log_softmax(1, None)
        };
        assert_eq!(refusal_of_rows(&program, 16, ROWS, precision), None);
    }
}

#[test]
fn a_small_change_by_the_mean_of_the_pass_is_refused_in_bf16() {
    let program = |images: &Tensor| {
        let of_pass = mean_of_pass(images).tanh() * 0.2;
        Ok(two_scores(&of_pass) + 10.0)
    };
    assert_coupled(refusal_of_rows(&program, 2, ROWS, Precision::Bf16));
}

#[test]
fn a_change_by_the_mean_of_the_pass_is_refused_next_to_a_large_offset() {
    let program = |images: &Tensor| Ok(two_scores(&(mean_of_pass(images).tanh() * 0.2)) + 1000.0);
    assert_coupled(refusal(&program));
}

#[test]
fn a_change_by_the_mean_of_the_pass_is_refused_next_to_a_masked_class() {
    let program = |images: &Tensor| {
        let of_pass = mean_of_pass(images);
        let masked = &of_pass * 0.0 - 1e4;
        Ok(Tensor::stack(
            &[of_pass.shallow_clone(), -of_pass, masked],
            1,
        ))
    };
    assert_coupled(refusal_of_rows(&program, 3, ROWS, Precision::Fp32));
}

#[test]
fn a_program_that_couples_only_large_passes_is_refused_at_their_size() {
    let program = |images: &Tensor| {
        let scores = means(images);
        let is_large = images.size()[0] > 20;
        Ok(two_scores(&if is_large {
            mean_of_pass(images)
        } else {
            scores
        }))
    };
    assert_eq!(refusal_of_rows(&program, 2, 20, Precision::Fp32), None);
    assert_coupled(refusal(&program));
}

#[test]
fn a_row_that_reads_its_neighbour_is_refused_however_little_it_takes() {
    for step in [1, 2, 7, 25] {
        let program = |images: &Tensor| {
            let own = means(images);
            let neighbour = own.f_roll([step], [0])?;
            Ok(two_scores(&(own + neighbour * 1e-5)))
        };
        assert_coupled(refusal(&program));
    }
}

#[test]
fn batch_normalisation_in_training_mode_is_refused() {
    let program = |images: &Tensor| {
        let normal = images.f_batch_norm(NONE, NONE, NONE, NONE, true, 0.1, 1e-5, false)?;
        let features = normal.relu().mean_dim([2, 3].as_slice(), false, None);
        Ok(two_scores(&features.sum_dim_intlist(1, false, None)))
    };
    assert_coupled(refusal(&program));
}

#[test]
fn random_numbers_of_its_own_are_refused_as_not_reproducible() {
    let program = |images: &Tensor| Ok(two_scores(&means(&images.f_dropout(0.2, true)?)));
    let error = refusal(&program).unwrap();
    assert!(
        error.contains("cannot be reproduced") && error.contains("dropout"),
        "{error}"
    );
    assert!(!error.contains("independent"), "{error}");
}

/// A program whose scores change by `share` of themselves per row.
fn by_row(images: &Tensor, share: f64) -> Tensor {
    let rows = Tensor::arange(images.size()[0], (Kind::Float, Device::Cpu));
    two_scores(&(means(images) * (1.0 + share * rows)))
}

#[test]
fn rounding_that_differs_between_rows_is_accepted_and_more_is_refused() {
    assert_eq!(refusal(&|images| Ok(by_row(images, 1e-6))), None);
    let error = refusal(&|images| Ok(by_row(images, 1e-3))).unwrap();
    assert!(error.contains("than in a pass of 7 images"), "{error}");
    let error = refusal(&|images| Ok(by_row(images, 1e-3) + 1000.0)).unwrap();
    assert!(error.contains("than in a pass of 7 images"), "{error}");
}

#[test]
fn scores_that_depend_on_the_number_of_images_are_refused() {
    let program = |images: &Tensor| Ok(two_scores(&(means(images) * images.size()[0])));
    let error = refusal(&program).unwrap();
    assert!(error.contains("on the number of images"), "{error}");
}

#[test]
fn scores_that_one_company_alone_makes_infinite_are_refused() {
    let program = |images: &Tensor| {
        let is_bright = images.max().gt(2.0).to_kind(Kind::Float);
        Ok(two_scores(&(means(images) + is_bright * 1e38 * 1e38)))
    };
    assert_coupled(refusal(&program));
    let always = |images: &Tensor| Ok(two_scores(&(means(images) / 0.0)));
    assert_eq!(refusal(&always), None);
}

#[test]
fn every_row_is_watched_in_one_half_next_to_another() {
    for rows in [1, 2, 3, 50, 201] {
        let [first, second] = halves(rows);
        assert!(first.iter().zip(&second).all(|(a, b)| a != b), "{rows}");
        assert_eq!(watched_rows(&first).count(), rows.div_ceil(2));
    }
    let watched = [true, false, true];
    assert_eq!(arrangement(&watched, DARK), [0, IMAGES + 1, 2]);
    assert_eq!(arrangement(&watched, BRIGHT), [0, 2 * IMAGES + 1, 2]);
}

#[test]
fn another_number_of_scores_than_images_is_refused() {
    let program = |_: &Tensor| Ok(Tensor::zeros([2], (Kind::Float, Device::Cpu)));
    let error = refusal(&program).unwrap();
    assert_eq!(error, "the model gives 2 scores for 7 images of 2 classes");
}
