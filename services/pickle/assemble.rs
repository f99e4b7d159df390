//! Turns the nodes that a pickle made into one value, and charges for every copy.

use crate::{
    DEPTH_MAX, ITEMS_MAX, PickleError, VALUE_BYTES_MAX, Value,
    machine::{Node, NodeId},
    text::to_latin1,
};

/// The value of a node. Without recursion, so that the stack does not depend on the pickle: a value that holds itself is
/// too deep, one that repeats others without end is too large.
pub(crate) fn assemble(nodes: &[Node<'_>], root: NodeId) -> Result<Value, PickleError> {
    let mut budget = Budget::default();
    let mut open: Vec<Container<'_>> = Vec::new();
    let mut next = root;
    loop {
        let node = nodes.get(next).ok_or_else(|| malformed("a value has no part of this number"))?;
        let mut made = budget.pay(nodes, node)?;
        if let Node::List(parts) | Node::Tuple(parts) | Node::Dict(parts) = node {
            if open.len() == DEPTH_MAX {
                return Err(PickleError::TooMuch { what: "levels of nesting", max: DEPTH_MAX });
            }
            open.push(Container { shape: made, parts, made: Vec::new() });
        } else if let Some(container) = open.last_mut() {
            container.made.push(made);
        } else {
            return Ok(made);
        }
        // A container that has all its parts is a part of the next one.
        while let Some(complete) = open.pop_if(|container| container.next_part().is_none()) {
            made = complete.close();
            match open.last_mut() {
                Some(outer) => outer.made.push(made),
                None => return Ok(made),
            }
        }
        if let Some(part) = open.last().and_then(Container::next_part) {
            next = part;
        }
    }
}

/// A container whose parts are being made.
struct Container<'a> {
    /// An empty value of its type.
    shape: Value,
    parts: &'a [NodeId],
    made: Vec<Value>,
}

impl Container<'_> {
    fn next_part(&self) -> Option<NodeId> {
        self.parts.get(self.made.len()).copied()
    }

    fn close(self) -> Value {
        match self.shape {
            Value::List(_) => Value::List(self.made),
            Value::Tuple(_) => Value::Tuple(self.made),
            _ => {
                let mut made = self.made.into_iter();
                Value::Dict(std::iter::from_fn(|| made.next().zip(made.next())).collect())
            }
        }
    }
}

/// What the value has cost so far.
#[derive(Default)]
struct Budget {
    items: usize,
    bytes: usize,
}

impl Budget {
    /// The value of a node without its parts, paid for.
    fn pay(&mut self, nodes: &[Node<'_>], node: &Node<'_>) -> Result<Value, PickleError> {
        self.items += 1;
        if self.items > ITEMS_MAX {
            return Err(PickleError::TooMuch { what: "items", max: ITEMS_MAX });
        }
        self.charge(size_of::<Value>())?;
        match node {
            Node::Plain(value) => Ok(value.clone()),
            Node::Bytes(raw) => self.copy(raw).map(Value::Bytes),
            Node::Text(raw) => self.copy(raw).map(Value::Text),
            Node::Latin1(text) => {
                let Some(Node::Text(text)) = nodes.get(*text) else {
                    return Err(malformed("bytes are written with what is no text"));
                };
                self.charge(text.len())?;
                let bytes = to_latin1(text)
                    .ok_or_else(|| malformed("bytes are written with a character beyond U+00FF"))?;
                Ok(Value::Bytes(bytes.into_owned()))
            }
            Node::List(_) => Ok(Value::List(Vec::new())),
            Node::Tuple(_) => Ok(Value::Tuple(Vec::new())),
            Node::Dict(_) => Ok(Value::Dict(Vec::new())),
            Node::Global(_) => Err(malformed("a global stands where a value should")),
        }
    }

    fn copy(&mut self, raw: &[u8]) -> Result<Vec<u8>, PickleError> {
        self.charge(raw.len())?;
        Ok(raw.to_vec())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), PickleError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > VALUE_BYTES_MAX {
            return Err(PickleError::TooMuch { what: "bytes of memory", max: VALUE_BYTES_MAX });
        }
        Ok(())
    }
}

fn malformed(problem: &'static str) -> PickleError {
    PickleError::Value { problem }
}
