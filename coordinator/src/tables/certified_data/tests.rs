#![allow(clippy::unwrap_used)]

use ddrs_common::data::write_tensors;
use ddrs_common::grid::{DataFacts, ImageFacts};
use ddrs_common::record_file::from_line;
use ddrs_common::spec::parse;

use super::*;

/// Images of one pixel, on a grid.
struct Pixels {
    dir: tempfile::TempDir,
    data: CertifiedData,
}

impl Pixels {
    fn new(values: [f32; 2], grid: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let labels = [Class(0), Class(1)];
        let file = dir.path().join("d.safetensors");
        write_tensors(&file, [2, 1, 1, 1], &values, &labels).unwrap();
        let text = "name = 's'\nseed = 1\n[dataset]\nformat = 'tensors'\npath = 'd.safetensors'\n\
                    [[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 2\n\
                    [smoothing]\nsigma = [0.5]\n\
                    [certify]\nn0 = 10\nn = 100\nalpha = 0.01\n";
        let path = dir.path().join("s.toml");
        let sweep = parse(text, &path).unwrap();
        let facts = DataFacts {
            len: 2,
            digest: Dataset::open(&sweep.dataset).unwrap().digest().unwrap(),
            images: ImageFacts {
                shape: [1, 1, 1],
                grid: Grid::new(grid).unwrap(),
            },
        };
        let message = SweepMessage::new(&path, text, &facts, &[[2; 32]]).unwrap();
        let data = CertifiedData::open(&sweep.dataset, &message);
        Self { dir, data }
    }

    /// The reason why a record of the first image with this distance is refused.
    fn refusal(&self, off_grid: f64) -> Option<String> {
        let record = record(0, 0.25, off_grid);
        let checked = self.data.check(self.dir.path(), &[(1, record)]);
        checked.err().map(|error| error.to_string())
    }

    /// The number of contradictions, where both images are certified for their labels at a radius.
    fn contradictions(&self, radius: f64) -> usize {
        let records = vec![record(0, radius, 0.0), record(1, radius, 0.0)];
        let text = "name = 's'\nseed = 1\n[dataset]\nformat = 'tensors'\npath = 'd'\n\
                    [[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 2\n\
                    [smoothing]\nsigma = [0.5]\n\
                    [certify]\nn0 = 10\nn = 100\nalpha = 0.01\n";
        let sweep = parse(text, "/s.toml".as_ref()).unwrap();
        let variant = sweep.variants().remove(0);
        let mut variants = [VariantRecords::new(variant, records)];
        self.data.compare(&mut variants, false);
        variants[0].contradictions.len()
    }
}

fn record(index: u64, radius: f64, off_grid: f64) -> Record {
    from_line(&format!(
        "{{\"variant\":\"m/fixed/0.5\",\"index\":{index},\"label\":{index},\
         \"prediction\":{index},\"radius\":{radius},\"sigma\":0.5,\"sigma0\":0.5,\"n0\":10,\
         \"n\":100,\"count\":90,\"p_lower\":0.8,\"alpha\":0.01,\"off_grid\":{off_grid},\
         \"seed\":1,\"seconds\":1.0,\"worker\":\"w\",\"attempt\":1,\"device\":\"cpu\"}}"
    ))
    .unwrap()
}

#[test]
fn the_distance_to_the_grid_is_that_of_the_image() {
    let pixels = Pixels::new([0.375, 0.25], 4);
    // 0.375 is half a step of 1/4 away from the grid; the distance is rounded up by 1e-7 of it.
    assert_eq!(pixels.refusal(0.125 * (1.0 + 1e-7)), None);
    for forged in [0.0, 0.0625, 0.125, 0.5] {
        let refused = pixels.refusal(forged).unwrap();
        let reason = format!("its off_grid is {forged}, but its image and the grid give 0.1250000");
        assert!(refused.contains(&reason), "{refused}");
    }
}

#[test]
fn a_contradiction_is_reported_only_where_the_exact_centres_prove_it() {
    // In single precision the two pixels are nearer to each other than 1/255 is.
    let (one, other) = (f32::from(ONE) / 255.0, f32::from(OTHER) / 255.0);
    let exact = f64::from(ONE - OTHER) / 255.0;
    let rounded = f64::from(one) - f64::from(other);
    assert!(rounded < exact);
    let pixels = Pixels::new([one, other], 255);
    assert_eq!(pixels.contradictions((rounded + exact) / 4.0), 0);
    assert_eq!(pixels.contradictions(exact / 2.0), 0);
    assert_eq!(pixels.contradictions(exact / 2.0 * (1.0 + 1e-12)), 1);
}

const ONE: u8 = 255;
const OTHER: u8 = 128;
