//! The few globals that Swift's pickles name, each with a fixed meaning (Swift: common/utils/pickle.py
//! _ALLOWED_GLOBALS).

use crate::PickleError;

const NAME_SHOWN_MAX: usize = 100;

/// A global that a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    /// `_codecs.encode`: how Python 3 writes bytes below protocol 3.
    Encode,
    /// `copyreg._reconstructor`: how protocols 0 and 1 write an instance.
    Reconstructor,
    /// Swift's case-folding dict. Its names are folded before they are pickled, so here it is a dict.
    HeaderKeyDict,
    /// `dict`.
    Dict,
    /// `bytes`: how Python 3 writes empty bytes below protocol 3.
    Bytes,
}

impl Global {
    /// The global of this module and name.
    pub(crate) fn find(module: &[u8], name: &[u8]) -> Result<Self, PickleError> {
        match (module, name) {
            (b"_codecs", b"encode") => Ok(Self::Encode),
            (b"copy_reg" | b"copyreg", b"_reconstructor") => Ok(Self::Reconstructor),
            (b"swift.common.header_key_dict", b"HeaderKeyDict") => Ok(Self::HeaderKeyDict),
            (b"builtins" | b"__builtin__", b"dict") => Ok(Self::Dict),
            (b"builtins" | b"__builtin__", b"bytes") => Ok(Self::Bytes),
            _ => Err(PickleError::Global { name: shown(module, name) }),
        }
    }

    /// Whether an instance of it is a dict.
    pub(crate) fn is_dict(self) -> bool {
        matches!(self, Self::Dict | Self::HeaderKeyDict)
    }
}

/// A name for an error message: a peer chose it, so it is short and free of control characters.
fn shown(module: &[u8], name: &[u8]) -> String {
    let whole = [module, b".", name].concat();
    String::from_utf8_lossy(&whole).chars().filter(|c| !c.is_control()).take(NAME_SHOWN_MAX).collect()
}
