//! The tensors each known network is made of, so that a wrong model is refused without torch.

/// A network that ddrs builds itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `cifar-resnetD` (He et al. 2016, section 4.2), D = 6n + 2.
    CifarResnet {
        /// Layers.
        depth: u32,
    },
    /// torchvision's `resnet18`.
    Resnet18,
    /// torchvision's `resnet50`.
    Resnet50,
    /// The linear model whose smoothed radius is known.
    HalfSpace,
}
