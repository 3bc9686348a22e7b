//! The tensors of a safetensors file by canonical name.

use std::collections::HashMap;

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, canonical_name};
use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

use super::tensors::from_view;

/// Tensors on the CPU, by canonical name.
#[derive(Debug)]
pub(super) struct WeightMap(HashMap<String, Tensor>);

impl WeightMap {
    /// Reads the floating-point tensors of a file of this network. Names and shapes were checked
    /// when the sweep was prepared; this only fails for tensors that are missing.
    ///
    /// # Errors
    /// When the bytes are not a safetensors file.
    pub(super) fn read(bytes: &[u8], architecture: Architecture) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).context("not a safetensors file")?;
        let mut tensors = HashMap::new();
        for (name, view) in file.tensors() {
            if let Some(kind) = kind(view.dtype()) {
                let tensor = from_view(&view, kind).with_context(|| name.clone())?;
                let name = architecture.usual_name(canonical_name(&name));
                tensors.insert(name.into_owned(), tensor);
            }
        }
        Ok(Self(tensors))
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

fn kind(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F64 => Some(Kind::Double),
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        _ => None,
    }
}
