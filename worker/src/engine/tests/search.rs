//! Records at sigmas from a search.

use super::engine;
use super::fixture::ModelFixture;

const SETTINGS: &str = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                        [smoothing.data-dependent]\nmethod = \"search\"\n\
                        rounds = 4\ndraws = 64\nrange = [0.05, 1.5]\n\
                        [certify]\nn0 = 10\nn = 100\nalpha = 0.01\nchunk = 50\n";

#[test]
fn a_search_certifies_at_the_sigma_it_chose() {
    let fixture = ModelFixture::half_space(&[6.0, -3.0, 2.0, 1.0], -1.0, SETTINGS);
    let found = fixture.certified(
        &engine(2),
        (0..5).map(|index| fixture.sample(index)).collect(),
    );
    assert!(found.values().all(|record| record.sigma0.get() == 0.25));
    let range = 0.05..=1.5;
    assert!(
        found
            .values()
            .all(|record| range.contains(&record.sigma.get())),
        "{found:?}"
    );
    assert!(
        found.values().any(|record| record.sigma.get() != 0.25),
        "{found:?}"
    );
}
