//! The tensors of a safetensors file, by canonical name.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use ddrs_common::architecture::canonical_name;
use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

/// Tensors on the CPU.
#[derive(Debug)]
pub struct Weights(HashMap<String, Tensor>);

impl Weights {
    /// Reads the floating-point tensors in a file's bytes. Their names and shapes were checked when
    /// the sweep was prepared; here only what is missing is noticed.
    ///
    /// # Errors
    /// When they are no safetensors file.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).context("not a safetensors file")?;
        let mut tensors = HashMap::new();
        for (name, view) in file.tensors() {
            let kind = match view.dtype() {
                Dtype::F64 => Kind::Double,
                Dtype::F32 => Kind::Float,
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                _ => continue,
            };
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)
                .with_context(|| name.clone())?;
            tensors.insert(canonical_name(&name).to_owned(), tensor);
        }
        Ok(Self(tensors))
    }

    /// One tensor, in double precision.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        match self.0.get(name) {
            Some(tensor) => Ok(tensor.f_to_kind(Kind::Double)?),
            None => bail!("no tensor {name}"),
        }
    }
}
