#![allow(clippy::unwrap_used)]

use super::*;

/// Tries a program on images of 3 x 8 x 8 values, and returns the error if it is refused.
fn refusal(program: Scores, tolerance: f64) -> Option<String> {
    let trial = CouplingTrial::new(program, 2, [3, 8, 8], Device::Cpu, Kind::Float).unwrap();
    trial.check(tolerance).err().map(|error| error.to_string())
}

fn two_scores(score: &Tensor) -> Tensor {
    Tensor::stack(&[score.shallow_clone(), -score], 1)
}

/// The mean value of each image.
fn means(images: &Tensor) -> Tensor {
    images.mean_dim([1, 2, 3].as_slice(), false, Kind::Float)
}

#[test]
fn a_program_that_scores_each_image_by_itself_is_accepted() {
    let program = |images: &Tensor| Ok(two_scores(&means(images)));
    assert_eq!(refusal(&program, 1e-6), None);
    let zero = |images: &Tensor| Ok(two_scores(&(means(images) * 0.0)));
    assert_eq!(refusal(&zero, 1e-6), None);
}

#[test]
fn rounding_that_differs_between_rows_is_accepted() {
    let program = |images: &Tensor| {
        let rows = Tensor::arange(images.size()[0], (Kind::Float, Device::Cpu));
        Ok(two_scores(&(means(images) * (1.0 + 1e-5 * rows))))
    };
    assert_eq!(refusal(&program, tolerance(Precision::Fp32)), None);
}

#[test]
fn rows_that_answer_by_the_mean_of_the_pass_are_refused_at_every_tolerance() {
    let program = |images: &Tensor| {
        let of_pass = (means(images).mean(Kind::Float) - 0.5) * 50.0;
        Ok(two_scores(&(means(images) * 0.0 + of_pass)))
    };
    let error = refusal(&program, tolerance(Precision::Bf16)).unwrap();
    assert!(
        error.contains("change with the other images of its pass")
            && error.contains("batch normalisation"),
        "{error}"
    );
}

#[test]
fn batch_normalisation_in_training_mode_is_refused() {
    let none: Option<&Tensor> = None;
    let program = |images: &Tensor| {
        let normal = images.f_batch_norm(none, none, none, none, true, 0.1, 1e-5, false)?;
        let features = normal
            .relu()
            .mean_dim([2, 3].as_slice(), false, Kind::Float);
        Ok(two_scores(&features.sum_dim_intlist(1, false, Kind::Float)))
    };
    let error = refusal(&program, tolerance(Precision::Bf16)).unwrap();
    assert!(error.contains("other images of its pass"), "{error}");
}

#[test]
fn random_numbers_of_its_own_are_refused() {
    let program = |images: &Tensor| Ok(two_scores(&means(&images.f_dropout(0.2, true)?)));
    let error = refusal(&program, tolerance(Precision::Bf16)).unwrap();
    assert!(
        error.contains("differ between two passes") && error.contains("dropout"),
        "{error}"
    );
}

#[test]
fn scores_that_one_company_alone_makes_infinite_are_refused() {
    let program = |images: &Tensor| {
        let brightest = images.max();
        let is_bright = brightest.gt(2.0).to_kind(Kind::Float);
        Ok(two_scores(&(means(images) + is_bright * 1e38 * 1e38)))
    };
    assert!(refusal(&program, tolerance(Precision::Bf16)).is_some());
    let always = |images: &Tensor| Ok(two_scores(&(means(images) / 0.0)));
    assert_eq!(refusal(&always, 1e-6), None);
}

#[test]
fn another_number_of_scores_than_images_is_refused() {
    let program = |_: &Tensor| Ok(Tensor::zeros([2], (Kind::Float, Device::Cpu)));
    let error = refusal(&program, 1e-6).unwrap();
    assert_eq!(error, "the model gives 2 scores for 6 images of 2 classes");
}
