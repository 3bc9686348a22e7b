use tch::Tensor;

use super::*;

/// One step of a new network on the first inputs: its weights and statistics after it, and where
/// the inputs' sigmas are.
fn after_a_step(loss: &str, sigma: &str) -> (Vec<(String, Tensor)>, Vec<f64>) {
    let folder = Folder::new(loss, sigma, 2);
    let (state, places, _) = folder.step(1, 0..16);
    let tensors = state
        .network
        .tensors()
        .map(|(name, tensor)| (name.to_owned(), tensor.detach().copy()))
        .collect();
    (
        tensors,
        places.iter().map(|&place| state.sigma[place]).collect(),
    )
}

#[test]
fn the_ascent_leaves_statistics_and_gradients_of_the_step_alone() {
    let _alone = alone();
    // With the first rate every step of it ends where it began.
    let ascending = |rate| {
        format!(
            "choice = \"data-dependent\"\niterations = 3\ndraws = 2\nlearning-rate = {rate}\nrange = [0.05, 0.4]"
        )
    };
    for loss in LOSSES {
        let (fixed, began) = after_a_step(loss, "");
        let (stayed, sigma) = after_a_step(loss, &ascending("1e-30"));
        assert_eq!(sigma, began, "{loss}");
        assert_eq!(fixed.len(), stayed.len());
        for ((name, fixed), (_, stayed)) in fixed.iter().zip(&stayed) {
            assert!(fixed.equal(stayed), "{loss}: {name}");
        }
        let (_, sigma) = after_a_step(loss, &ascending("0.05"));
        assert!(
            sigma
                .iter()
                .zip(&began)
                .all(|(moved, began)| moved != began),
            "{loss}: {sigma:?}"
        );
    }
}
