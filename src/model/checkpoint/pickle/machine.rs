//! [`Machine`]: reads one pickle and builds nothing but plain values and descriptions of tensors.

use super::opcode::{self, Opcode};
use super::refuse::Refusal;
use super::value::{Global, Storage, Value};
use super::view::View;

/// Maximum number of instructions in a pickle, which bounds its time and memory. A tensor takes about 40 instructions,
/// and the version of a module about 8.
const MAX_INSTRUCTIONS: usize = 1 << 18;

/// Longest name of a tensor or storage in bytes. Names are read whenever they are mentioned.
const MAX_NAME: usize = 1 << 12;

/// Number with which the first format of `torch.save` begins, little-endian.
const MAGIC: [u8; 10] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19];

/// Reader of one pickle.
#[derive(Default)]
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: Vec<Value>,
    tuples: Vec<Vec<Value>>,
    lists: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
    pub storages: Vec<Storage<'a>>,
    pub tensors: Vec<View>,
}

impl<'a> Machine<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Reads up to the end of the pickle that begins at `start`. Returns its value and the position after it.
    pub fn run(&mut self, start: usize) -> Result<(Value, usize), Refusal> {
        self.at = start;
        self.stack.clear();
        self.memo.clear();
        for _ in 0..MAX_INSTRUCTIONS {
            let opcode = self.take(1)?[0];
            if opcode == opcode::STOP {
                return Ok((self.pop()?, self.at));
            }
            self.step(opcode)?;
        }
        Err(damaged(format!("it has more than {MAX_INSTRUCTIONS} instructions")))
    }

    /// Returns the entries of a dictionary, or an error that names what was found.
    pub fn dict(&self, value: Value) -> Result<&[(Value, Value)], Refusal> {
        match value {
            Value::Dict(index) => Ok(&self.dicts[index]),
            other => Err(damaged(format!("it should hold a dictionary, found {other:?}"))),
        }
    }

    /// Returns the elements of a list.
    pub fn list(&self, value: Value) -> Result<&[Value], Refusal> {
        match value {
            Value::List(index) => Ok(&self.lists[index]),
            other => Err(damaged(format!("it should hold a list, found {other:?}"))),
        }
    }

    pub fn text(&self, value: Value) -> Result<&'a str, Refusal> {
        let Value::Text(start, end) = value else {
            return Err(damaged(format!("it should hold a string, found {value:?}")));
        };
        let text = self.bytes.get(start..end).unwrap_or_default();
        if text.len() > MAX_NAME {
            return Err(damaged(format!("it has a name of {} bytes", text.len())));
        }
        std::str::from_utf8(text).map_err(|error| damaged(format!("a string is invalid: {error}")))
    }

    fn step(&mut self, opcode: u8) -> Result<(), Refusal> {
        let opcode = Opcode::named(opcode).ok_or_else(|| {
            Refusal::Forbidden(format!("the instruction {}", opcode::name(opcode)))
        })?;
        match opcode {
            Opcode::Skip(len) => self.take(len).map(drop),
            Opcode::Mark => self.push(Value::Mark),
            Opcode::Other(len) => {
                self.take(len)?;
                self.push(Value::Other)
            }
            Opcode::True => self.push(Value::True),
            Opcode::Int(len) => {
                let int = self.unsigned(len)?;
                self.push(Value::Int(int as i64))
            }
            Opcode::SignedInt => {
                let int = self.unsigned(4)? as u32;
                self.push(Value::Int((int as i32).into()))
            }
            Opcode::Long => self.long(),
            Opcode::Text(len) => self.put_text(len),
            Opcode::Tuple(count) => self.tuple(count),
            Opcode::EmptyList => self.new_list(),
            Opcode::EmptyDict => self.new_dict(),
            Opcode::Append => self.append(1),
            Opcode::Appends => {
                let count = self.marked()?;
                self.append(count)?;
                Ok(())
            }
            Opcode::SetItem => self.set_items(2),
            Opcode::SetItems => {
                let count = self.marked()?;
                self.set_items(count)
            }
            Opcode::Put(len) => {
                let index = self.unsigned(len)?;
                self.put(index)
            }
            Opcode::Memoize => self.put(self.memo.len() as u64),
            Opcode::Get(len) => {
                let index = self.unsigned(len)? as usize;
                let value = self.memo.get(index).copied().filter(|value| *value != Value::Mark);
                self.push(value.ok_or_else(|| damaged(format!("it has no memo entry {index}")))?)
            }
            Opcode::Global => self.global(),
            Opcode::StackGlobal => self.stack_global(),
            Opcode::Reduce => self.reduce(),
            Opcode::Build => self.build(),
            Opcode::PersistentId => self.persistent_id(),
        }
    }

    /// Returns the next bytes of the pickle.
    fn take(&mut self, len: usize) -> Result<&'a [u8], Refusal> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| damaged("its pickle ends too early".to_owned()))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// Returns an unsigned little-endian integer of at most 8 bytes.
    fn unsigned(&mut self, len: usize) -> Result<u64, Refusal> {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(self.take(len)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn push(&mut self, value: Value) -> Result<(), Refusal> {
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, Refusal> {
        match self.stack.pop() {
            Some(Value::Mark) | None => Err(damaged("its pickle lacks a value".to_owned())),
            Some(value) => Ok(value),
        }
    }

    /// Returns the number of values above the last mark and removes the mark.
    fn marked(&mut self) -> Result<usize, Refusal> {
        let mark = self.stack.iter().rposition(|value| *value == Value::Mark);
        let mark = mark.ok_or_else(|| damaged("its pickle lacks a mark".to_owned()))?;
        self.stack.remove(mark);
        Ok(self.stack.len() - mark)
    }

    /// Removes the last `count` values and returns them.
    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>, Refusal> {
        let start = self.stack.len().checked_sub(count);
        let values = start.map(|start| self.stack.split_off(start)).unwrap_or_default();
        if start.is_none() || values.contains(&Value::Mark) {
            return Err(damaged("its pickle lacks values".to_owned()));
        }
        Ok(values)
    }

    fn long(&mut self) -> Result<(), Refusal> {
        let len = self.unsigned(1)? as usize;
        let bytes = self.take(len)?;
        let value = match bytes {
            [] => Value::Int(0),
            _ if bytes == MAGIC => Value::Magic,
            [.., last] if len <= 8 => {
                let mut wide = [if *last >= 0x80 { 0xFF } else { 0 }; 8];
                wide[..len].copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            _ => Value::Other,
        };
        self.push(value)
    }

    /// Pushes a text whose length takes `len` bytes.
    fn put_text(&mut self, len: usize) -> Result<(), Refusal> {
        let len = usize::try_from(self.unsigned(len)?).unwrap_or(usize::MAX);
        self.take(len)?;
        self.push(Value::Text(self.at - len, self.at))
    }

    /// Builds a tuple of the last `count` values, or of those above the last mark.
    fn tuple(&mut self, count: Option<usize>) -> Result<(), Refusal> {
        let count = match count {
            Some(count) => count,
            None => self.marked()?,
        };
        let values = self.pop_many(count)?;
        self.tuples.push(values);
        self.push(Value::Tuple(self.tuples.len() - 1))
    }

    fn new_list(&mut self) -> Result<(), Refusal> {
        self.lists.push(Vec::new());
        self.push(Value::List(self.lists.len() - 1))
    }

    fn new_dict(&mut self) -> Result<(), Refusal> {
        self.dicts.push(Vec::new());
        self.push(Value::Dict(self.dicts.len() - 1))
    }

    fn append(&mut self, count: usize) -> Result<(), Refusal> {
        let values = self.pop_many(count)?;
        match self.stack.last() {
            Some(&Value::List(index)) => {
                self.lists[index].extend(values);
                Ok(())
            }
            other => Err(damaged(format!("it appends to {other:?}"))),
        }
    }

    fn set_items(&mut self, count: usize) -> Result<(), Refusal> {
        let values = self.pop_many(count)?;
        match self.stack.last() {
            Some(&Value::Dict(index)) if count.is_multiple_of(2) => {
                self.dicts[index].extend(values.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                Ok(())
            }
            other => Err(damaged(format!("it sets items of {other:?}"))),
        }
    }

    /// Memoizes the last value. Numbers above those of the longest pickle are refused, so that a small file cannot ask
    /// for a large table.
    fn put(&mut self, index: u64) -> Result<(), Refusal> {
        let value = self.pop()?;
        self.stack.push(value);
        match usize::try_from(index).ok().filter(|&index| index < MAX_INSTRUCTIONS) {
            Some(index) if index < self.memo.len() => self.memo[index] = value,
            Some(index) => {
                // Marks are not values, so they stand for numbers that were left out.
                self.memo.resize(index, Value::Mark);
                self.memo.push(value);
            }
            None => return Err(damaged(format!("its memo index {index} is too large"))),
        }
        Ok(())
    }

    fn global(&mut self) -> Result<(), Refusal> {
        let [module, name] = [self.line()?, self.line()?];
        self.push_global(module, name)
    }

    fn stack_global(&mut self) -> Result<(), Refusal> {
        let (name, module) = (self.pop()?, self.pop()?);
        let [module, name] = [self.text(module)?, self.text(name)?];
        self.push_global(module, name)
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), Refusal> {
        let global = Global::named(module, name);
        self.push(Value::Global(global.ok_or_else(|| {
            Refusal::Forbidden(format!("`{}.{}`", excerpt(module), excerpt(name)))
        })?))
    }

    /// Returns the text up to the next line end.
    fn line(&mut self) -> Result<&'a str, Refusal> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n');
        let len = len.ok_or_else(|| damaged("its pickle ends too early".to_owned()))?;
        self.at += len + 1;
        std::str::from_utf8(&rest[..len])
            .map_err(|error| damaged(format!("a name is invalid: {error}")))
    }

    /// Calls a function that a state dict needs.
    fn reduce(&mut self) -> Result<(), Refusal> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Tuple(index) = arguments else {
            return Err(damaged(format!("it calls a function with {arguments:?}")));
        };
        let arguments = std::mem::take(&mut self.tuples[index]);
        let result = match (function, arguments.as_slice()) {
            (Value::Global(Global::OrderedDict), []) => {
                self.dicts.push(Vec::new());
                Ok(Value::Dict(self.dicts.len() - 1))
            }
            (Value::Global(Global::RebuildTensor), [storage, offset, shape, strides, ..]) => {
                let view = View::new(*storage, *offset, self.ints(*shape)?, self.ints(*strides)?)?;
                self.tensors.push(view);
                Ok(Value::Tensor(self.tensors.len() - 1))
            }
            (Value::Global(Global::RebuildParameter), [tensor @ Value::Tensor(_), ..]) => {
                Ok(*tensor)
            }
            (Value::Global(function), _) => {
                Err(damaged(format!("it calls {function:?} with unexpected arguments")))
            }
            (other, _) => Err(Refusal::Forbidden(format!("a call to {other:?}"))),
        };
        self.tuples[index] = arguments;
        self.push(result?)
    }

    /// Returns the integers of a short tuple: a shape or strides.
    fn ints(&self, value: Value) -> Result<Vec<i64>, Refusal> {
        let wrong = || damaged("a tensor's shape and strides should be a few integers".to_owned());
        let Value::Tuple(index) = value else { return Err(wrong()) };
        let values = &self.tuples[index];
        if values.len() > View::MAX_DIMENSIONS {
            return Err(wrong());
        }
        let int = |value: &Value| match value {
            Value::Int(int) => Ok(*int),
            _ => Err(wrong()),
        };
        values.iter().map(int).collect()
    }

    /// Drops the attributes of a dictionary: a state dict's are the versions of its modules.
    fn build(&mut self) -> Result<(), Refusal> {
        let attributes = self.pop()?;
        match (self.stack.last(), attributes) {
            (Some(Value::Dict(_)), Value::Dict(_)) => Ok(()),
            (Some(other), _) => Err(Refusal::Forbidden(format!("attributes of {other:?}"))),
            (None, _) => Err(damaged("its pickle lacks a value".to_owned())),
        }
    }

    /// Pushes the storage that a persistent id describes: `('storage', class, key, device, length)`, in the first format
    /// followed by `None`.
    fn persistent_id(&mut self) -> Result<(), Refusal> {
        let id = self.pop()?;
        let wrong = || Refusal::Forbidden("a persistent id that is not a storage".to_owned());
        let Value::Tuple(index) = id else { return Err(wrong()) };
        let storage = match *self.tuples[index].as_slice() {
            [kind, Value::Global(Global::Storage(dtype, size)), key, _, Value::Int(len)]
            | [
                kind,
                Value::Global(Global::Storage(dtype, size)),
                key,
                _,
                Value::Int(len),
                Value::Other,
            ] if self.text(kind)? == "storage" => {
                let len = u64::try_from(len)
                    .map_err(|_| damaged(format!("a storage has the invalid length {len}")))?;
                Storage { key: self.text(key)?, dtype, size, len }
            }
            _ => return Err(wrong()),
        };
        self.storages.push(storage);
        self.push(Value::Storage(self.storages.len() - 1))
    }
}

pub(super) fn damaged(reason: String) -> Refusal {
    Refusal::Damaged(reason)
}

/// Returns the beginning of a text, for a one-line error message.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}
