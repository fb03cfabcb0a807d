//! Parts of a pickle of tensors: values on the stack, functions, and storages.

/// Value on the machine's stack. Containers, storages and tensors are indices, so that values are small and copying or
/// dropping one never recurses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// Beginning of a run of values.
    Mark,
    Int(i64),
    /// Number of the first format.
    Magic,
    /// Text at these positions of the pickle.
    Text(usize, usize),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Global(Global),
    Storage(usize),
    Tensor(usize),
    True,
    /// Value that no tensor needs: `None`, false or a float.
    Other,
}

/// Function or class that a state dict of tensors needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    /// Class of a storage, with the name and the size of its values.
    Storage(&'static str, usize),
}

impl Global {
    /// Returns the function or class of a name, if a state dict may need it.
    pub fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "FloatStorage") => Self::Storage("F32", 4),
            ("torch", "HalfStorage") => Self::Storage("F16", 2),
            ("torch", "BFloat16Storage") => Self::Storage("BF16", 2),
            ("torch", "DoubleStorage") => Self::Storage("F64", 8),
            ("torch", "LongStorage") => Self::Storage("I64", 8),
            ("torch", "IntStorage") => Self::Storage("I32", 4),
            ("torch", "ShortStorage") => Self::Storage("I16", 2),
            ("torch", "CharStorage") => Self::Storage("INT8", 1),
            ("torch", "ByteStorage") => Self::Storage("U8", 1),
            ("torch", "BoolStorage") => Self::Storage("BOOL", 1),
            _ => return None,
        })
    }
}

/// Description of a storage, which several tensors may share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage<'a> {
    /// Name of the storage within its file.
    pub key: &'a str,
    /// Name and size of its values.
    pub dtype: &'static str,
    pub size: usize,
    /// Number of values.
    pub len: u64,
}
