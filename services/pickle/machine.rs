//! The stack machine that a pickle is a program for.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    ITEMS_MAX, PICKLE_BYTES_MAX, PickleError, Value,
    assemble::assemble,
    cursor::Cursor,
    global::Global,
    opcode as op,
    text::{from_raw_unicode_escape, from_repr, is_text},
};

/// The newest protocol there is.
const PROTOCOL_MAX: u8 = 5;

/// The most arguments that one of the known calls takes.
const CALL_ARGUMENTS_MAX: usize = 3;

/// Reads a pickle of any protocol. What comes after its end is ignored, as in Python.
pub fn read(pickle: &[u8]) -> Result<Value, PickleError> {
    if pickle.len() > PICKLE_BYTES_MAX {
        return Err(PickleError::TooMuch { what: "bytes", max: PICKLE_BYTES_MAX });
    }
    let mut machine = Machine::new(pickle);
    loop {
        machine.opcode_at = machine.cursor.at();
        let opcode = machine.cursor.byte()?;
        if opcode == op::STOP {
            let root = machine.pop()?;
            return assemble(&machine.nodes, root);
        }
        machine.step(opcode)?;
    }
}

/// A value under construction. Containers name their parts by number, since a part may be changed, or used again, after
/// the container has it.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    Plain(Value),
    Bytes(Cow<'a, [u8]>),
    Text(Cow<'a, [u8]>),
    /// The bytes that this text is in Latin-1. Worked out at the end, where what it costs is counted.
    Latin1(NodeId),
    List(Vec<NodeId>),
    Tuple(Vec<NodeId>),
    /// Keys and values by turns.
    Dict(Vec<NodeId>),
    Global(Global),
}

/// The number of a node.
pub(crate) type NodeId = usize;

struct Machine<'a> {
    cursor: Cursor<'a>,
    /// Where the instruction at hand begins, for errors.
    opcode_at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<NodeId>,
    /// The heights of the stack at which MARK was given.
    marks: Vec<usize>,
    memo: HashMap<usize, NodeId>,
}

