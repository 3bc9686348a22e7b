//! Checks the keys of a model that choose between networks with the same tensors.

use super::section::SpecTable;
use crate::architecture::{
    Activation, GlobalPool, NetworkOptions, OptionKey, Outputs, StemPooling, StridePlace,
};
use crate::spec::raw::{
    RawActivation, RawModel, RawOutputs, RawPooling, RawStemPooling, RawStridePlace,
};
use crate::spec::{ModelSource, SpecError};

/// Returns the options of a model: those that are given, and the usual ones of its network.
pub(super) fn options(
    at: &SpecTable,
    source: ModelSource,
    raw: &RawModel,
) -> Result<NetworkOptions, SpecError> {
    refuse_meaningless(at, source, raw)?;
    let usual = source.usual_options();
    Ok(NetworkOptions {
        epsilon: raw
            .epsilon
            .map_or(Ok(usual.epsilon), |given| epsilon(at, given))?,
        activation: raw.activation.map_or(usual.activation, activation),
        stride_place: raw.stride_place.map_or(usual.stride_place, stride_place),
        stem_pooling: raw.stem_pooling.map_or(usual.stem_pooling, stem_pooling),
        pooling: raw.pooling.map_or(usual.pooling, pooling),
        outputs: raw.outputs.map_or(usual.outputs, outputs),
    })
}

/// Refuses keys that make no difference for the network.
fn refuse_meaningless(
    at: &SpecTable,
    source: ModelSource,
    raw: &RawModel,
) -> Result<(), SpecError> {
    let network = match source {
        ModelSource::Safetensors(architecture) => architecture.to_string(),
        ModelSource::TorchScript => "a TorchScript program, which contains its layers".to_owned(),
    };
    let meaningless = OptionKey::ALL.map(|key| {
        let is_given = is_given(raw, key) && !source.has_option(key);
        (key.as_str(), is_given)
    });
    at.refuse(&meaningless, &format!("has no meaning for {network}"))
}

fn is_given(raw: &RawModel, key: OptionKey) -> bool {
    match key {
        OptionKey::Epsilon => raw.epsilon.is_some(),
        OptionKey::Activation => raw.activation.is_some(),
        OptionKey::StridePlace => raw.stride_place.is_some(),
        OptionKey::StemPooling => raw.stem_pooling.is_some(),
        OptionKey::Pooling => raw.pooling.is_some(),
        OptionKey::Outputs => raw.outputs.is_some(),
    }
}

fn epsilon(at: &SpecTable, epsilon: f64) -> Result<f64, SpecError> {
    let holds = (1e-12..=1.0).contains(&epsilon);
    at.number("epsilon", epsilon, holds, "from 1e-12 to 1")
}

fn activation(raw: RawActivation) -> Activation {
    match raw {
        RawActivation::Relu => Activation::Relu,
        RawActivation::Relu6 => Activation::Relu6,
        RawActivation::LeakyRelu => Activation::LeakyRelu,
        RawActivation::Silu => Activation::Silu,
        RawActivation::Gelu => Activation::Gelu,
    }
}

fn stride_place(raw: RawStridePlace) -> StridePlace {
    match raw {
        RawStridePlace::First => StridePlace::First,
        RawStridePlace::Second => StridePlace::Second,
    }
}

fn stem_pooling(raw: RawStemPooling) -> StemPooling {
    match raw {
        RawStemPooling::Max => StemPooling::Max,
        RawStemPooling::None => StemPooling::None,
    }
}

fn pooling(raw: RawPooling) -> GlobalPool {
    match raw {
        RawPooling::Mean => GlobalPool::Mean,
        RawPooling::Max => GlobalPool::Max,
    }
}

fn outputs(raw: RawOutputs) -> Outputs {
    match raw {
        RawOutputs::Scores => Outputs::Scores,
        RawOutputs::Probabilities => Outputs::Probabilities,
    }
}
