//! [`Opcode`]: instructions of a pickle that a state dict of tensors needs.

pub(super) const STOP: u8 = b'.';

/// Instruction with the number of bytes of its argument, or of its argument's length.
#[derive(Clone, Copy)]
pub(super) enum Opcode {
    /// Protocol or frame, which have no effect.
    Skip(usize),
    Mark,
    /// Value that no tensor needs.
    Other(usize),
    True,
    /// Unsigned integer.
    Int(usize),
    /// Signed integer of 4 bytes.
    SignedInt,
    Long,
    Text(usize),
    /// Tuple of the last values, or of those above the last mark.
    Tuple(Option<usize>),
    EmptyList,
    EmptyDict,
    Append,
    Appends,
    SetItem,
    SetItems,
    Put(usize),
    Memoize,
    Get(usize),
    Global,
    StackGlobal,
    Reduce,
    Build,
    PersistentId,
}

impl Opcode {
    /// Returns the instruction of a byte; `None` if no state dict needs it.
    pub fn named(byte: u8) -> Option<Self> {
        Some(match byte {
            0x80 => Self::Skip(1),
            0x95 => Self::Skip(8),
            b'(' => Self::Mark,
            b'N' | 0x89 => Self::Other(0),
            0x88 => Self::True,
            b'G' => Self::Other(8),
            b'K' => Self::Int(1),
            b'M' => Self::Int(2),
            b'J' => Self::SignedInt,
            0x8A => Self::Long,
            b'U' | 0x8C => Self::Text(1),
            b'T' | b'X' => Self::Text(4),
            0x8D => Self::Text(8),
            b')' => Self::Tuple(Some(0)),
            0x85 => Self::Tuple(Some(1)),
            0x86 => Self::Tuple(Some(2)),
            0x87 => Self::Tuple(Some(3)),
            b't' => Self::Tuple(None),
            b']' => Self::EmptyList,
            b'}' => Self::EmptyDict,
            b'a' => Self::Append,
            b'e' => Self::Appends,
            b's' => Self::SetItem,
            b'u' => Self::SetItems,
            b'q' => Self::Put(1),
            b'r' => Self::Put(4),
            0x94 => Self::Memoize,
            b'h' => Self::Get(1),
            b'j' => Self::Get(4),
            b'c' => Self::Global,
            0x93 => Self::StackGlobal,
            b'R' => Self::Reduce,
            b'b' => Self::Build,
            b'Q' => Self::PersistentId,
            _ => return None,
        })
    }
}

/// Returns Python's name for an instruction that is refused.
pub(super) fn name(byte: u8) -> String {
    let name = match byte {
        b'0' => "POP",
        b'1' => "POP_MARK",
        b'2' => "DUP",
        b'F' => "FLOAT",
        b'I' => "INT",
        b'L' => "LONG",
        b'P' => "PERSID",
        b'S' => "STRING",
        b'V' => "UNICODE",
        b'd' => "DICT",
        b'g' => "GET",
        b'i' => "INST",
        b'l' => "LIST",
        b'o' => "OBJ",
        b'p' => "PUT",
        0x81 => "NEWOBJ",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        0x8B => "LONG4",
        b'B' => "BINBYTES",
        b'C' => "SHORT_BINBYTES",
        0x8E => "BINBYTES8",
        0x8F => "EMPTY_SET",
        0x90 => "ADDITEMS",
        0x91 => "FROZENSET",
        0x92 => "NEWOBJ_EX",
        0x96 => "BYTEARRAY8",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => return format!("{byte:#04x}"),
    };
    name.to_owned()
}
