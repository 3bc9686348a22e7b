//! The tensors of a file of weights by canonical name.

use std::collections::HashMap;

use anyhow::{Context, Result};
use ddrs_common::architecture::WantedNetwork;
use ddrs_common::model_file::NamedTensors;
use safetensors::Dtype;
use tch::{Kind, Tensor};

/// Tensors on the CPU, by canonical name.
#[derive(Debug)]
pub(super) struct WeightMap(HashMap<String, Tensor>);

impl WeightMap {
    /// Reads the tensors of a network.
    ///
    /// # Errors
    /// When the bytes are not a file of weights, or hold another network.
    pub(super) fn read(bytes: &[u8], wanted: WantedNetwork) -> Result<Self> {
        let file = NamedTensors::from_bytes(bytes)?;
        let network = wanted.find(&file)?;
        let names = network.names.into_iter();
        let tensors = names.map(|(canonical, name)| Ok((canonical, tensor(&file, &name)?)));
        tensors.collect::<Result<_>>().map(Self)
    }

    /// Returns one tensor in double precision.
    ///
    /// # Errors
    /// When no tensor has this name.
    pub(super) fn get(&self, name: &str) -> Result<Tensor> {
        let tensor = self
            .0
            .get(name)
            .with_context(|| format!("no tensor {name}"))?;
        Ok(tensor.f_to_kind(Kind::Double)?)
    }
}

fn tensor(file: &NamedTensors, name: &str) -> Result<Tensor> {
    let facts = &file.tensors()[name];
    let kind = kind(facts.dtype).with_context(|| format!("tensor {name} has no numbers"))?;
    let shape: Vec<i64> = facts.shape.iter().map(|&length| length as i64).collect();
    Ok(Tensor::f_from_data_size(&file.read(name)?, &shape, kind)?)
}

fn kind(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F64 => Some(Kind::Double),
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        _ => None,
    }
}
