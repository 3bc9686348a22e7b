use super::*;

/// The tensors of a new network after one step on the first inputs, and the sigmas of those inputs.
fn after_a_step(loss: &str, sigma: &str) -> (Vec<(String, Tensor)>, Vec<f64>) {
    let folder = TrainingFolder::new(loss, sigma, 2);
    let (state, places, _) = folder.step(1, 0..16);
    let sigmas = places.iter().map(|&place| state.sigma[place]).collect();
    (copied_tensors(&state), sigmas)
}

fn ascending(rate: &str) -> String {
    format!(
        "choice = \"data-dependent\"\niterations = 3\ndraws = 2\n\
         learning-rate = {rate}\nrange = [0.05, 0.4]"
    )
}

#[test]
fn the_ascent_leaves_statistics_and_gradients_of_the_step_alone() {
    let _generator = use_generator();
    for loss in LOSSES {
        let (fixed, initial) = after_a_step(loss, "");
        // At this rate no sigma moves.
        let (ascended, sigma) = after_a_step(loss, &ascending("1e-30"));
        assert_eq!(sigma, initial, "{loss}");
        assert_eq!(fixed.len(), ascended.len());
        for ((name, fixed), (_, ascended)) in fixed.iter().zip(&ascended) {
            assert!(fixed.equal(ascended), "{loss}: {name}");
        }
        let (_, sigma) = after_a_step(loss, &ascending("0.05"));
        let mut pairs = sigma.iter().zip(&initial);
        assert!(
            pairs.all(|(moved, initial)| moved != initial),
            "{loss}: {sigma:?}"
        );
    }
}
