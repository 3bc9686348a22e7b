//! The specification and the images of the trainings.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Bytes of an image of 3 channels and 32 x 32 pixels.
const IMAGE_BYTES: usize = 3 * 32 * 32;

/// A training: data-dependent sigmas from epoch 2 on, in bf16.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrainingCase {
    pub(crate) architecture: &'static str,
    pub(crate) images: usize,
    pub(crate) batch: usize,
    pub(crate) epochs: usize,
}

impl TrainingCase {
    /// Writes `train.toml` and its random images into a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder.join("train"))?;
        write_images(&folder.join("train/images.bin"), self.images)?;
        Ok(fs::write(folder.join("train.toml"), self.specification())?)
    }

    fn specification(&self) -> String {
        let Self {
            architecture,
            batch,
            epochs,
            ..
        } = self;
        format!(
            r#"name = "train-again"
seed = 1
[dataset]
format = "cifar10"
path = "train"
[validation]
samples = 100
[model]
architecture = "{architecture}"
classes = 10
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
precision = "bf16"
[loss]
kind = "gaussian"
[sigma]
initial = 0.25
choice = "data-dependent"
from-epoch = 2
learning-rate = 0.01
[train]
epochs = {epochs}
batch = {batch}
[optimiser]
learning-rate = 0.01
"#
        )
    }
}

/// Writes images of random bytes, labelled in turn, in CIFAR-10's binary format.
fn write_images(path: &Path, images: usize) -> Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut file = BufWriter::new(fs::File::create(path)?);
    for image in 0..images {
        file.write_all(&record(image, &mut random))?;
    }
    Ok(file.flush()?)
}

fn record(image: usize, random: &mut ChaCha8Rng) -> [u8; 1 + IMAGE_BYTES] {
    let mut record = [0; 1 + IMAGE_BYTES];
    random.fill_bytes(&mut record);
    record[0] = (image % 10) as u8;
    record
}