impl<'a> Machine<'a> {
    fn new(pickle: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(pickle),
            opcode_at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            op::PROTO => match self.cursor.byte()? {
                0..=PROTOCOL_MAX => Ok(()),
                _ => Err(self.malformed("its protocol is unknown")),
            },
            op::FRAME => {
                let length = self.cursor.length(8)?;
                self.cursor.expect(length)
            }
            op::MARK => self.mark(),
            op::NONE => self.push_plain(Value::None),
            op::NEWTRUE => self.push_plain(Value::Bool(true)),
            op::NEWFALSE => self.push_plain(Value::Bool(false)),
            op::INT | op::BININT | op::BININT1 | op::BININT2 | op::LONG | op::LONG1 | op::LONG4 => {
                self.integer(opcode)
            }
            op::FLOAT | op::BINFLOAT => self.float(opcode),
            op::STRING => {
                let line = self.cursor.line()?;
                let bytes =
                    from_repr(line).ok_or_else(|| self.malformed("STRING is not a quoted byte string"))?;
                self.push(Node::Bytes(Cow::Owned(bytes)))
            }
            op::SHORT_BINSTRING | op::SHORT_BINBYTES => self.bytes(1),
            op::BINSTRING | op::BINBYTES => self.bytes(4),
            op::BINBYTES8 => self.bytes(8),
            op::UNICODE => {
                let line = self.cursor.line()?;
                let text = from_raw_unicode_escape(line)
                    .ok_or_else(|| self.malformed("UNICODE has a bad escape"))?;
                self.push(Node::Text(Cow::Owned(text)))
            }
            op::SHORT_BINUNICODE => self.text(1),
            op::BINUNICODE => self.text(4),
            op::BINUNICODE8 => self.text(8),
            _ => self.step_container(opcode),
        }
    }

    fn step_container(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            op::EMPTY_LIST => self.push(Node::List(Vec::new())),
            op::EMPTY_TUPLE => self.push(Node::Tuple(Vec::new())),
            op::EMPTY_DICT => self.push(Node::Dict(Vec::new())),
            op::LIST => {
                let items = self.pop_mark()?;
                self.push(Node::List(items))
            }
            op::TUPLE => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items))
            }
            op::TUPLE1 => self.tuple(1),
            op::TUPLE2 => self.tuple(2),
            op::TUPLE3 => self.tuple(3),
            op::DICT => {
                let items = self.pop_mark()?;
                self.push(Node::Dict(Vec::new()))?;
                self.set_items(items)
            }
            op::APPEND => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            op::APPENDS => {
                let items = self.pop_mark()?;
                self.append(items)
            }
            op::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])
            }
            op::SETITEMS => {
                let items = self.pop_mark()?;
                self.set_items(items)
            }
            _ => self.step_reference(opcode),
        }
    }

    fn step_reference(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            op::GET | op::BINGET | op::LONG_BINGET => {
                let index = self.memo_index(opcode)?;
                let node =
                    *self.memo.get(&index).ok_or_else(|| self.malformed("GET of what was never PUT"))?;
                self.push_again(node)
            }
            op::PUT | op::BINPUT | op::LONG_BINPUT => {
                let index = self.memo_index(opcode)?;
                self.remember(index)
            }
            op::MEMOIZE => self.remember(self.memo.len()),
            op::GLOBAL => {
                let (module, name) = (self.cursor.line()?, self.cursor.line()?);
                self.push(Node::Global(Global::find(module, name)?))
            }
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Node::Text(name), Node::Text(module)) = (self.node(name)?, self.node(module)?) else {
                    return Err(self.malformed("STACK_GLOBAL of what is no name"));
                };
                let global = Global::find(module, name)?;
                self.push(Node::Global(global))
            }
            op::REDUCE => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                self.call(callee, arguments)
            }
            op::NEWOBJ => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                match (self.node(class)?, self.node(arguments)?) {
                    (Node::Global(class), Node::Tuple(none)) if class.is_dict() && none.is_empty() => {
                        self.push(Node::Dict(Vec::new()))
                    }
                    _ => Err(self.malformed("NEWOBJ of what is no dict")),
                }
            }
            op::BUILD => {
                let state = self.pop()?;
                match (self.node(self.top()?)?, self.node(state)?) {
                    (Node::Dict(_), Node::Plain(Value::None)) => Ok(()),
                    (Node::Dict(_), Node::Dict(attributes)) if attributes.is_empty() => Ok(()),
                    _ => Err(self.malformed("BUILD of an instance with attributes")),
                }
            }
            _ => Err(PickleError::Opcode { opcode, at: self.opcode_at }),
        }
    }

    /// Pushes what a call of one of the known globals gives.
    fn call(&mut self, callee: NodeId, arguments: NodeId) -> Result<(), PickleError> {
        let (Node::Global(callee), Node::Tuple(ids)) = (self.node(callee)?, self.node(arguments)?) else {
            return Err(self.malformed("REDUCE of what is no call"));
        };
        let arguments = ids.iter().take(CALL_ARGUMENTS_MAX + 1).map(|&id| Ok((id, self.node(id)?)));
        let arguments = arguments.collect::<Result<Vec<_>, PickleError>>()?;
        match (callee, arguments.as_slice()) {
            (Global::Encode, &[(text, Node::Text(_)), (_, Node::Text(codec))]) if is_latin1(codec) => {
                self.push(Node::Latin1(text))
            }
            (Global::Bytes, []) => self.push(Node::Bytes(Cow::Borrowed(b""))),
            (Global::Dict | Global::HeaderKeyDict, []) => self.push(Node::Dict(Vec::new())),
            // Python copies the dict; nothing can tell, since nobody else keeps it.
            (
                Global::Reconstructor,
                &[(_, Node::Global(class)), (_, Node::Global(Global::Dict)), (state, Node::Dict(_))],
            ) if class.is_dict() => self.push_again(state),
            _ => Err(self.malformed("REDUCE calls with other arguments than Swift's")),
        }
    }

    fn integer(&mut self, opcode: u8) -> Result<(), PickleError> {
        let value = match opcode {
            op::BININT => Some(i32::from_le_bytes(self.cursor.array()?).into()),
            op::BININT1 => Some(self.cursor.byte()?.into()),
            op::BININT2 => Some(u16::from_le_bytes(self.cursor.array()?).into()),
            op::INT => match self.cursor.line()? {
                // Booleans, before protocol 2 had its own way to say so.
                b"00" => return self.push_plain(Value::Bool(false)),
                b"01" => return self.push_plain(Value::Bool(true)),
                digits => decimal(digits),
            },
            op::LONG => {
                let line = self.cursor.line()?;
                decimal(line.strip_suffix(b"L").unwrap_or(line))
            }
            _ => {
                let length = self.cursor.length(if opcode == op::LONG1 { 1 } else { 4 })?;
                twos_complement(self.cursor.take(length)?)
            }
        };
        self.push_plain(Value::Int(value.ok_or_else(|| self.malformed("this is no integer of 64 bits"))?))
    }

    fn float(&mut self, opcode: u8) -> Result<(), PickleError> {
        let value = if opcode == op::BINFLOAT {
            f64::from_be_bytes(self.cursor.array()?)
        } else {
            let parsed = std::str::from_utf8(self.cursor.line()?).ok().and_then(|line| line.parse().ok());
            parsed.ok_or_else(|| self.malformed("FLOAT is no number"))?
        };
        self.push_plain(Value::Float(value))
    }

    fn bytes(&mut self, length_width: usize) -> Result<(), PickleError> {
        let length = self.cursor.length(length_width)?;
        let bytes = self.cursor.take(length)?;
        self.push(Node::Bytes(Cow::Borrowed(bytes)))
    }

    fn text(&mut self, length_width: usize) -> Result<(), PickleError> {
        let length = self.cursor.length(length_width)?;
        let text = self.cursor.take(length)?;
        if !is_text(text) {
            return Err(self.malformed("text is not UTF-8"));
        }
        self.push(Node::Text(Cow::Borrowed(text)))
    }

    fn tuple(&mut self, length: usize) -> Result<(), PickleError> {
        let start = self.stack.len().checked_sub(length).filter(|&start| start >= self.floor());
        let start = start.ok_or_else(|| self.malformed("the stack is empty"))?;
        let items = self.stack.split_off(start);
        self.push(Node::Tuple(items))
    }

    fn append(&mut self, mut items: Vec<NodeId>) -> Result<(), PickleError> {
        let list = self.top()?;
        match self.nodes.get_mut(list) {
            Some(Node::List(list)) => {
                list.append(&mut items);
                Ok(())
            }
            _ => Err(self.malformed("APPEND to what is no list")),
        }
    }

    fn set_items(&mut self, mut items: Vec<NodeId>) -> Result<(), PickleError> {
        if !items.len().is_multiple_of(2) {
            return Err(self.malformed("a key without a value"));
        }
        for &key in items.iter().step_by(2) {
            if !matches!(self.node(key)?, Node::Plain(_) | Node::Bytes(_) | Node::Text(_) | Node::Latin1(_)) {
                return Err(self.malformed("a key that is a container"));
            }
        }
        let dict = self.top()?;
        match self.nodes.get_mut(dict) {
            Some(Node::Dict(dict)) => {
                dict.append(&mut items);
                Ok(())
            }
            _ => Err(self.malformed("SETITEM in what is no dict")),
        }
    }

    fn memo_index(&mut self, opcode: u8) -> Result<usize, PickleError> {
        match opcode {
            op::BINGET | op::BINPUT => self.cursor.length(1),
            op::LONG_BINGET | op::LONG_BINPUT => self.cursor.length(4),
            _ => {
                let index = decimal(self.cursor.line()?).and_then(|index| usize::try_from(index).ok());
                index.ok_or_else(|| self.malformed("a memo index is a number"))
            }
        }
    }

    /// Puts what is on top of the stack in the memo. Each entry costs at least a byte of pickle, yet a flood of them is
    /// refused before it fills the memory.
    fn remember(&mut self, index: usize) -> Result<(), PickleError> {
        let node = self.top()?;
        self.memo.insert(index, node);
        within_items(self.memo.len())
    }

    fn mark(&mut self) -> Result<(), PickleError> {
        self.marks.push(self.stack.len());
        within_items(self.marks.len())
    }

    fn push_plain(&mut self, value: Value) -> Result<(), PickleError> {
        self.push(Node::Plain(value))
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), PickleError> {
        within_items(self.nodes.len() + 1)?;
        self.nodes.push(node);
        self.push_again(self.nodes.len() - 1)
    }

    fn push_again(&mut self, node: NodeId) -> Result<(), PickleError> {
        self.stack.push(node);
        within_items(self.stack.len())
    }

    /// The stack's height at the last mark: what is below belongs to somebody else.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<NodeId, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Result<NodeId, PickleError> {
        let above = self.stack.get(self.floor()..).and_then(|above| above.last());
        above.copied().ok_or_else(|| self.malformed("the stack is empty"))
    }

    fn pop_mark(&mut self) -> Result<Vec<NodeId>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| self.malformed("no MARK was given"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn node(&self, id: NodeId) -> Result<&Node<'a>, PickleError> {
        self.nodes.get(id).ok_or_else(|| self.malformed("the stack is empty"))
    }

    fn malformed(&self, problem: &'static str) -> PickleError {
        PickleError::Malformed { at: self.opcode_at, problem }
    }
}

fn within_items(count: usize) -> Result<(), PickleError> {
    if count > ITEMS_MAX { Err(PickleError::TooMuch { what: "items", max: ITEMS_MAX }) } else { Ok(()) }
}

fn is_latin1(codec: &[u8]) -> bool {
    matches!(codec, b"latin1" | b"latin-1")
}

/// A number as Python writes it. It would read others, too, but by what is before them: 010 is eight, +1 is true.
fn decimal(digits: &[u8]) -> Option<i64> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.parse().ok().filter(|number: &i64| number.to_string() == digits)
}

/// A little-endian number of at most eight bytes, the last of which carries the sign.
fn twos_complement(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|&last| last >= 0x80);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(whole))
}
